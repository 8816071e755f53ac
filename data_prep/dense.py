"""The model's inputs as plain arrays, for tools that know nothing of a prepared folder."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dim_tf.cli.progress import Progress
from dim_tf.config import ModelConfig
from dim_tf.data.dataset import INPUTS, PreparedData
from dim_tf.data.prepared_folder import TurnTable
from dim_tf.io import atomic

TURNS_A_CHUNK = 512


def path_of(folder: Path, table: TurnTable) -> Path:
    """Where the arrays of a table are in its prepared folder."""
    return folder / "dense" / f"{table.name}.npz"


def write_dense(
    data: PreparedData,
    table: TurnTable,
    path: Path,
    *,
    authors_response_characters: bool = False,
) -> None:
    """Writes all turns of a table, in the source's order, as an `.npz` of the model's inputs.

    The file has the eleven inputs under their names and `target`, compressed: most of it is
    padding. It is written array by array, some hundred turns at a time, so that a corpus whose
    arrays fit no memory can be written.

    Args:
        data: The prepared folder.
        table: One of its tables.
        path: The file.
        authors_response_characters: See `PreparedData.inputs`.
    """
    config = dense_config(data, table)
    names = (*INPUTS, "target")

    def chunks(name: str) -> Iterator[np.ndarray]:
        for first in range(0, len(table), TURNS_A_CHUNK):
            rows = np.arange(first, min(first + TURNS_A_CHUNK, len(table)))
            inputs, target = data.inputs(
                table,
                rows,
                config,
                names=() if name == "target" else (name,),
                authors_response_characters=authors_response_characters,
            )
            yield target if name == "target" else inputs[name]

    with (
        atomic.replacing(path) as temporary,
        # Level 1: the padding is nearly gone, and it is several times faster than level 6.
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        Progress(f"dense {table.name}", len(table) * len(names), "rows") as progress,
    ):
        for name in names:
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                for place, chunk in enumerate(chunks(name)):
                    if place == 0:
                        np.lib.format.write_array_header_1_0(
                            member,
                            {
                                "descr": np.lib.format.dtype_to_descr(chunk.dtype),
                                "fortran_order": False,
                                "shape": (len(table), *chunk.shape[1:]),
                            },
                        )
                    member.write(np.ascontiguousarray(chunk).data)
                    progress.advance(len(chunk))


def dense_config(data: PreparedData, table: TurnTable) -> ModelConfig:
    """The sizes of the arrays: all that was prepared; twice the profiles where both are read."""
    sizes = dict(data.sizes)
    if table.persona == "both":
        sizes["max_profiles"] *= 2
    return ModelConfig(**sizes)
