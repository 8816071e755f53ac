"""One update, and one forward pass, compiled for the backend that Keras runs on.

Why not `Model.fit` or `train_on_batch`: a resumed run must draw the same dropout masks as one that
was never stopped, so the masks follow from (seed, number of the update) and not from a counter that
lives in the process; and `fit` refuses inputs whose leading sizes differ.

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

from dim_tf.batching import pack
from dim_tf.config import TrainingConfig
from dim_tf.errors import ConfigError
from dim_tf.losses import masked_accuracy, masked_cross_entropy
from dim_tf.models.base import MatchingModel
from dim_tf.sizes import EXACT, Ladder, Sizes, largest

Arrays = Mapping[str, np.ndarray]


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
        self._form = _Form(model, samples, jit_compile)
        make = {"tensorflow": _tensorflow_update, "jax": _jax_update}
        self._update = make[_backend()](model, self._form, optimizer, self._seed_states)

    def update(self, number: int, inputs: Arrays, target: np.ndarray) -> tuple[Any, Any]:
        """Makes update `number` (from 1); returns (loss, accuracy) as the backend's scalars.

        They are those of the weights before the update. Turning them into floats waits for the
        device; until then the next update can be prepared.
        """
        seeds = dropout_seeds(self._seed, number, len(self._seed_states))
        return self._update(*self._form.pack(inputs), target, seeds)


class Scorer:
    """Scores candidates without dropout, with the weights of the moment.

    Args:
        model: Takes a dict of arrays and gives logits.
        samples: As for `TrainingStep`.
    """

    def __init__(self, model: keras.Model, samples: Iterable[Arrays] = ()):
        self._form = _Form(model, samples)
        make = {"tensorflow": _tensorflow_forward, "jax": _jax_forward}
        self._forward = make[_backend()](model, self._form)

    def __call__(self, inputs: Arrays) -> np.ndarray:
        """float32 [B, C]: the raw logit of every slot, absent ones too."""
        return np.asarray(self._forward(*self._form.pack(inputs)), "float32")


def value_and_gradients(
    model: keras.Model, inputs: Arrays, target: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """The loss without dropout, and its gradient for each of `model.trainable_variables`.

    Compiled anew in each call where a backend is slow without: this is for a few calls, not for
    training.
    """
    form = _Form(model, ())
    batch, sizes = form.pack(inputs)
    variables = _values(model.trainable_variables)
    if _backend() == "jax":
        import jax

        other = _values(model.non_trainable_variables)

        def loss_of(trainable):
            logits, _ = _stateless(model, form, trainable, other, batch, sizes, False)
            return _loss(batch, target, logits)

        loss, gradients = jax.jit(jax.value_and_grad(loss_of))(variables)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = _loss(batch, target, form.call(batch, sizes, False))
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
    return float(loss), [np.asarray(gradient) for gradient in gradients]


class _Form:
    """The form in which a model computes: packed if it has one, else from its public inputs."""

    def __init__(self, model: keras.Model, samples: Iterable[Arrays], jit_compile: bool = False):
        self._model, self.jit_compile = model, jit_compile
        self._packs = isinstance(model, MatchingModel)
        self.fixed = self._packs and (jit_compile or _backend() == "jax")
        self._ladders: dict[Any, Ladder] = {}
        self._samples: dict[Any, list[Arrays]] = {}
        for inputs in samples if self.fixed else ():
            self._samples.setdefault(_shapes(inputs), []).append(inputs)

    def call(self, batch: Mapping[str, Any], sizes: Sizes, training: bool):
        """Logits of a packed batch."""
        if self._packs:
            return self._model.packed(batch, sizes, training)
        return self._model(batch, training=training)

    def pack(self, inputs: Arrays) -> tuple[dict[str, Any], Sizes]:
        """The batch that `call` takes, made of public inputs, and its fixed sizes, if any."""
        if not self._packs:
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

        tensors = {tensor.name: tensor for tensor in keras.tree.flatten(self._model.inputs)}
        if not self._packs:
            return {name: tf.TensorSpec(t.shape, t.dtype) for name, t in tensors.items()}
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        # One turn of nothing but padding has all arrays, and those axes that no batch changes.
        empty = {
            name: np.zeros([1, *(size or 1 for size in shape[1:])], np.int32)
            for name, shape in shapes.items()
        }
        batch, _ = self.pack(empty)

        def describe(path: tuple[str, ...], array: np.ndarray) -> tf.TensorSpec:
            fixed = {"live": (0,), "words_char": (1,)}.get(path[-1], ())
            shape = [size if axis in fixed else None for axis, size in enumerate(array.shape)]
            return tf.TensorSpec(shape, array.dtype)

        return _described(batch, describe)


def _described(batch: Mapping[str, Any], describe: Callable, path: tuple[str, ...] = ()) -> Any:
    return {
        name: _described(value, describe, (*path, name))
        if isinstance(value, Mapping)
        else describe((*path, name), value)
        for name, value in batch.items()
    }


def _shapes(inputs: Arrays) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, inputs[name].shape) for name in sorted(inputs))


def _tensorflow_forward(model, form) -> Callable:
    import tensorflow as tf

    forward = tf.function(
        lambda batch: form.call(batch, EXACT, False), input_signature=[form.signature()]
    )
    return lambda batch, sizes: forward(batch)


def _jax_forward(model, form) -> Callable:
    import jax

    @functools.partial(jax.jit, static_argnames="sizes")
    def forward(trainable, other, batch, sizes):
        return _stateless(model, form, trainable, other, batch, sizes, False)[0]

    return lambda batch, sizes: forward(
        _values(model.trainable_variables), _values(model.non_trainable_variables), batch, sizes
    )


def _tensorflow_update(model, form, optimizer, seed_states) -> Callable:
    import tensorflow as tf

    def update(batch, target, seeds, sizes):
        for state, value in zip(seed_states, tf.unstack(seeds), strict=True):
            state.assign(value)
        with tf.GradientTape() as tape:
            logits = form.call(batch, sizes, True)
            loss = _loss(batch, target, logits)
        gradients = tape.gradient(loss, _values(model.trainable_variables))
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
        logits, new = _stateless(model, form, trainable, non_trainable, batch, sizes, True)
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
        state = [_values(group) for group in variables]
        loss, accuracy, new = update(*state, batch, target, seeds, sizes)
        for group, values in zip(variables, new, strict=True):
            for variable, value in zip(group, values, strict=True):
                variable.assign(value)
        return loss, accuracy

    return run


def _stateless(model, form, trainable, non_trainable, batch, sizes, training):
    """Logits, and the new values of the variables that are not trained."""
    variables = [*model.trainable_variables, *model.non_trainable_variables]
    with keras.StatelessScope(
        state_mapping=list(zip(variables, [*trainable, *non_trainable], strict=True))
    ) as scope:
        logits = form.call(batch, sizes, training)
    new = []
    for variable, value in zip(model.non_trainable_variables, non_trainable, strict=True):
        changed = scope.get_current_value(variable)
        new.append(value if changed is None else changed)
    return logits, new


def _loss(inputs, target, logits):
    return masked_cross_entropy(target, logits, inputs["responses_len"] > 0)


def _accuracy(inputs, target, logits):
    return masked_accuracy(target, logits, inputs["responses_len"] > 0)


def _values(variables) -> list[Any]:
    return [variable.value for variable in variables]


def _seed_states(model: keras.Model) -> list[Any]:
    """The variables from which the dropout layers draw, in the order of the model."""
    return [v for v in model.non_trainable_variables if v.name == "seed_generator_state"]


def _backend() -> str:
    name = keras.backend.backend()
    if name not in ("tensorflow", "jax"):
        raise ConfigError(f"KERAS_BACKEND: found {name!r}, expected tensorflow or jax")
    return name
