"""The vocabulary of another run, for `--like`: its characters, its words and their vectors."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from typing import Self

import numpy as np

from data_prep.embeddings import update_lines
from dim_tf.data import prepared_folder
from dim_tf.data.text import TextRules
from dim_tf.data.word_vectors import WordVectors
from dim_tf.errors import UsageError, did_you_mean
from dim_tf.runs import pretrained
from dim_tf.runs.record import CONFIG
from dim_tf.runs.run import Run


@dataclasses.dataclass(frozen=True)
class VocabularySource:
    """Characters, words and vectors of a prepared folder, a run or a pretrained model."""

    name: str
    rules: TextRules
    characters: list[str]
    words: list[str]  # without `<pad>` and `<unk>`
    vectors: np.ndarray  # float32 [len(words), dim]
    word2vec_dim: int  # number of Word2Vec's columns, the last ones
    word2vec_sha256: str | None  # of the table that these columns were taken from

    @property
    def word2vec(self) -> WordVectors | None:
        """The columns of Word2Vec, or None."""
        return self._columns(self.vectors.shape[1] - self.word2vec_dim, None)

    @property
    def pretrained(self) -> WordVectors | None:
        """The columns of pretrained vectors such as GloVe, or None."""
        return self._columns(0, self.vectors.shape[1] - self.word2vec_dim)

    @property
    def sha256(self) -> str:
        """The sha256 of everything but the name."""
        rules = str(self.rules).replace(", nfc=False", "")  # as before there was this rule
        digest = hashlib.sha256(f"{rules} {self.word2vec_dim}".encode())
        update_lines(digest, [*self.characters, "", *self.words])
        digest.update(np.ascontiguousarray(self.vectors).tobytes())
        return digest.hexdigest()

    @classmethod
    def open(cls, path: str | os.PathLike) -> Self:
        """Reads a prepared folder, a run folder, or the pretrained model of that name.

        Raises:
            UsageError: The path is none of these, or the run does not record which columns are
                Word2Vec's, or has a vector for unknown words.
            CheckpointError: The run is damaged.
            DataError: The prepared folder is damaged.
        """
        folder = Path(path)
        if (folder / prepared_folder.MANIFEST).exists():
            return cls._of_prepared(folder)
        if str(path) in pretrained.names():
            folder = pretrained.find(path)
        if (folder / CONFIG).exists():
            return cls._of_run(Run.open(folder))
        raise UsageError(
            f"--like: {path} is no prepared folder (no {prepared_folder.MANIFEST} in it), no run "
            f"folder (no {CONFIG} in it), and no pretrained model"
            f"{did_you_mean(str(path), pretrained.names())}; give the one whose weights you want "
            "to train further"
        )

    @classmethod
    def _of_prepared(cls, folder: Path) -> Self:
        manifest = prepared_folder.read_manifest(folder)
        words = prepared_folder.read_words(folder)
        vectors, dim = prepared_folder.read_vectors(folder, manifest["sizes"], len(words))
        return cls(
            name=folder.resolve().name,
            rules=manifest["text"],
            characters=prepared_folder.read_characters(folder, manifest["sizes"]),
            words=words[2:],
            vectors=vectors[2:],
            word2vec_dim=dim,
            word2vec_sha256=manifest.get("word2vec"),
        )

    @classmethod
    def _of_run(cls, run: Run) -> Self:
        sha256, dim = run.prepared.get("word2vec"), run.prepared.get("word2vec_dim")
        if sha256 is not None and dim is None:
            raise UsageError(
                f"--like: {run.path} is of an older version, which did not record the number of "
                "Word2Vec's columns; give the prepared folder of that run"
            )
        if run.word_vectors[1].any():
            raise UsageError(
                f"--like: {run.path} has a vector for unknown words, which prepared folders "
                "cannot have; convert the checkpoint without --unknown-word"
            )
        if not run.word_vectors.any():
            raise UsageError(
                f"--like: {run.path} has no word vectors, since it is the small copy of a dual "
                "encoder; give the run itself"
            )
        return cls(
            name=run.path.resolve().name,
            rules=run.text,
            characters=run.characters,
            words=run.words[2:],
            vectors=run.word_vectors[2:],
            word2vec_dim=dim or 0,
            word2vec_sha256=sha256,
        )

    def _columns(self, first: int, last: int | None) -> WordVectors | None:
        columns = self.vectors[:, first:last]
        return WordVectors(self.words, columns) if columns.shape[1] else None
