"""How a model is run by a compiled program, on the backend that Keras runs on.

The inputs are a dict of arrays, whatever the model wants. A `MatchingModel` computes packed: on
TensorFlow in one program for all sizes; on JAX, and in TensorFlow's own compiler, in a few programs
for the sizes of a `Ladder`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from dim_tf.errors import ConfigError
from dim_tf.models.base import MatchingModel
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import EXACT, Ladder, Sizes, largest

Arrays = Mapping[str, np.ndarray]


class Form:
    """The form in which a model computes: packed if it has one, else from its public inputs.

    Args:
        model: Takes a dict of arrays and gives logits.
        samples: Inputs of some batches, where sizes are fixed to fit them to; without, each batch
            costs what the largest would.
        jit_compile: Whether TensorFlow compiles with XLA, for fixed sizes then.

    Attributes:
        packs: Whether the model has a packed form.
        fixed: Whether it runs in fixed sizes.
    """

    def __init__(
        self, model: keras.Model, samples: Iterable[Arrays] = (), jit_compile: bool = False
    ):
        self._model, self.jit_compile = model, jit_compile
        self.packs = isinstance(model, MatchingModel)
        self.fixed = self.packs and (jit_compile or backend_name() == "jax")
        self._ladders: dict[Any, Ladder] = {}
        self._samples: dict[Any, list[Arrays]] = {}
        for inputs in samples if self.fixed else ():
            self._samples.setdefault(_shapes(inputs), []).append(inputs)

    def call(self, batch: Mapping[str, Any], sizes: Sizes, training: bool = False):
        """Logits of a packed batch."""
        if self.packs:
            return self._model.packed(batch, sizes, training)
        return self._model(batch, training=training)

    def pack(self, inputs: Arrays) -> tuple[dict[str, Any], Sizes]:
        """The batch that `call` takes, made of public inputs, and its fixed sizes, if any."""
        if not self.packs:
            return dict(inputs), EXACT
        halves = self._model.halves
        if not self.fixed:
            return pack(inputs, halves), EXACT
        shapes = _shapes(inputs)
        if shapes not in self._ladders:
            samples = [Sizes.of(pack(one, halves)) for one in self._samples.get(shapes, ())]
            self._ladders[shapes] = Ladder(largest(dict(shapes), halves), samples)
        sizes = self._ladders[shapes].fit(Sizes.of(pack(inputs, halves)))
        return pack(inputs, halves, sizes), sizes

    def signature(self) -> Any:
        """TensorFlow's description of all batches, whatever their sizes."""
        import tensorflow as tf

        if not self.packs:
            tensors = keras.tree.flatten(self._model.inputs)
            return {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors}
        return described(self.pack(empty_inputs(self._model))[0])


def empty_inputs(model: keras.Model) -> dict[str, np.ndarray]:
    """One turn of nothing but padding: all arrays, and those axes that no batch changes."""
    tensors = keras.tree.flatten(model.inputs)
    return {
        tensor.name: np.zeros([1, *(size or 1 for size in tensor.shape[1:])], np.int32)
        for tensor in tensors
    }


def described(batch: Mapping[str, Any]) -> dict[str, Any]:
    """TensorFlow's description of batches like this one, but of other sizes."""
    import tensorflow as tf

    # Axes that are the same in all batches.
    fixed = {"live": (0,), "words_char": (1,), "encoded": (1,), "last": (1,)}

    def describe(name: str, value: Any) -> Any:
        if isinstance(value, Mapping):
            return described(value)
        axes = fixed.get(name, ())
        shape = [size if axis in axes else None for axis, size in enumerate(value.shape)]
        return tf.TensorSpec(shape, value.dtype)

    return {name: describe(name, value) for name, value in batch.items()}


def compiled(
    model: keras.Model, function: Callable[..., Any], signature: Callable[[], Any]
) -> Callable[[Mapping[str, Any], Sizes], Any]:
    """A pass through a model without dropout, with the weights of the moment.

    Args:
        model: Whose weights they are.
        function: `function(batch, sizes)`, of a dict of arrays.
        signature: Gives TensorFlow's description of the batches, whose sizes are exact there.
    """
    if backend_name() == "tensorflow":
        import tensorflow as tf

        forward = tf.function(lambda batch: function(batch, EXACT), input_signature=[signature()])
        return lambda batch, sizes: forward(batch)

    import jax

    @functools.partial(jax.jit, static_argnames="sizes")
    def stateless(trainable, other, batch, sizes):
        return run_stateless(model, lambda: function(batch, sizes), trainable, other)[0]

    return lambda batch, sizes: stateless(
        values(model.trainable_variables), values(model.non_trainable_variables), batch, sizes
    )


def run_stateless(model: keras.Model, function: Callable[[], Any], trainable, non_trainable):
    """What a function gives with these weights, and the new values of those not trained."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    with keras.StatelessScope(
        state_mapping=list(zip(variables, [*trainable, *non_trainable], strict=True))
    ) as scope:
        result = function()
    new = []
    for variable, value in zip(model.non_trainable_variables, non_trainable, strict=True):
        changed = scope.get_current_value(variable)
        new.append(value if changed is None else changed)
    return result, new


def values(variables) -> list[Any]:
    """The backend's tensors of Keras variables."""
    return [variable.value for variable in variables]


def backend_name() -> str:
    """The backend, one of those that can train here."""
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax"):
        raise ConfigError(f"KERAS_BACKEND: found {name!r}, expected tensorflow or jax")
    return name


def _shapes(inputs: Arrays) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, inputs[name].shape) for name in sorted(inputs))
