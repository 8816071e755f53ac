"""One update, compiled for the backend that Keras runs on.

Why not `Model.fit` or `train_on_batch`: a resumed run must draw the same dropout masks as one that
was never stopped, so the masks follow from (seed, number of the update) and not from a counter that
lives in the process; and `fit` refuses inputs whose leading sizes differ.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from dim_tf.config import TrainingConfig
from dim_tf.runtime.compile import Arrays, Form, backend_name, run_stateless, values
from dim_tf.training.losses import masked_accuracy, masked_cross_entropy


def adam(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """The paper's optimizer: Adam whose learning rate falls in steps."""
    schedule = keras.optimizers.schedules.ExponentialDecay(
        config.learning_rate, config.decay_steps, config.decay_rate, staircase=True
    )
    return keras.optimizers.Adam(schedule, beta_1=0.9, beta_2=0.999, epsilon=config.epsilon)


def learning_rate(config: TrainingConfig, update: int) -> float:
    """The learning rate that update number `update` (from 1) is made with.

    >>> learning_rate(TrainingConfig(), 5000), round(learning_rate(TrainingConfig(), 5001), 9)
    (0.001, 0.00096)
    """
    return config.learning_rate * config.decay_rate ** ((update - 1) // config.decay_steps)


def dropout_seeds(seed: int, update: int, layers: int) -> np.ndarray:
    """uint32 [layers, 2]: where each dropout layer's random numbers start in one update.

    >>> dropout_seeds(1, 1, 2).shape, (dropout_seeds(1, 1, 2) == dropout_seeds(1, 2, 2)).any()
    ((2, 2), np.False_)
    """
    return np.random.SeedSequence([seed, update]).generate_state(2 * layers).reshape(layers, 2)


class TrainingStep:
    """Makes updates: loss, gradients, optimizer, as one compiled function.

    Args:
        model: Built; takes a dict of arrays with `responses_len` among them.
        optimizer: Not used for another model before.
        seed: Of the dropout masks.
        samples: Inputs of some batches, where sizes are fixed to fit them to; without, each batch
            costs what the largest would.
        jit_compile: Whether TensorFlow compiles the update with XLA, for fixed sizes then.

    The Keras variables of model and optimizer are up to date after every update.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        seed: int,
        samples: Iterable[Arrays] = (),
        jit_compile: bool = False,
    ):
        optimizer.build(model.trainable_variables)
        self._seed = seed
        self._seed_states = _seed_states(model)
        self.form = Form(model, samples, jit_compile)
        make = {"tensorflow": _tensorflow_update, "jax": _jax_update}
        self._update = make[backend_name()](model, self.form, optimizer, self._seed_states)

    def update(self, number: int, inputs: Arrays, target: np.ndarray) -> tuple[Any, Any]:
        """Makes update `number` (from 1); returns (loss, accuracy) as the backend's scalars.

        They are those of the weights before the update. Turning them into floats waits for the
        device; until then the next update can be prepared.
        """
        seeds = dropout_seeds(self._seed, number, len(self._seed_states))
        return self._update(*self.form.pack(inputs), target, seeds)


def _tensorflow_update(model, form, optimizer, seed_states) -> Callable:
    import tensorflow as tf

    def update(batch, target, seeds, sizes):
        for state, value in zip(seed_states, tf.unstack(seeds), strict=True):
            state.assign(value)
        with tf.GradientTape() as tape:
            logits = form.call(batch, sizes, True)
            loss = _loss(batch, target, logits)
        gradients = tape.gradient(loss, values(model.trainable_variables))
        optimizer.apply(gradients, model.trainable_variables)
        return loss, _accuracy(batch, target, logits)

    any_target = tf.TensorSpec([None], tf.int32)
    any_seeds = tf.TensorSpec([len(seed_states), 2], tf.uint32)

    @functools.cache
    def compiled(sizes):
        signature = None if form.fixed else [form.signature(), any_target, any_seeds]
        return tf.function(
            lambda batch, target, seeds: update(batch, target, seeds, sizes),
            input_signature=signature,
            jit_compile=form.jit_compile,
        )

    return lambda batch, sizes, target, seeds: compiled(sizes)(
        batch, tf.cast(target, tf.int32), tf.convert_to_tensor(seeds)
    )


def _jax_update(model, form, optimizer, seed_states) -> Callable:
    import jax

    is_seed = {id(state) for state in seed_states}
    kept = [v for v in model.non_trainable_variables if id(v) not in is_seed]

    def loss_of(trainable, others, batch, sizes, target, seeds):
        found = iter(others), iter(seeds)
        non_trainable = [
            next(found[1] if id(v) in is_seed else found[0]) for v in model.non_trainable_variables
        ]
        logits, new = run_stateless(
            model, lambda: form.call(batch, sizes, training=True), trainable, non_trainable
        )
        pairs = zip(model.non_trainable_variables, new, strict=True)
        new_others = [value for v, value in pairs if id(v) not in is_seed]
        return _loss(batch, target, logits), (_accuracy(batch, target, logits), new_others)

    @functools.partial(jax.jit, static_argnames="sizes")
    def update(trainable, others, slots, batch, target, seeds, sizes):
        (loss, (accuracy, others)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            trainable, others, batch, sizes, target, seeds
        )
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return loss, accuracy, (trainable, others, slots)

    variables = (model.trainable_variables, kept, optimizer.variables)

    def run(batch, sizes, target, seeds):
        state = [values(group) for group in variables]
        loss, accuracy, new = update(*state, batch, target, seeds, sizes)
        for group, fresh in zip(variables, new, strict=True):
            for variable, value in zip(group, fresh, strict=True):
                variable.assign(value)
        return loss, accuracy

    return run


def _loss(inputs, target, logits):
    return masked_cross_entropy(target, logits, inputs["responses_len"] > 0)


def _accuracy(inputs, target, logits):
    return masked_accuracy(target, logits, inputs["responses_len"] > 0)


def _seed_states(model: keras.Model) -> list[Any]:
    """The variables from which the dropout layers draw, in the order of the model."""
    return [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
