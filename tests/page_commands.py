"""Commands and Python of the README and the pages of `docs`, and how tests run them small."""

from __future__ import annotations

import gzip
import importlib
import itertools
import json
import lzma
import re
import shlex
import shutil
import tarfile
import zipfile
from pathlib import Path

from data_prep.archives import unpack
from data_prep.sources import SAMPLE
from dim_tf.cli import parser
from dim_tf.io import atomic
from scripts import pipeline
from tests.authors_checkpoint import SIZES, write_characters, write_checkpoint
from tests.tiny_run import CHARACTERS, WORDS, tf1_variables

# Beginnings of commands that install, run all tests or serve pages.
ELSEWHERE = (
    "sudo apt-get install",
    ".venv/bin/python -m pip install",
    ".venv/bin/tensorboard",
    ".venv/bin/python -m dim_tf.serve",
    "KERAS_BACKEND=jax .venv/bin/python",  # for a GPU
    ".ci/lowest.sh",
    "./tests/run.sh",
    ".ci/run",
)
_SIZES = [
    *("--rnn-units", "3", "--batch-size", "4", "--dropout", "0", "--set", "max_utterances=2"),
    *("--set", "max_utterance_len=3", "--set", "max_response_len=3", "--set", "max_profile_len=3"),
]
_TRAINING = [*_SIZES, "--epochs", "1", "--max-updates", "1", "--eval-every", "1"]
_VALIDATION = ["--valid-turns", "4"]
# A pretrained model has the paper's sizes; for training, a run of small sizes replaces it.
STAND_INS = {
    ("--like", "personachat"): "runs/personachat",
    ("--init-from", "personachat"): "runs/personachat",
    ("--run", "runs/mine"): "runs/personachat",  # a copy of it
}
# The same for commands that read one of these folders, which has the words of a small run.
STAND_INS_FOR = {
    "prepared/large": "runs/large/dim_self",
    "prepared/my_talk_tuned": "runs/personachat",
    "prepared/blended_like": "runs/personachat",
}
# Module -> options that make a command small; they come last, so they win.
SMALL = {
    "dim_tf.train": [*_TRAINING, *_VALIDATION],
    "dim_tf.evaluate": ["--turns", "4"],
    "dim_tf.calibrate": ["--turns", "8"],
    "dim_tf.reproduce": [
        *(*_SIZES, "--eval-every", "1", *_VALIDATION, "--updates", "1", "--test-turns", "4"),
        *("--table", "2", "--systems", "imn", "--seeds", "1"),
    ],
    "dim_tf.convert": [str(part) for item in SIZES.items() for part in item],
    "benchmarks.throughput": [
        *("--rnn-units", "3", "--rounds", "1", "--steps", "1", "--calls", "1"),
        *("--batch-size", "2", "--eval-batch-size", "2", "--candidates", "3"),
        *("--set", "max_utterances=2", "--json", "throughput.json"),
    ],
    "benchmarks.serving": ["--turns", "4", "--cold", "1", "--json", "serving.json"],
    "benchmarks.load": [
        *("--turns", "4", "--clients", "2", "--seconds", "1", "--requests", "10"),
        *("--json", "load.json"),
    ],
    "benchmarks.retrieval": ["--turns", "2", "--json", "retrieval.json"],
    "benchmarks.arithmetic": ["--batches", "1"],
    "benchmarks.training": [
        *(*_TRAINING, "--updates", "1", "--seeds", "1", "--json", "training.json"),
    ],
}


def commands(text: str) -> list[str]:
    """The commands of a page's indented blocks, each on one line, without comments."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"\\\n\s*", "", text)
    found = re.findall(
        r"^    ((?:[A-Z_]+=\S+ )?(?:\./|\.venv/|\.ci/|sudo ).*)$", text, re.MULTILINE
    )
    return [shlex.join(shlex.split(command, comments=True)) for command in found]


def python_blocks(text: str) -> list[str]:
    """A page's Python, block by block."""
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def links(text: str) -> list[str]:
    """Where a page's links lead, but for other sites.

    >>> links("[a](b.md#c) `[d](e)` [f](https://g)")
    ['b.md#c']
    """
    prose = re.sub(r"```.*?```|`[^`\n]*`|^    [^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\]\((?!https?:)([^)]+)\)", prose)


def anchors(text: str) -> list[str]:
    r"""What links to a page's headings end in.

    >>> anchors("# One, two\n\n## It's")
    ['one-two', 'its']
    """
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]


def is_elsewhere(command: str) -> bool:
    """Whether a command is of a kind that is not run here."""
    return command.startswith(ELSEWHERE)


def steps(command: str) -> list[tuple[str, list[str]]]:
    """The modules that a command runs, with its options and those that make them small."""
    words = [word for word in shlex.split(command) if not word.startswith("KERAS_BACKEND=")]
    program, *options = words
    if program == "./run_train.sh":
        found = [(step.module, step.options) for step in pipeline.train(options)]
    elif program == "./run_test.sh":
        found = [(step.module, step.options) for step in pipeline.test(options)]
    elif options[0] == "-m":
        found = [(options[1], options[2:])]
    else:
        found = [(options[0].removesuffix(".py").replace("/", "."), options[1:])]
    for _, given in found:
        for index, pair in enumerate(itertools.pairwise(given), start=1):
            given[index] = STAND_INS.get(pair, given[index])
        for folder, run in STAND_INS_FOR.items():
            if folder in given:
                given[:] = [run if word == "personachat" else word for word in given]
    if "--turn" in found[0][1]:  # the test split is small
        found[0][1][found[0][1].index("--turn") + 1] = "1"
    return [(module, [*options, *SMALL.get(module, [])]) for module, options in found]


def run(command: str) -> int:
    """Runs a command in this process, in the current folder; returns its exit status."""
    words = shlex.split(command)
    if words[0] == "./run_train.sh" and "--resume" not in words:
        # Another command of the pages has made it.
        name = words[words.index("--source") + 1] if "--source" in words else pipeline.SAMPLE
        default = Path("runs") / pipeline.name_of(name)
        folder = words[words.index("--run") + 1] if "--run" in words else default
        shutil.rmtree(folder, ignore_errors=True)
    entries = {"dim_tf": "dim_tf.cli.dispatch", "data_prep": "data_prep.__main__"}
    for module, options in steps(command):
        main = importlib.import_module(entries.get(module, module)).main
        status = parser.run(main, options)
        if status:
            return status
    return 0


def write_material(folder: Path) -> None:
    """Writes the files that the commands of the pages read."""
    for name in ("SUBSET", "LARGE"):
        (folder / name).mkdir()
        unpack(SAMPLE, folder / name)
    archive = folder / "downloads" / "personachat.tgz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as handle:
        handle.add(folder / "SUBSET", "personachat")
    SMALL["data_prep"] = ["--overwrite", "--sha256", atomic.sha256(archive)]
    vectors = "i 0.5 -0.5 1\na 0.25 1 2\nnurse 1 1 -2\n"
    for name in ("glove_6b_100d.txt.gz", "glove_6b_100d_full.txt.gz"):
        with gzip.open(folder / name, "wt", encoding="utf-8") as handle:
            handle.write(vectors)
    _write_lines(folder / "glove.6B.100d.txt", *vectors.splitlines())
    with zipfile.ZipFile(folder / "glove.42B.300d.zip", "w") as handle:
        handle.writestr("glove.42B.300d.txt", vectors)
    _write_lines(folder / "persona.txt", "they hired me as a nurse.", "i could eat waffles daily.")
    _write_lines(folder / "replies.txt", "i earn as a nurse", "i like trains", "hi there", "i ski")
    shutil.copy(folder / "replies.txt", folder / "pool.txt")
    _write_lines(folder / "more.jsonl", '{"id": "beach-1", "text": "i love the beach"}')
    _write_lines(folder / "licences.txt", "The sample is free.")
    turn = {"context": ["hi !"], "persona": ["i ski."], "candidates": ["hello", "i ski"]}
    _write_lines(folder / "turns.jsonl", json.dumps(turn))
    dialogues = [
        {
            "utterances": [f"hi {n}!", f"hello {n}", f"how is {n}?", f"fine {n}"],
            "persona_a": [],
            "persona_b": ["i cook."],
        }
        for n in range(100)
    ]
    _write_lines(folder / "my_talk.jsonl", *map(json.dumps, dialogues))
    with lzma.open(folder / "blended_skill_talk.jsonl.xz", "wb") as handle:
        handle.write((folder / "my_talk.jsonl").read_bytes())
    _write_checkpoint(folder)


def _write_checkpoint(folder: Path) -> None:
    """PREFIX and what belongs to it."""
    write_checkpoint(folder / "PREFIX", tf1_variables())
    _write_lines(folder / "vocab.txt", "<pad>", *WORDS[2:])
    write_characters(folder, dict(enumerate(CHARACTERS[1:], start=1)))
    _write_lines(folder / "FILE", *(f"{word} 1 2 3 4 5" for word in WORDS[2:]))


def _write_lines(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
