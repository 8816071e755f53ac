"""The state of training in one file that is whole or not there."""

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
    """Writes weights, the optimizer's slots, and `state`, which must be JSON.

    Raises:
        DivergedError: A value is not finite; the file is left as it was.
    """
    arrays = {}
    for name, variable in _variables(model, optimizer).items():
        arrays[name] = np.asarray(keras.ops.convert_to_numpy(variable.value))
        if not np.isfinite(arrays[name]).all():
            raise DivergedError(f"{variable.path} holds NaN or infinity; {path} is left as it was")
    atomic.write_npz(path, {**arrays, "state": np.array(json.dumps(state))})


def load(
    path: str | os.PathLike, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> dict[str, Any]:
    """Sets the variables of model and (built) optimizer; returns the state.

    Raises:
        CheckpointError: The file is missing, damaged, or of another model; nothing is set then.
    """
    try:
        arrays = atomic.read_npz(path)
        state = json.loads(str(arrays.pop("state")))
    except (DataError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: no training state can be read from it ({error})") from None
    variables = _variables(model, optimizer)
    if arrays.keys() != variables.keys():
        name = sorted(arrays.keys() ^ variables.keys())[0]
        place = "the checkpoint" if name in arrays else "the model"
        raise CheckpointError(f"{path}: of another model: only {place} has {name}")
    for name, variable in variables.items():
        if arrays[name].shape != tuple(variable.shape):
            raise CheckpointError(
                f"{path}: {name} has shape {arrays[name].shape}, expected {tuple(variable.shape)}"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return state


def read_state(path: str | os.PathLike) -> dict[str, Any]:
    """The state alone.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    try:
        return json.loads(str(atomic.read_npz(path, ["state"])["state"]))
    except (DataError, KeyError, json.JSONDecodeError) as error:
        raise CheckpointError(f"{path}: no training state can be read from it ({error})") from None


def _variables(model, optimizer) -> dict[str, Any]:
    """By position, since Keras numbers some names anew in each process.

    Frozen layers are left out: training does not change them, and the word vectors, the only such
    layer here, lie in the run folder. So are the states of the random number generators, which
    are no weights: they follow from seed and update.
    """
    frozen = {id(w) for layer in model.layers if not layer.trainable for w in layer.weights}
    weights = [weight for weight in model.weights if id(weight) not in frozen]
    groups = {"weights": weights, "optimizer": optimizer.variables}
    return {
        f"{group}/{position:03d}/{variable.name}": variable
        for group, variables in groups.items()
        for position, variable in enumerate(variables)
    }
