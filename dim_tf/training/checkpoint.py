"""The checkpoint of a training: one file, replaced as a whole."""

from __future__ import annotations

import json
import os
from typing import Any

import keras
import numpy as np

from dim_tf.errors import CheckpointError, DataError, DivergedError
from dim_tf.io import atomic


def save(
    path: str | os.PathLike,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    state: dict[str, Any],
) -> None:
    """Writes weights, the state of the (built) optimizer, and `state` as JSON.

    Raises:
        DivergedError: A value is not finite; the file is unchanged.
    """
    arrays = {}
    for name, variable in _variables(model, optimizer).items():
        arrays[name] = np.asarray(keras.ops.convert_to_numpy(variable.value))
        if not np.isfinite(arrays[name]).all():
            raise DivergedError(
                f"{variable.path} holds NaN or infinity; {path} is unchanged; start a new run with "
                "a lower --learning-rate"
            )
    atomic.write_npz(path, {**arrays, "state": np.array(json.dumps(state))})


def load(
    path: str | os.PathLike, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> dict[str, Any]:
    """Restores the variables of model and (built) optimizer; returns the state.

    Raises:
        CheckpointError: The file is missing, corrupt, or for a different model; nothing is changed.
    """
    arrays, state = _read(path)
    variables = _variables(model, optimizer)
    if arrays.keys() != variables.keys():
        name = sorted(arrays.keys() ^ variables.keys())[0]
        owner = "the checkpoint" if name in arrays else "the model"
        raise CheckpointError(f"{path}: of another model: only {owner} has {name}")
    for name, variable in variables.items():
        if arrays[name].shape != tuple(variable.shape):
            raise CheckpointError(
                f"{path}: {name} has shape {arrays[name].shape}, expected {tuple(variable.shape)}"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return state


def read_state(path: str | os.PathLike) -> dict[str, Any]:
    """Reads the state alone; raises `CheckpointError` if the file is missing or damaged."""
    return _read(path, ["state"])[1]


def _read(
    path: str | os.PathLike, names: list[str] | None = None
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        arrays = atomic.read_npz(path, names)
        return arrays, json.loads(str(arrays.pop("state")))
    except (DataError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: no training state can be read from it ({error})") from None


def _variables(
    model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> dict[str, keras.Variable]:
    """Variables by position and name; Keras numbers some names differently in each process.

    Frozen layers are left out: word vectors are in the run folder, and a memory of the training
    turns is made again. The states of random number generators are no weights: they follow from
    seed and update.
    """
    frozen = {id(w) for layer in model.layers if not layer.trainable for w in layer.weights}
    weights = [weight for weight in model.weights if id(weight) not in frozen]
    groups = {"weights": weights, "optimizer": optimizer.variables}
    return {
        f"{group}/{position:03d}/{variable.name}": variable
        for group, variables in groups.items()
        for position, variable in enumerate(variables)
    }
