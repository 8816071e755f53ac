"""Compiled programs of a model, for the backend that Keras runs on.

The inputs are a dict of arrays, whatever the model takes. A `MatchingModel` computes packed: on
TensorFlow in one program for all sizes; on JAX, and in TensorFlow's XLA, in one program for each of
a few `SizeBuckets`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from dim_tf.models.base import MatchingModel
from dim_tf.models.inputs import empty_inputs, input_names
from dim_tf.packing import layout
from dim_tf.packing.batch import pack
from dim_tf.packing.buckets import BucketShape, SizeBuckets, largest_shape
from dim_tf.packing.layout import PackedBatch, Tensor
from dim_tf.runtime.backend import check_backend

Arrays = Mapping[str, np.ndarray]
Batch = PackedBatch | Arrays

if keras.backend.backend() == "jax":
    from jax.tree_util import register_pytree_node

    for structure in layout.Tree.__subclasses__():
        register_pytree_node(structure, lambda t: t.tree_flatten()[:2], structure.tree_unflatten)


class Executor:
    """Runs a model on batches: packed if it supports that, else from its public inputs.

    Args:
        model: keras.Model. Takes a dict of arrays and returns logits.
        samples: Inputs of some batches, to fit fixed sizes to. Without samples, where sizes are
            fixed, each batch costs as much as the largest possible one.
        jit_compile: bool. Whether TensorFlow compiles with XLA, for fixed sizes.

    Attributes:
        names: list of str. The inputs that the model reads.
        supports_packing: bool. Whether the model runs on packed batches.
        fixed: bool. Whether it runs in fixed sizes.
    """

    def __init__(
        self, model: keras.Model, samples: Iterable[Arrays] = (), jit_compile: bool = False
    ) -> None:
        self._model, self.jit_compile = model, jit_compile
        self.names = input_names(model)
        self.supports_packing = isinstance(model, MatchingModel)
        self.fixed = self.supports_packing and (jit_compile or backend_name() == "jax")
        self._buckets: dict[Any, SizeBuckets] = {}
        self._samples: dict[Any, list[Arrays]] = {}
        for inputs in samples if self.fixed else ():
            self._samples.setdefault(_shapes(inputs), []).append(inputs)

    def logits(self, batch: Batch, training: bool = False) -> Tensor:
        """The logits of a batch of `pack`, [B, C]."""
        if self.supports_packing:
            return self._model.forward(batch, training)
        return self._model(batch, training=training)

    def pack(self, inputs: Arrays) -> Batch:
        """The batch for `logits`, made of public inputs; filled up to a bucket if sizes are fixed.

        A model that does not run on packed batches takes the inputs as they are.
        """
        if not self.supports_packing:
            return {name: inputs[name] for name in self.names}
        sources = self._model.sources
        exact = pack(inputs, sources)
        if not self.fixed:
            return exact
        shapes = _shapes(inputs)
        if shapes not in self._buckets:
            samples = [BucketShape.of(pack(one, sources)) for one in self._samples.get(shapes, ())]
            largest = largest_shape(dict(shapes), sources)
            self._buckets[shapes] = SizeBuckets(largest, samples)
        return pack(inputs, sources, self._buckets[shapes].smallest(BucketShape.of(exact)))

    def example(self) -> Batch:
        """A batch with the structure and dtypes of all: one turn of padding, or symbolic."""
        if self.supports_packing:
            return self.pack(empty_inputs(self._model.inputs))
        return {tensor.name: tensor for tensor in keras.tree.flatten(self._model.inputs)}


def present_candidates(batch: Batch) -> Tensor:
    """Which candidates of a batch are present, bool [B, C]."""
    lengths = batch.responses_len if isinstance(batch, PackedBatch) else batch["responses_len"]
    return lengths > 0


def tensor_specs(example: Any) -> list[Any]:
    """TensorFlow's specifications of the arrays of batches like this one, of any size."""
    import tensorflow as tf

    # `states` and `last` are those of `dim_tf.runtime.scorer.CachedScorer`.
    fixed_axes = {"batch_sizes": 0, "characters": 1, "states": 1, "last": 1}

    def spec(path: tuple[Any, ...], leaf: Any) -> Any:
        if isinstance(leaf, keras.KerasTensor):
            return tf.TensorSpec(leaf.shape, leaf.dtype)
        axis = fixed_axes.get(path[-1])
        return tf.TensorSpec(
            [n if k == axis else None for k, n in enumerate(leaf.shape)], leaf.dtype
        )

    return [spec(path, leaf) for path, leaf in keras.tree.flatten_with_path(example)]


def compile_forward(
    model: keras.Model, function: Callable[[Any], Any], example: Callable[[], Any]
) -> Callable[[Any], Any]:
    """Compiles a pass through a model without dropout, with its current weights.

    Args:
        model: keras.Model. The model.
        function: Takes a batch: a tree of arrays.
        example: Returns a batch; TensorFlow compiles for its structure and any sizes.
    """
    if backend_name() == "tensorflow":
        import tensorflow as tf

        structure = example()

        @tf.function(input_signature=tensor_specs(structure))
        def forward(*leaves: Tensor) -> Any:
            return function(keras.tree.pack_sequence_as(structure, leaves))

        return lambda batch: forward(*keras.tree.flatten(batch))

    import jax

    @jax.jit
    def stateless(trainable: Any, non_trainable: Any, batch: Any) -> Any:
        return run_stateless(model, lambda: function(batch), trainable, non_trainable)[0]

    return lambda batch: stateless(
        variable_values(model.trainable_variables),
        variable_values(model.non_trainable_variables),
        batch,
    )


def run_stateless(
    model: keras.Model,
    function: Callable[[], Any],
    trainable: Sequence[Tensor],
    non_trainable: Sequence[Tensor],
) -> tuple[Any, list[Tensor]]:
    """The result of a function with these weights, and the new values of those not trained."""
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


def variable_values(variables: Iterable[keras.Variable]) -> list[Tensor]:
    """The backend's tensors of Keras variables."""
    return [variable.value for variable in variables]


def backend_name() -> str:
    """The backend: tensorflow or jax. Raises `ConfigError` for another one."""
    name = str(keras.backend.backend())
    check_backend(name)
    return name


def _shapes(inputs: Arrays) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, inputs[name].shape) for name in sorted(inputs))
