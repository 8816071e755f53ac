"""The conversion of a TensorFlow 1 checkpoint of the authors into a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, ModelConfig
from dim_tf.data import tf1_vocab, word_vectors
from dim_tf.data.text import UNK_ID, TextRules
from dim_tf.errors import CheckpointError, DataError, UsageError
from dim_tf.runs.run import Run
from dim_tf.runtime import backend

if TYPE_CHECKING:
    import keras

CHARACTER_KERNELS = tuple(f"CNN_char_emb/conv_{n}/w" for n in range(len(CHARACTER_WIDTHS)))
ENCODER_KERNEL = "encoding_layer/bidirectional_rnn/bidirectional_rnn/fw/lstm_cell/kernel"


def convert(
    prefix: str,
    out: str | os.PathLike,
    *,
    vocab: str | os.PathLike,
    char_vocab: str | os.PathLike,
    vectors: Sequence[str],
    persona: str,
    version: str,
    unknown_word: str | None,
    sizes: Mapping[str, int],
) -> tuple[Run, keras.Model]:
    """Makes a run, not yet on disk, and its model with the weights of a checkpoint.

    Args:
        prefix: str. The part of the checkpoint's file names before .index.
        out: str. Folder of the run.
        vocab: str. The authors' vocab.txt.
        char_vocab: str. The authors' char_vocab.txt.
        vectors: list of str. Files of word vectors, which are concatenated.
        persona: str. "self" or "their", what it reads.
        version: str. "original" or "revised".
        unknown_word: str. The word whose vector unknown words get; None for zeros.
        sizes: dict. The `PREPARED_SIZES` of data for it.

    Raises:
        CheckpointError: The checkpoint is missing, damaged, or not one of DIM.
        DataError: A file does not belong to the checkpoint.
        UsageError: TensorFlow is not installed.
    """
    arrays = read_checkpoint(prefix)
    units, word_dim, character_rows = _sizes(arrays)
    words = tf1_vocab.words_of_authors(tf1_vocab.read_words(vocab))
    characters = _characters(char_vocab, character_rows)
    trained = {"rnn_units": units, "word_dim": word_dim, "char_vocab_size": len(characters)}
    run = Run(
        path=Path(out),
        model="dim",
        model_config=ModelConfig(**trained, **sizes),
        training_config=None,
        text=TextRules(),
        persona=persona,
        version=version,
        prepared={
            "fingerprint": "",
            "name": f"the checkpoint {Path(prefix).name}",
            "licence": "",
            "word2vec": None,
        },
        words=words,
        characters=characters,
        word_vectors=_vectors(vectors, words, word_dim, unknown_word),
    )
    model = run.build_model()
    from dim_tf.models.tf1 import load_tf1_variables

    load_tf1_variables(model, _pad_characters(arrays, len(characters)))
    return run, model


def read_checkpoint(prefix: str | os.PathLike) -> dict[str, np.ndarray]:
    """All variables of a TensorFlow checkpoint by name.

    Args:
        prefix: str. The part of its files' names before .index.

    Raises:
        CheckpointError: The checkpoint is missing or damaged.
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
    # Each kind of damage raises another error.
    except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{prefix}: a damaged checkpoint ({reason})") from None


def _sizes(arrays: Mapping[str, np.ndarray]) -> tuple[int, int, int]:
    """Units, word dimensions and rows of the character table, from the shapes of the kernels."""
    for name, axes in ((ENCODER_KERNEL, 2), (CHARACTER_KERNELS[0], 3)):
        if name not in arrays:
            raise CheckpointError(f"variable {name} is missing from the checkpoint; expected DIM's")
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


def _characters(path: str | os.PathLike, rows: int) -> list[str]:
    """The line of each character id; "" for an unused id.

    The authors' character table has as many rows as there are characters, but ids start at 1: the
    last character has no row. It gets a row of zeros, see `_pad_characters`.
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


def _pad_characters(arrays: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The variables, with zeros added to the character kernels up to `rows` rows.

    On a GPU, the authors' program took zeros for the vector of a character without a row. A kernel
    row of zeros has the same effect.
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
    """The word vectors, those of several files concatenated: float32 [V, word_dim]."""
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
