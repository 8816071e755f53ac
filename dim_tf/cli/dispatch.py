"""All commands under one name: `dim-tf COMMAND ...` is `python -m dim_tf.COMMAND ...`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import dim_tf
from dim_tf.cli import parser
from dim_tf.errors import UsageError, did_you_mean, one_of

# Command -> its module, and what it does. A module is imported when its command is called.
COMMANDS = {
    "prepare": ("data_prep.__main__", "prepare dialogues and word vectors for training"),
    "train": ("dim_tf.train", "train a model on a prepared folder"),
    "evaluate": ("dim_tf.evaluate", "rank a split with a run, and analyse the errors"),
    "calibrate": (
        "dim_tf.calibrate",
        "calibrate a run's probabilities, and when no candidate fits",
    ),
    "predict": ("dim_tf.predict", "rank replies to a conversation"),
    "chat": ("dim_tf.chat", "chat with the retrieval bot in the terminal"),
    "index": ("dim_tf.index", "make a pool of replies to search"),
    "serve": ("dim_tf.serve", "serve rankings and a chat page over HTTP"),
    "attention": ("dim_tf.attention", "plot the attention weights of a reply"),
    "export": ("dim_tf.export", "export a run to SavedModel or ONNX"),
    "ship": ("dim_tf.ship", "make a small copy of a run to share"),
    "convert": ("dim_tf.convert", "convert an authors' checkpoint into a run"),
    "reproduce": ("dim_tf.reproduce", "train and test the cells of the paper's tables"),
    "report": ("dim_tf.report", "compare tested runs with each other and with the paper"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command that the first argument names; returns its exit status."""
    return parser.run(_dispatch, argv)


def _dispatch(argv: Sequence[str]) -> int | None:
    name, *rest = argv or [""]
    if name in ("-h", "--help"):
        print(usage())
        return 0
    if name == "--version":
        print(f"dim_tf {dim_tf.__version__}")
        return 0
    if name not in COMMANDS:
        found = f"unknown command {name}" if name else "no command given"
        raise UsageError(f"{found}, expected {one_of(COMMANDS)}{did_you_mean(name, COMMANDS)}")
    module, _ = COMMANDS[name]
    return importlib.import_module(module).main(rest)


def usage() -> str:
    """The text of `--help`."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {does}" for name, (_, does) in COMMANDS.items())
    return (
        "usage: dim-tf COMMAND [OPTION ...]\n       dim-tf --version\n\n"
        f"{listed}\n\nRun dim-tf COMMAND --help for the options of a command."
    )
