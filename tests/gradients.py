"""Loss and gradients of a model of either backend, by plain means."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from dim_tf.runtime.compile import Arrays, Form, backend_name, run_stateless, values
from dim_tf.training.losses import masked_cross_entropy


def value_and_gradients(
    model: keras.Model, inputs: Arrays, target: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """The loss without dropout, and its gradient for each of `model.trainable_variables`.

    Each call compiles again where a backend is slow without: this is for a few calls, not for
    training.
    """
    form = Form(model)
    batch, sizes = form.pack(inputs)
    variables = values(model.trainable_variables)
    if backend_name() == "jax":
        import jax

        other = values(model.non_trainable_variables)

        def loss_of(trainable):
            logits, _ = run_stateless(model, lambda: form.call(batch, sizes), trainable, other)
            return loss_of_logits(batch, target, logits)

        loss, gradients = jax.jit(jax.value_and_grad(loss_of))(variables)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = loss_of_logits(batch, target, form.call(batch, sizes))
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    return float(loss), [np.asarray(gradient) for gradient in gradients]


def loss_of_logits(inputs: Any, target: np.ndarray, logits: Any) -> Any:
    return masked_cross_entropy(target, logits, inputs["responses_len"] > 0)
