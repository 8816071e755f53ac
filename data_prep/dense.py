"""Writes the model's inputs as padded arrays, for tools that cannot read a prepared folder."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from dim_tf.cli.progress import Progress
from dim_tf.config import ModelConfig
from dim_tf.data.dataset import INPUTS, PreparedData
from dim_tf.data.prepared_folder import TurnTable
from dim_tf.io import atomic


def path_of(folder: Path, table: TurnTable) -> Path:
    """Path of the arrays of a table in its prepared folder."""
    return folder / "dense" / f"{table.name}.npz"


def write_dense(data: PreparedData) -> None:
    """Writes all tables of a prepared folder, each as one compressed `.npz`.

    A file holds the eleven inputs and `target` for all turns, in the order of the source. Only one
    padded array is in memory at a time.
    """
    (data.path / "dense").mkdir()
    for setting in data.settings():
        table = data.table(*setting)
        # "both" shows the profiles of both speakers.
        profiles = data.sizes["max_profiles"] * (2 if table.persona == "both" else 1)
        config = ModelConfig(**{**data.sizes, "max_profiles": profiles})
        rows = np.arange(len(table))
        with (
            atomic.replacing(path_of(data.path, table)) as temporary,
            # Level 1 removes nearly all padding and is several times faster than level 6.
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            Progress(f"dense {table.name}", len(INPUTS) + 1, "arrays") as progress,
        ):
            for name in (*INPUTS, "target"):
                wanted = [name] if name in INPUTS else []
                inputs, target = data.inputs(table, rows, config, names=wanted)
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, inputs.get(name, target))
                progress.advance()
