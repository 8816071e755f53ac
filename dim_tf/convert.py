"""Converts a TensorFlow 1 checkpoint of the authors into a run: `python -m dim_tf.convert ...`.

Words and characters keep the authors' order, after the reserved rows `<pad>` and `<unk>`. Units and
dimensions are read from the checkpoint. Give lengths and persona as options if they are not the
paper's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dim_tf.cli.parser import Parser, positive, run as run_command
from dim_tf.config import ModelConfig
from dim_tf.runs.run import check_free
from dim_tf.runs.tf1_checkpoint import LENGTHS, convert


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    check_free(arguments.out)
    run, model = convert(arguments)
    from dim_tf.evaluation import model_card

    with run.creating() as unfinished:
        unfinished.save_best(model)
        model_card.write(unfinished)
    known, config = int(run.word_vectors.any(axis=1).sum()), run.model_config
    print(
        f"{run.path}: DIM of {config.rnn_units} units, {config.word_dim} word dimensions, "
        f"{len(run.words):,} words ({known:,} with a vector), {len(run.characters)} characters"
    )


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.convert", description=__doc__)
    required = {"required": True, "default": argparse.SUPPRESS}
    parser.add_argument("--tf1-checkpoint", metavar="PREFIX", help="checkpoint", **required)
    parser.add_argument("--vocab", metavar="FILE", help="the authors' vocab.txt", **required)
    parser.add_argument(
        "--char-vocab", metavar="FILE", help="the authors' char_vocab.txt", **required
    )
    parser.add_argument(
        "--vectors",
        metavar="FILE",
        nargs="+",
        help="word vectors as text; vectors of several files are concatenated",
        **required,
    )
    parser.add_argument("--out", metavar="RUN", help="run folder to make", **required)
    parser.add_argument(
        "--persona", choices=["self", "their"], default="self", help="persona that the model reads"
    )
    parser.add_argument(
        "--version",
        choices=["original", "revised"],
        default="original",
        help="version of the personas",
    )
    parser.add_argument(
        "--unknown-word",
        metavar="WORD",
        help="give unknown words this word's vector (the authors took that of fiance); zeros if "
        "left out",
    )
    defaults = ModelConfig.defaults()
    for name in LENGTHS:
        option = "--" + name.replace("_", "-")
        parser.add_argument(
            option, type=positive, default=defaults[name], help="value in the training"
        )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
