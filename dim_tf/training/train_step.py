"""One update, compiled for the backend that Keras runs on.

`Model.fit` and `train_on_batch` do not serve: a resumed run must draw the same dropout masks as an
uninterrupted one, so masks depend on (seed, number of the update) instead of a counter in the
process; and `fit` refuses inputs of different leading sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
from keras import ops

from dim_tf.config import TrainingConfig
from dim_tf.packing.buckets import EXACT, BucketShape
from dim_tf.packing.layout import PackedBatch, Tensor
from dim_tf.runtime.compile import (
    Arrays,
    Batch,
    Executor,
    backend_name,
    present_candidates,
    run_stateless,
    tensor_specs,
    variable_values,
)
from dim_tf.training.losses import Loss, masked_accuracy, masked_cross_entropy

Update = Callable[[Batch, np.ndarray, np.ndarray], tuple[Tensor, Tensor]]


def adam(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """The paper's optimizer: Adam with a learning rate that falls in steps."""
    return keras.optimizers.Adam(
        StepDecay(config), beta_1=0.9, beta_2=0.999, epsilon=config.epsilon
    )


class StepDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate that falls in steps.

    Keras' `ExponentialDecay` may fall one update late on JAX, where XLA multiplies by the inverse
    of `decay_steps`, and rounds.
    """

    def __init__(self, config: TrainingConfig) -> None:
        self._config = config
        self._steps = min(config.decay_steps, 2**31 - 1)  # an int32 on JAX

    def __call__(self, step: Tensor) -> Tensor:
        """The learning rate after `step` updates, float32."""
        decays = ops.cast(ops.floor_divide(step, self._steps), "float32")
        return self._config.learning_rate * ops.power(self._config.decay_rate, decays)


def learning_rate(config: TrainingConfig, update: int) -> float:
    """The learning rate of update number `update` (from 1).

    >>> learning_rate(TrainingConfig(), 5000), round(learning_rate(TrainingConfig(), 5001), 9)
    (0.001, 0.00096)
    """
    return config.learning_rate * config.decay_rate ** ((update - 1) // config.decay_steps)


def dropout_seeds(seed: int, update: int, layers: int) -> np.ndarray:
    """The state of each dropout layer's random numbers in one update, uint32 [layers, 2].

    >>> dropout_seeds(1, 1, 2).shape, (dropout_seeds(1, 1, 2) == dropout_seeds(1, 2, 2)).any()
    ((2, 2), np.False_)
    """
    return np.random.SeedSequence([seed, update]).generate_state(2 * layers).reshape(layers, 2)


class TrainingStep:
    """Makes updates: loss, gradients, optimizer, as one compiled function.

    The Keras variables of model and optimizer are up to date after every update.

    Args:
        model: keras.Model. Built; takes a dict of arrays with `responses_len` among them.
        optimizer: keras.optimizers.Optimizer. Not used for another model before.
        seed: int. Seed of the dropout masks.
        samples: As for `Executor`.
        jit_compile: bool. Whether TensorFlow compiles the update with XLA, for fixed sizes.
        loss: callable. One of `dim_tf.training.losses`.

    Attributes:
        executor: Executor. Packs and runs batches.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        seed: int,
        samples: Iterable[Arrays] = (),
        jit_compile: bool = False,
        loss: Loss = masked_cross_entropy,
    ) -> None:
        optimizer.build(model.trainable_variables)
        self._seed = seed
        self._seed_states = _seed_states(model)
        self.executor = Executor(model, samples, jit_compile)
        make = {"tensorflow": _tensorflow_update, "jax": _jax_update}[backend_name()]
        self._update = make(model, self.executor, optimizer, self._seed_states, loss)

    def update(self, number: int, inputs: Arrays, target: np.ndarray) -> tuple[Tensor, Tensor]:
        """Makes update `number` (from 1); returns (loss, accuracy) as the backend's scalars.

        They are those of the weights before the update. Turning them into floats waits for the
        device; until then the next update can be prepared.
        """
        seeds = dropout_seeds(self._seed, number, len(self._seed_states))
        return self._update(self.executor.pack(inputs), target, seeds)


def _tensorflow_update(
    model: keras.Model,
    executor: Executor,
    optimizer: keras.optimizers.Optimizer,
    seed_states: Sequence[keras.Variable],
    loss_of_logits: Loss,
) -> Update:
    import tensorflow as tf

    fixed = executor.fixed

    def update(batch: Batch, target: Tensor, seeds: Tensor) -> tuple[Tensor, Tensor]:
        for state, value in zip(seed_states, tf.unstack(seeds), strict=True):
            state.assign(value)
        with tf.GradientTape() as tape:
            logits = executor.logits(batch, training=True)
            loss = loss_of_logits(target, logits, present_candidates(batch))
        variables = variable_values(model.trainable_variables)
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        # The gradient of an embedding has a row for each word of the batch. Keras' Adam would
        # square these rows, not the sum of those of the same word.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        optimizer.apply(gradients, model.trainable_variables)
        return loss, masked_accuracy(target, logits, present_candidates(batch))

    def compiled(structure: Batch) -> Callable[..., tuple[Tensor, Tensor]]:
        signature = None
        if not fixed:
            any_target = tf.TensorSpec([None], tf.int32)
            any_seeds = tf.TensorSpec([len(seed_states), 2], tf.uint32)
            signature = [any_target, any_seeds, *tensor_specs(structure)]

        def update_leaves(target: Tensor, seeds: Tensor, *leaves: Tensor) -> tuple[Tensor, Tensor]:
            return update(keras.tree.pack_sequence_as(structure, leaves), target, seeds)

        return tf.function(
            update_leaves, input_signature=signature, jit_compile=executor.jit_compile
        )

    programs: dict[BucketShape, Callable[..., tuple[Tensor, Tensor]]] = {}

    def run(batch: Batch, target: np.ndarray, seeds: np.ndarray) -> tuple[Tensor, Tensor]:
        bucket = BucketShape.of(batch) if isinstance(batch, PackedBatch) and fixed else EXACT
        if bucket not in programs:
            programs[bucket] = compiled(batch if fixed else executor.example())
        return programs[bucket](
            tf.cast(target, tf.int32), tf.convert_to_tensor(seeds), *keras.tree.flatten(batch)
        )

    return run


def _jax_update(
    model: keras.Model,
    executor: Executor,
    optimizer: keras.optimizers.Optimizer,
    seed_states: Sequence[keras.Variable],
    loss_of_logits: Loss,
) -> Update:
    import jax

    is_seed = {id(state) for state in seed_states}
    kept = [v for v in model.non_trainable_variables if id(v) not in is_seed]
    groups = (model.trainable_variables, kept, optimizer.variables)

    def loss_of(
        trainable: list[Tensor], other: list[Tensor], batch: Batch, target: Tensor, seeds: Tensor
    ) -> tuple[Tensor, tuple[Tensor, list[Tensor]]]:
        fresh = {True: iter(seeds), False: iter(other)}
        non_trainable = [next(fresh[id(v) in is_seed]) for v in model.non_trainable_variables]
        logits, new = run_stateless(
            model, lambda: executor.logits(batch, training=True), trainable, non_trainable
        )
        pairs = zip(model.non_trainable_variables, new, strict=True)
        new_other = [value for v, value in pairs if id(v) not in is_seed]
        present = present_candidates(batch)
        loss = loss_of_logits(target, logits, present)
        return loss, (masked_accuracy(target, logits, present), new_other)

    @jax.jit
    def update(
        state: list[list[Tensor]], batch: Batch, target: Tensor, seeds: Tensor
    ) -> tuple[Tensor, Tensor, list[list[Tensor]]]:
        trainable, other, slots = state
        (loss, (accuracy, other)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
            trainable, other, batch, target, seeds
        )
        trainable, slots = optimizer.stateless_apply(slots, gradients, trainable)
        return loss, accuracy, [trainable, other, slots]

    def run(batch: Batch, target: np.ndarray, seeds: np.ndarray) -> tuple[Tensor, Tensor]:
        state = [variable_values(group) for group in groups]
        loss, accuracy, new = update(state, batch, target, seeds)
        for group, values in zip(groups, new, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return loss, accuracy

    return run


def _seed_states(model: keras.Model) -> list[keras.Variable]:
    """The variables from which the dropout layers draw, in the order of the model."""
    return [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]
