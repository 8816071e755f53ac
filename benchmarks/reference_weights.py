"""The weights of the reference model: given by the authors' names, or by a DIM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from dim_tf.config import CHARACTER_WIDTHS
from dim_tf.models.reference import DIRECTIONS
from dim_tf.models.tf1 import TF1_NAMES, tf1_name


def load_tf1_variables(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of the reference model from arrays under the authors' names.

    Keras keeps an LSTM kernel as two, has the forget gate before the candidate, and adds nothing to
    the forget gate at run time: the authors' 1.0 becomes part of the bias.

    Args:
        model: Of `build_reference`.
        arrays: TF1 variable name -> array.
    """
    for name, variables in _variables(model).items():
        _share_out(arrays[name], name, variables)
        if name.endswith("lstm_cell/bias"):
            (bias,) = variables
            bias.assign_add(np.repeat(np.float32([0, 1, 0, 0]), bias.shape[0] // 4))


def copy_weights(source: keras.Model, model: keras.Model) -> None:
    """Gives the reference model the weights of a model of `build_model("dim", ...)`."""
    values = {tf1_name(v): np.asarray(v.value) for v in source.trainable_variables}
    load_tf1_variables(model, values)


def copy_slots(
    source: keras.Model,
    source_optimizer: keras.optimizers.Optimizer,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
) -> None:
    """Gives the reference model's Adam the moments and the count of updates of another model's.

    Args:
        source: Of `build_model("dim", ...)`.
        source_optimizer: Its Adam.
        model: Of `build_reference`.
        optimizer: Its Adam, built.
    """
    for slot in ("momentum", "velocity"):
        given, taken = (
            [variable for variable in adam.variables if variable.name.endswith(slot)]
            for adam in (source_optimizer, optimizer)
        )
        values = {
            tf1_name(variable): np.asarray(moment.value)
            for variable, moment in zip(source.trainable_variables, given, strict=True)
        }
        moments = {
            variable.path: moment
            for variable, moment in zip(model.trainable_variables, taken, strict=True)
        }
        for name, variables in _variables(model).items():
            _share_out(values[name], name, [moments[variable.path] for variable in variables])
    optimizer.iterations.assign(source_optimizer.iterations.value)


def tf1_gradients(model: keras.Model, gradients: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """The reference model's gradients, under the authors' names and in their shapes."""
    pairs = zip(model.trainable_variables, gradients, strict=True)
    found = {variable.path: gradient for variable, gradient in pairs}
    named = {}
    for name, variables in _variables(model).items():
        array = np.concatenate([found[variable.path] for variable in variables])
        named[name] = _swap_gates(array) if "lstm_cell" in name else array
    return named


def _variables(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """TF1 name -> the variables that together hold it, one above the other."""
    reference = model.get_layer("reference")
    found = {}
    for width, convolution in zip(CHARACTER_WIDTHS, reference.convolutions, strict=True):
        found[f"characters/width_{width}/kernel"] = [convolution.kernel]
        found[f"characters/width_{width}/bias"] = [convolution.bias]
    for name in ("encoder", "matcher", "aggregator"):
        for layer, direction in zip(getattr(reference, name, ()), DIRECTIONS, strict=False):
            cell = layer.cell
            found[f"{name}/{direction}_kernel"] = [cell.kernel, cell.recurrent_kernel]
            found[f"{name}/{direction}_bias"] = [cell.bias]
    for path, attribute in (
        ("persona_pooling", "persona_scores"),
        ("prediction/hidden", "hidden"),
        ("prediction", "logits"),
    ):
        if dense := getattr(reference, attribute, None):
            found[f"{path}/kernel"], found[f"{path}/bias"] = [dense.kernel], [dense.bias]
    return {TF1_NAMES[path]: variables for path, variables in found.items()}


def _share_out(array: np.ndarray, name: str, variables: Sequence[keras.Variable]) -> None:
    """Sets the variables that together hold what TF1 has in one of this name."""
    array = np.asarray(array)
    if "lstm_cell" in name:
        array = _swap_gates(array)
    start = 0
    for variable in variables:  # a kernel has its input rows first, then those of the state
        variable.assign(array[start : start + variable.shape[0]])
        start += variable.shape[0]


def _swap_gates(array: np.ndarray) -> np.ndarray:
    """Gates i, j, f, o of the last axis to i, f, j, o, and back."""
    i, second, third, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, third, second, o], axis=-1)
