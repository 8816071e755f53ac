"""Convert a TensorFlow 1 checkpoint of the authors into a run: `python -m dim_tf.convert ...`.

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
from dim_tf.runs.tf1_checkpoint import convert

LENGTHS = {
    "max_utterances": "utterances of a context",
    "max_utterance_len": "words of an utterance",
    "max_response_len": "words of a candidate",
    "max_profiles": "profiles of a persona",
    "max_profile_len": "words of a profile",
    "max_word_len": "characters of a word",
}


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    check_free(arguments.out)
    run, model = convert(
        arguments.tf1_checkpoint,
        arguments.out,
        vocab=arguments.vocab,
        char_vocab=arguments.char_vocab,
        vectors=arguments.vectors,
        persona=arguments.persona,
        version=arguments.version,
        unknown_word=arguments.unknown_word,
        sizes={name: getattr(arguments, name) for name in LENGTHS},
    )
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
    add = parser.add_argument
    required = {"required": True, "default": argparse.SUPPRESS}
    add(
        "--tf1-checkpoint",
        metavar="PREFIX",
        help="read the TensorFlow 1 checkpoint with this prefix",
        **required,
    )
    add("--vocab", metavar="FILE", help="read the authors' vocab.txt", **required)
    add("--char-vocab", metavar="FILE", help="read the authors' char_vocab.txt", **required)
    add(
        "--vectors",
        metavar="FILE",
        nargs="+",
        help="read word vectors as text; concatenate those of several files",
        **required,
    )
    add("--out", metavar="RUN", help="write the run to this folder", **required)
    add("--persona", choices=["self", "their"], default="self", help="set the persona it reads")
    versions = ["original", "revised"]
    add("--version", choices=versions, default="original", help="set the version of the personas")
    add(
        "--unknown-word",
        metavar="WORD",
        help="give unknown words the vector of WORD (the authors': fiance; without it: zeros)",
    )
    defaults = ModelConfig.defaults()
    for name, what in LENGTHS.items():
        option = "--" + name.replace("_", "-")
        add(
            option,
            type=positive,
            default=defaults[name],
            help=f"set the largest number of {what}",
        )
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
