"""Makes a run of an authors' TensorFlow 1 checkpoint: `python -m dim_tf.convert ...`.

The words and characters keep the authors' order, behind this project's reserved rows `<pad>` and
`<unk>`, since the character kernels follow the ids. Rows, units and dimensions are read off the
checkpoint and the files; what neither of them says (lengths, whose persona) is an option with the
paper's value. Adam's slots and the step counter are left aside.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dim_tf.cli.parser import Parser, positive
from dim_tf.cli.parser import run as run_command
from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, ModelConfig
from dim_tf.data import tf1_vocab, word_vectors
from dim_tf.data.text import UNK_ID, TextRules
from dim_tf.errors import CheckpointError, DataError, UsageError
from dim_tf.runs.run import Run, check_free
from dim_tf.runtime import backend

CHARACTER_KERNELS = tuple(f"CNN_char_emb/conv_{n}/w" for n in range(len(CHARACTER_WIDTHS)))
ENCODER_KERNEL = "encoding_layer/bidirectional_rnn/bidirectional_rnn/fw/lstm_cell/kernel"
LENGTHS = (
    "max_utterances",
    "max_utterance_len",
    "max_candidates",
    "max_response_len",
    "max_profiles",
    "max_profile_len",
    "max_word_len",
)


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    check_free(arguments.out)
    arrays = read_checkpoint(arguments.tf1_checkpoint)
    units, word_dim, character_rows = _sizes(arrays)
    words = tf1_vocab.words_of_authors(tf1_vocab.read_words(arguments.vocab))
    characters = _characters(arguments.char_vocab, character_rows)
    run = Run(
        path=Path(arguments.out),
        model="dim",
        model_config=ModelConfig(
            word_dim=word_dim,
            rnn_units=units,
            char_vocab_size=len(characters),
            **{name: getattr(arguments, name) for name in LENGTHS},
        ),
        training_config=None,
        text=dataclasses.asdict(TextRules()),
        persona=arguments.persona,
        version=arguments.version,
        prepared={
            "fingerprint": "",
            "name": f"the checkpoint {Path(arguments.tf1_checkpoint).name}",
            "licence": "",
            "word2vec": None,
        },
        words=words,
        characters=characters,
        word_vectors=_vectors(arguments.vectors, words, word_dim, arguments.unknown_word),
    )

    from dim_tf.evaluation import model_card
    from dim_tf.models.tf1 import load_tf1_variables

    model = run.build_model()
    load_tf1_variables(model, _with_rows(arrays, len(characters)))
    with run.creating() as unfinished:
        unfinished.save_best(model)
        model_card.write(unfinished)
    known = int(run.word_vectors.any(axis=1).sum())
    print(
        f"{run.path}: DIM of {units} units, {word_dim} word dimensions, {len(words):,} words "
        f"({known:,} with a vector), {len(characters)} characters"
    )


def read_checkpoint(prefix: str | os.PathLike) -> dict[str, np.ndarray]:
    """All variables of a TensorFlow checkpoint under their names.

    Args:
        prefix: What `tf.train.Saver` was given or gave, such as `checkpoints/model-10000`.

    Raises:
        CheckpointError: There is no checkpoint of that prefix, or it is damaged.
        UsageError: TensorFlow is not installed.
    """
    prefix = os.fspath(prefix)
    if not Path(f"{prefix}.index").is_file():
        raise CheckpointError(
            f"{prefix}: found no {prefix}.index; expected a checkpoint's prefix, the part of its "
            "files' names before .index and .data-00000-of-00001"
        )
    try:
        with backend.without_notices():
            import tensorflow as tf
    except ImportError as error:
        raise UsageError(
            f"only TensorFlow reads its checkpoints, and it cannot be imported ({error}); "
            "install tensorflow"
        ) from None
    try:
        reader = tf.train.load_checkpoint(prefix)
        return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    # The reader has a way of its own to fail at each kind of damage.
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{prefix}: a damaged checkpoint ({reason})") from None


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m dim_tf.convert", description=__doc__)
    required = {"required": True, "default": argparse.SUPPRESS}
    parser.add_argument("--tf1-checkpoint", metavar="PREFIX", help="checkpoint", **required)
    parser.add_argument("--vocab", metavar="FILE", help="their vocab.txt", **required)
    parser.add_argument("--char-vocab", metavar="FILE", help="their char_vocab.txt", **required)
    parser.add_argument(
        "--vectors",
        metavar="FILE",
        nargs="+",
        help="word vectors as text; of several files the vectors are put side by side",
        **required,
    )
    parser.add_argument("--out", metavar="RUN", help="run folder, to be made", **required)
    parser.add_argument("--persona", choices=["self", "their"], default="self", help="read by it")
    parser.add_argument(
        "--version", choices=["original", "revised"], default="original", help="of the personas"
    )
    parser.add_argument(
        "--unknown-word",
        metavar="WORD",
        help="give unknown words this word's vector, as the authors gave them that of fiance; "
        "zeros if left out",
    )
    defaults = ModelConfig.defaults()
    for name in LENGTHS:
        option = "--" + name.replace("_", "-")
        parser.add_argument(option, type=positive, default=defaults[name], help="as trained")
    return parser


def _sizes(arrays: Mapping[str, np.ndarray]) -> tuple[int, int, int]:
    """Units, word dimensions and character rows: what the kernels' shapes say."""
    for name, axes in ((ENCODER_KERNEL, 2), (CHARACTER_KERNELS[0], 3)):
        if name not in arrays:
            raise CheckpointError(
                f"variable {name} is missing from the checkpoint; expected the authors' DIM"
            )
        if arrays[name].ndim != axes:
            shape = list(arrays[name].shape)
            raise CheckpointError(f"variable {name}: found shape {shape}, expected {axes} axes")
    rows, gates = arrays[ENCODER_KERNEL].shape
    units = gates // 4
    word_dim = rows - units - CHARACTER_FILTERS * len(CHARACTER_WIDTHS)
    if units < 1 or gates % 4 or word_dim < 1:
        raise CheckpointError(
            f"variable {ENCODER_KERNEL}: found shape {[rows, gates]}, expected "
            "[word dimensions + 150 + units, 4 x units]"
        )
    return units, word_dim, arrays[CHARACTER_KERNELS[0]].shape[1]


def _characters(path: str, rows: int) -> list[str]:
    """The line of each character id; "" for an id that no character has.

    The authors' character table has as many rows as there are characters, though ids start at 1:
    the last character has no row there. It gets one of zeros here, see `_with_rows`.
    """
    by_id = tf1_vocab.read_characters(path)
    characters = tf1_vocab.characters_of_authors(by_id)
    if rows < len(characters) and rows != len(by_id):
        raise DataError(
            f"found {len(by_id)} characters with ids up to {len(characters) - 1}, but the "
            f"checkpoint has a table of {rows} rows; expected the file it was trained with",
            path=path,
        )
    return characters + [""] * (rows - len(characters))


def _with_rows(arrays: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The variables, the character kernels with rows of zeros added until they have `rows`.

    A character without a row was a vector of zeros to the authors' program, on a GPU; a kernel
    row of zeros does the same.
    """
    padded = dict(arrays)
    for name in CHARACTER_KERNELS:
        kernel = arrays.get(name)
        if kernel is not None and kernel.ndim == 3 and kernel.shape[1] < rows:
            padded[name] = np.pad(kernel, ((0, 0), (0, rows - kernel.shape[1]), (0, 0)))
    return padded


def _vectors(
    paths: Sequence[str], words: Sequence[str], word_dim: int, unknown_word: str | None
) -> np.ndarray:
    """The vectors of the words, those of several files side by side: float32 [V, word_dim]."""
    parts = []
    for path in paths:
        parts.append(word_vectors.read_vectors(Path(path), words))
        if not parts[-1].words:
            raise DataError(
                f"found no vector for any of the {len(words):,} words of the vocabulary", path=path
            )
    dims = [part.dim for part in parts]
    if sum(dims) != word_dim:
        found = " + ".join(map(str, dims)) + (f" = {sum(dims)}" if len(dims) > 1 else "")
        raise DataError(
            f"found {found} dimensions, but the checkpoint was trained with {word_dim}",
            path=", ".join(paths),
        )
    vectors = word_vectors.matrix(words, parts)
    if unknown_word is not None:
        if unknown_word not in words:
            raise DataError(f"--unknown-word {unknown_word!r} is not in the vocabulary")
        vectors[UNK_ID] = vectors[words.index(unknown_word)]
    return vectors


if __name__ == "__main__":
    sys.exit(run_command(main))
