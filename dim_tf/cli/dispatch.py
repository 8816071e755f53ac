"""All commands under one name: `dim-tf COMMAND ...` is `python -m dim_tf.COMMAND ...`.

A command is imported when it is called, and no other with it. Preparing data belongs to another
package, of which nothing but the name stands here.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

import dim_tf
from dim_tf.cli import parser
from dim_tf.errors import UsageError, did_you_mean

# Command -> its module, and what it does.
COMMANDS = {
    "prepare": ("data_prep.__main__", "makes a prepared folder of dialogues and word vectors"),
    "train": ("dim_tf.train", "trains a model on a prepared folder"),
    "evaluate": ("dim_tf.evaluate", "ranks a split with a run, and looks at the mistakes"),
    "calibrate": ("dim_tf.calibrate", "finds how far a run's probabilities can be trusted"),
    "predict": ("dim_tf.predict", "ranks replies to a conversation"),
    "chat": ("dim_tf.chat", "talks with the bot in the terminal"),
    "attention": ("dim_tf.attention", "draws what a reply looked at"),
    "export": ("dim_tf.export", "writes a run for programs that do not have dim_tf"),
    "ship": ("dim_tf.ship", "makes a small copy of a run, to be passed on"),
    "convert": ("dim_tf.convert", "makes a run of an authors' checkpoint"),
    "reproduce": ("dim_tf.reproduce", "trains and tests what the paper's tables need"),
    "report": ("dim_tf.report", "compares tested runs with each other and with the paper"),
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
        hint = did_you_mean(name, COMMANDS) or f"; expected one of {', '.join(COMMANDS)}"
        raise UsageError(f"{found}{hint}")
    module, _ = COMMANDS[name]
    return importlib.import_module(module).main(rest)


def usage() -> str:
    """What `--help` shows."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {does}" for name, (_, does) in COMMANDS.items())
    return (
        "usage: dim-tf COMMAND [OPTION ...]\n       dim-tf --version\n\n"
        f"{listed}\n\ndim-tf COMMAND --help names the options of a command."
    )
