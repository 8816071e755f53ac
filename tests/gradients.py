"""Loss and gradients of a model of either backend, by plain means."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from dim_tf.packing.in_graph import pack_in_graph
from dim_tf.runtime.compile import (
    Arrays,
    Executor,
    backend_name,
    present_candidates,
    run_stateless,
    variable_values,
)
from dim_tf.training.losses import masked_cross_entropy


def value_and_gradients(
    model: keras.Model, inputs: Arrays, target: np.ndarray, padded: bool = False
) -> tuple[float, list[np.ndarray]]:
    """The loss without dropout, and its gradient for each of `model.trainable_variables`.

    Each call compiles again where a backend is slow without: this is for a few calls.
    """
    executor = Executor(model)
    batch = executor.pack(inputs)
    if padded:
        tensors = {name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()}
        batch = pack_in_graph(tensors, model.sources, padded=True)
    variables = variable_values(model.trainable_variables)
    if backend_name() == "jax":
        import jax

        other = variable_values(model.non_trainable_variables)

        def loss_of(trainable):
            logits, _ = run_stateless(model, lambda: executor.logits(batch), trainable, other)
            return loss_of_logits(batch, target, logits)

        loss, gradients = jax.jit(jax.value_and_grad(loss_of))(variables)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of_logits(batch, target, executor.logits(batch))
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        gradients = map(tf.convert_to_tensor, gradients)  # that of an embedding is sparse
    return float(loss), [np.asarray(gradient) for gradient in gradients]


def loss_of_logits(batch: Any, target: np.ndarray, logits: Any) -> Any:
    return masked_cross_entropy(target, logits, present_candidates(batch))
