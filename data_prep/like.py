"""What `--like` takes of another run: its characters, its words and their vectors."""

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
class Like:
    """Where a run's words come from.

    Attributes:
        name: Of the folder.
        rules: How its text became words.
        characters: Line k is id k.
        words: Without `<pad>` and `<unk>`.
        vectors: float32 [len(words), dim].
        word2vec_dim: How many of the last columns are Word2Vec's.
        table: The sha256 of the table that these were taken from; None if there are none.
    """

    name: str
    rules: TextRules
    characters: list[str]
    words: list[str]
    vectors: np.ndarray
    word2vec_dim: int
    table: str | None

    @property
    def word2vec(self) -> WordVectors | None:
        """The Word2Vec part; None if there is none."""
        return self._columns(self.vectors.shape[1] - self.word2vec_dim, None)

    @property
    def others(self) -> WordVectors | None:
        """The part that is not Word2Vec's; None if there is none."""
        return self._columns(0, self.vectors.shape[1] - self.word2vec_dim)

    @property
    def sha256(self) -> str:
        """Tells it from others of that name."""
        digest = hashlib.sha256(f"{self.rules} {self.word2vec_dim}".encode())
        update_lines(digest, [*self.characters, "", *self.words])
        digest.update(np.ascontiguousarray(self.vectors).tobytes())
        return digest.hexdigest()

    @classmethod
    def open(cls, path: str | os.PathLike) -> Self:
        """Reads a prepared folder, a run folder, or a shipped model of that name.

        Raises:
            UsageError: It is none of these, or a run that does not say which part is Word2Vec's, or
                one with a vector for unknown words.
            CheckpointError: It is a damaged run.
            DataError: It is a damaged prepared folder.
        """
        folder = Path(path)
        if not folder.exists() and str(path) in pretrained.names():
            folder = pretrained.find(path)
        if (folder / prepared_folder.MANIFEST).exists():
            return cls._of_prepared(folder)
        if (folder / CONFIG).exists():
            return cls._of_run(Run.open(folder))
        raise UsageError(
            f"--like: {path} is no prepared folder (no {prepared_folder.MANIFEST} in it), no run "
            f"folder (no {CONFIG} in it), and no shipped model"
            f"{did_you_mean(str(path), pretrained.names())}; give the one whose weights are to be "
            "trained further"
        )

    @classmethod
    def _of_prepared(cls, folder: Path) -> Self:
        manifest = prepared_folder.read_manifest(folder)
        words = prepared_folder.read_words(folder)
        vectors, dim = prepared_folder.read_vectors(folder, manifest["sizes"], len(words))
        return cls(
            name=folder.resolve().name,
            rules=prepared_folder.read_rules(folder, manifest),
            characters=prepared_folder.read_characters(folder, manifest["sizes"]),
            words=words[2:],
            vectors=vectors[2:],
            word2vec_dim=dim,
            table=manifest.get("word2vec"),
        )

    @classmethod
    def _of_run(cls, run: Run) -> Self:
        table, dim = run.prepared.get("word2vec"), run.prepared.get("word2vec_dim")
        if table is not None and dim is None:
            raise UsageError(
                f"--like: {run.path} was made by an older version, which did not keep how many "
                "columns of its vectors are Word2Vec's; give the prepared folder of that run"
            )
        if run.word_vectors[1].any():
            raise UsageError(
                f"--like: {run.path} has a vector for unknown words, which a prepared folder has "
                "not; convert the checkpoint without --unknown-word"
            )
        return cls(
            name=run.path.resolve().name,
            rules=run.rules,
            characters=run.characters,
            words=run.words[2:],
            vectors=run.word_vectors[2:],
            word2vec_dim=dim or 0,
            table=table,
        )

    def _columns(self, first: int, last: int | None) -> WordVectors | None:
        part = self.vectors[:, first:last]
        return WordVectors(self.words, part) if part.shape[1] else None
