"""What `--like` takes of another run: its characters and its Word2Vec vectors."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Self

from dim_tf import files, prepared_folder, shipped
from dim_tf.errors import UsageError
from dim_tf.record import CONFIG
from dim_tf.run_folder import VECTORS, Run
from dim_tf.vector_files import WordVectors


@dataclasses.dataclass(frozen=True)
class Like:
    """Where a run's words come from.

    Attributes:
        name: Of the folder.
        sha256: Tells it from others of that name.
        characters: Line k is id k.
        word2vec: The Word2Vec part of its vectors; None if it has none.
        table: The sha256 of the table that part was taken from.
    """

    name: str
    sha256: str
    characters: list[str]
    word2vec: WordVectors | None
    table: str | None

    @classmethod
    def open(cls, path: str | os.PathLike) -> Self:
        """Reads a prepared folder, a run folder, or a shipped model of that name.

        Raises:
            UsageError: It is none of these, or a run that does not say which part is Word2Vec's.
            CheckpointError: It is a damaged run.
            DataError: It is a damaged prepared folder.
        """
        folder = Path(path)
        if (folder / prepared_folder.MANIFEST).exists():
            return cls._of_prepared(folder)
        if not folder.exists() and folder.name in shipped.names():
            folder = shipped.find(folder.name)
        if not (folder / CONFIG).exists():
            raise UsageError(
                f"--like: {path} is no prepared folder (no {prepared_folder.MANIFEST} in it), no "
                f"run folder (no {CONFIG} in it), and no shipped model; give the one whose "
                "weights are to be trained further"
            )
        return cls._of_run(Run.open(folder))

    @classmethod
    def _of_prepared(cls, folder: Path) -> Self:
        manifest = prepared_folder.read_manifest(folder)
        words = prepared_folder.read_words(folder)
        vectors, dim = prepared_folder.read_vectors(folder, manifest["sizes"], len(words))
        return cls(
            name=folder.name,
            sha256=manifest["fingerprint"],
            characters=prepared_folder.read_characters(folder, manifest["sizes"]),
            word2vec=WordVectors(words, vectors[:, vectors.shape[1] - dim :]) if dim else None,
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
        vectors = run.word_vectors
        return cls(
            name=run.path.name,
            sha256=files.sha256(run.path / VECTORS),
            characters=run.characters,
            word2vec=WordVectors(run.words, vectors[:, vectors.shape[1] - dim :]) if dim else None,
            table=table,
        )
