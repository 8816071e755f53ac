import keras
import numpy as np
import pytest

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.evaluation.metrics import ranks
from dim_tf.packing.buckets import FRACTIONS, BucketShape
from dim_tf.runtime.scorer import Scorer
from dim_tf.systems.registry import build_model
from dim_tf.training.train_step import StepDecay, TrainingStep, adam, learning_rate
from tests.gradients import value_and_gradients
from tests.random_model import CONFIG, random_inputs, word_table
from tests.tiny import build_tiny

pytestmark = pytest.mark.backend
RNG = np.random.default_rng(0)


def tiny(dropout=0.0):
    keras.utils.set_random_seed(5)
    config = ModelConfig(
        char_vocab_size=3, word_dim=6, rnn_units=4, max_utterances=2, dropout=dropout
    )
    vectors = np.random.default_rng(1).normal(size=(30, 6)).astype("float32")
    return build_tiny(config, vectors)


def batch(model, size, candidates=5):
    """Random inputs of the shapes that the model wants."""
    inputs = {}
    for name, tensor in model.input.items():
        shape = [size if axis == 0 else n or candidates for axis, n in enumerate(tensor.shape)]
        inputs[name] = RNG.integers(1, 3 if "char" in name else 6, shape).astype("int32")
    inputs["utterances_num"] = np.minimum(inputs["utterances_num"], 2)
    inputs["responses_len"][0, -1] = 0
    return inputs, RNG.integers(0, candidates - 1, size).astype("int32")


def inputs_of(size):
    return {
        "x": keras.Input((size,), name="x"),
        "responses_len": keras.Input((size,), dtype="int32", name="responses_len"),
    }


def weights(model):
    return [np.asarray(variable.value) for variable in model.trainable_variables]


def check_updates(model, config, draw):
    """Five updates are those of Adam in NumPy, fed with the gradients of the model."""
    step = TrainingStep(model, adam(config), seed=1)
    expected = [value.astype("float64") for value in weights(model)]
    first = [np.zeros_like(value) for value in expected]
    second = [np.zeros_like(value) for value in expected]
    for number in range(1, 6):
        inputs, target = draw()
        before, gradients = value_and_gradients(model, inputs, target)
        loss, _ = step.update(number, inputs, target)
        assert float(loss) == pytest.approx(before, rel=1e-6)
        rate = config.learning_rate * config.decay_rate ** ((number - 1) // config.decay_steps)
        for value, gradient, m, v in zip(expected, gradients, first, second, strict=True):
            m += 0.1 * (gradient - m)
            v += 0.001 * (gradient**2 - v)
            corrected = rate * np.sqrt(1 - 0.999**number) / (1 - 0.9**number)
            value -= corrected * m / (np.sqrt(v) + 1e-8)
        for found, value in zip(weights(model), expected, strict=True):
            np.testing.assert_allclose(found, value, atol=1e-6)


def test_updates_equal_a_numpy_adam_fed_with_the_gradients():
    model = tiny()
    config = TrainingConfig(learning_rate=0.01, decay_steps=2, decay_rate=0.5)
    check_updates(model, config, lambda: batch(model, 3))


def test_a_word_that_occurs_often_is_updated_once():
    """The gradient of a word vector is the sum over its occurrences."""
    model = build_model("starspace", CONFIG, word_table())

    def draw():
        inputs = random_inputs(RNG)
        inputs["responses_len"][:, 1] = 3
        names = [tensor.name for tensor in keras.tree.flatten(model.inputs)]
        return {name: inputs[name] for name in names}, np.ones(4, "int32")

    check_updates(model, TrainingConfig(), draw)


def test_a_weight_that_is_not_used_stays():
    inputs = inputs_of(3)
    used, unused = (keras.layers.Dense(3) for _ in range(2))
    model = keras.Model(inputs, used(inputs["x"]))
    model.unused = unused
    unused.build((None, 3))
    before = np.asarray(unused.kernel.value)
    step = TrainingStep(model, adam(TrainingConfig()), seed=1)
    arrays = {"x": np.ones((1, 3), "float32"), "responses_len": np.ones((1, 3), "int32")}
    step.update(1, arrays, np.array([0], "int32"))
    assert any(variable is unused.kernel for variable in model.trainable_variables)
    np.testing.assert_array_equal(np.asarray(unused.kernel.value), before)


def test_the_learning_rate_falls_on_time():
    """On JAX compiled, as an update is: XLA's division of floats rounds some of these down."""
    config = TrainingConfig(learning_rate=1.0, decay_rate=0.5, decay_steps=41)
    schedule = StepDecay(config)
    if keras.backend.backend() == "jax":
        import jax

        schedule = jax.jit(schedule)
    for update in (41, 42, 82, 83, 164, 165, 287, 288, 328, 329):
        found = float(schedule(np.int32(update - 1)))
        assert found == pytest.approx(learning_rate(config, update), rel=1e-6)


def test_accuracy_is_that_of_the_scores():
    model = tiny()
    inputs, target = batch(model, 40)
    expected = np.mean(ranks(Scorer(model)(inputs), target, inputs["responses_len"] > 0) == 1)
    _, accuracy = TrainingStep(model, adam(TrainingConfig()), seed=1).update(1, inputs, target)
    assert float(accuracy) == pytest.approx(expected)


def test_dropout_follows_from_seed_and_update_alone():
    def loss(seed, number, disturbed=False):
        model = tiny(dropout=0.5)
        step = TrainingStep(model, adam(TrainingConfig(learning_rate=1e-12)), seed)
        if disturbed:
            step.update(3, *data)
        return float(step.update(number, *data)[0])

    data = batch(tiny(), 8)
    first = loss(1, 7)
    assert loss(1, 7, disturbed=True) == pytest.approx(first, abs=1e-6)
    others = [loss(1, 8), loss(2, 7), value_and_gradients(tiny(), *data)[0]]
    assert len({round(value, 5) for value in [first, *others]}) == 4


def test_dropout_layers_draw_different_masks():
    inputs = inputs_of(64)
    halves = [keras.layers.Dropout(0.5)(inputs["x"]) for _ in range(2)]
    bias = keras.layers.Dense(64, kernel_initializer="zeros")
    model = keras.Model(inputs, keras.ops.add(keras.ops.multiply(*halves), bias(inputs["x"])))
    step = TrainingStep(model, adam(TrainingConfig()), seed=1)
    arrays = {"x": np.ones((1, 64), "float32"), "responses_len": np.ones((1, 64), "int32")}
    loss, _ = step.update(1, arrays, np.array([0], "int32"))
    # With one mask for both layers about half of the products would be 4, not a quarter.
    kept = [n for n in range(65) if abs(_loss_of_kept(n) - float(loss)) < 1e-4]
    kept += [n for n in range(65) if abs(_loss_of_kept(n) - 4 - float(loss)) < 1e-4]
    assert kept
    assert 4 <= kept[0] <= 26


def _loss_of_kept(number):
    """The loss if the gold logit is 0 and, of 64 logits, `number` are 4 and the others 0."""
    return np.log(number * np.exp(4.0) + 64 - number)


def test_moving_statistics_are_kept():
    inputs = inputs_of(4)
    normalised = keras.layers.BatchNormalization(momentum=0.5)
    model = keras.Model(inputs, normalised(inputs["x"]))
    step = TrainingStep(model, adam(TrainingConfig()), seed=1)
    arrays = {"x": np.full((8, 4), 6.0, "float32"), "responses_len": np.ones((8, 4), "int32")}
    step.update(1, arrays, np.zeros(8, "int32"))
    np.testing.assert_allclose(np.asarray(normalised.moving_mean.value), 3.0, rtol=1e-6)


def test_a_scorer_uses_current_weights_for_any_size():
    model = tiny(dropout=0.5)
    scorer = Scorer(model)
    inputs, _ = batch(model, 3)
    before = scorer(inputs)
    assert before.shape == (3, 5)
    assert before.dtype == np.float32
    np.testing.assert_array_equal(scorer(inputs), before)
    for variable in model.trainable_variables:
        variable.assign(variable.value * 2.0)
    assert not np.allclose(scorer(inputs), before)
    assert scorer(batch(model, 2, candidates=7)[0]).shape == (2, 7)


SHORT = CONFIG.replace(
    max_utterances=2,
    max_utterance_len=2,
    max_response_len=2,
    max_profiles=2,
    max_profile_len=2,
    rnn_units=3,
    dropout=0.0,
)


@pytest.fixture(scope="module")
def dim():
    """A model that computes packed."""
    return build_model("dim", SHORT, word_table())


def random_epoch(rng, batch=16, last=5):
    """Batches of turns, the last of them smaller."""
    return [random_inputs(rng, SHORT, size) for size in (*[batch] * 15, last)]


def compiled_for(executor, batches):
    """The shapes, types and sizes of packed batches: a program is compiled for each."""
    found = set()
    for inputs in batches:
        batch = executor.pack(inputs)
        arrays = keras.tree.flatten(batch)
        shapes = tuple((array.shape, str(array.dtype)) for array in arrays)
        found.add((shapes, BucketShape.of(batch)))
    return found


def test_programs_with_fixed_sizes_are_few(dim):
    """Two epochs: of training, and of scoring; a smaller last batch has sizes of its own."""
    rng = np.random.default_rng(6)
    samples = random_epoch(rng)
    batches = [inputs for _ in range(2) for inputs in random_epoch(rng)]
    on_jax = keras.backend.backend() == "jax"
    step = TrainingStep(dim, adam(TrainingConfig()), 1, samples, jit_compile=not on_jax)
    executors = [step.executor, *([Scorer(dim, samples).executor] if on_jax else [])]
    for executor in executors:
        assert executor.fixed
        found = compiled_for(executor, batches)
        assert len({sizes for _, sizes in found}) == len(found)
        assert 2 <= len(found) <= 2 * (len(FRACTIONS) + 1) == 8


def test_fewer_candidates_have_programs_of_their_own(dim):
    """A schedule of negatives gives samples of each number of candidates."""
    rng = np.random.default_rng(8)
    shorts = [SHORT.replace(max_candidates=count) for count in (3, 5)]
    batches = [random_inputs(rng, short, 16) for short in shorts * 30]
    on_jax = keras.backend.backend() == "jax"
    step = TrainingStep(dim, adam(TrainingConfig()), 1, batches, jit_compile=not on_jax)
    assert len(compiled_for(step.executor, batches)) <= 2 * len(FRACTIONS)


def test_without_samples_there_is_one_program_for_each_shape(dim):
    rng = np.random.default_rng(7)
    on_jax = keras.backend.backend() == "jax"
    step = TrainingStep(dim, adam(TrainingConfig()), seed=1, jit_compile=not on_jax)
    assert len(compiled_for(step.executor, random_epoch(rng))) == 2


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a compiler of TensorFlow's")
def test_an_update_compiled_by_xla_is_the_same():
    """And the other program takes batches of all sizes. Half a model compiles in half the time."""
    dim = build_model("dim", SHORT.replace(use_persona=False), word_table())
    rng = np.random.default_rng(8)
    data = [(random_inputs(rng, SHORT, size), np.ones(size, "int32")) for size in (4, 3)]
    for inputs, _ in data:
        inputs["responses_len"][:, 1] = 2
    start = [rng.normal(0, 0.3, v.shape).astype("float32") for v in dim.trainable_variables]
    paths = [variable.path for variable in dim.trainable_variables]
    # An epsilon with which rounding noise in a gradient does not become an update of its own.
    config = TrainingConfig(learning_rate=0.1, epsilon=1e-2)
    plain = TrainingStep(dim, adam(config), seed=1)
    fixed = TrainingStep(dim, adam(config), seed=1, jit_compile=True)
    assert plain.executor.pack(data[0][0]).sentences.rows.step_sizes is None
    results = []
    for step in (plain, fixed):
        for variable, value in zip(dim.trainable_variables, start, strict=True):
            variable.assign(value)
        loss, accuracy = step.update(1, *data[0])
        results.append((float(loss), float(accuracy), weights(dim)))
    assert results[1][0] == pytest.approx(results[0][0], abs=1e-5)
    assert results[1][1] == pytest.approx(results[0][1])
    for name, before, *after in zip(paths, start, results[0][2], results[1][2], strict=True):
        np.testing.assert_allclose(*after, rtol=0, atol=1e-5, err_msg=name)
        assert np.abs(after[0] - before).max() > 1e-4 or name.endswith("bias"), name
    assert np.isfinite(float(plain.update(2, *data[1])[0]))
