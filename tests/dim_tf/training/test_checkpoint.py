import keras
import numpy as np
import pytest

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.errors import CheckpointError, DivergedError
from dim_tf.training import checkpoint
from dim_tf.training.train_step import adam
from tests.tiny import build_tiny

pytestmark = pytest.mark.backend


def model_and_optimizer(units=4, seed=0):
    keras.utils.set_random_seed(seed)
    config = ModelConfig(char_vocab_size=3, word_dim=6, rnn_units=units)
    model = build_tiny(config, np.ones((9, 6), "float32"))
    optimizer = adam(TrainingConfig())
    optimizer.build(model.trainable_variables)
    return model, optimizer


def values(model, optimizer):
    return [np.array(v.value) for v in [*model.trainable_variables, *optimizer.variables]]


def test_everything_comes_back_to_the_bit(tmp_path):
    model, optimizer = model_and_optimizer()
    rng = np.random.default_rng(0)
    for variable in optimizer.variables[1:]:
        variable.assign(rng.normal(size=variable.shape))
    optimizer.iterations.assign(17)
    state = {"update": 17, "best": {"MRR": 0.1 + 0.2}, "window": [[1e-17, 1.0]], "note": "ü"}
    checkpoint.save(tmp_path / "latest.npz", model, optimizer, state)
    assert checkpoint.read_state(tmp_path / "latest.npz") == state

    other, other_optimizer = model_and_optimizer(seed=1)
    assert checkpoint.load(tmp_path / "latest.npz", other, other_optimizer) == state
    pairs = zip(values(model, optimizer), values(other, other_optimizer), strict=True)
    for expected, found in pairs:
        np.testing.assert_array_equal(found, expected)


def test_frozen_word_vectors_are_not_in_it(tmp_path):
    checkpoint.save(tmp_path / "latest.npz", *model_and_optimizer(), {})
    with np.load(tmp_path / "latest.npz") as arrays:
        names = {name.rsplit("/", 1)[1] for name in arrays.files if name.startswith("weights/")}
    assert names == {"kernel", "bias"}


@pytest.mark.parametrize("which", ["weight", "slot"])
def test_values_that_are_not_finite_are_never_written(tmp_path, which):
    model, optimizer = model_and_optimizer()
    path = tmp_path / "latest.npz"
    checkpoint.save(path, model, optimizer, {"update": 1})
    before = path.read_bytes()
    variable = model.trainable_variables[0] if which == "weight" else optimizer.variables[-1]
    variable.assign(np.full(variable.shape, np.nan))
    with pytest.raises(DivergedError, match="holds NaN or infinity"):
        checkpoint.save(path, model, optimizer, {"update": 2})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:700]), "not a readable .npz"),
        (lambda path: path.write_bytes(b""), "not a readable .npz"),
        (lambda path: np.savez(path, other=1), "'state'"),
    ],
)
def test_damaged_files(tmp_path, spoil, message):
    path = tmp_path / "latest.npz"
    checkpoint.save(path, *model_and_optimizer(), {})
    spoil(path)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(path, *model_and_optimizer())
    with pytest.raises(CheckpointError, match=message):
        checkpoint.read_state(path)


def test_another_model_is_refused_and_left_as_it_was(tmp_path):
    checkpoint.save(tmp_path / "latest.npz", *model_and_optimizer(units=4), {})
    other = model_and_optimizer(units=5)
    before = values(*other)
    with pytest.raises(CheckpointError, match=r"kernel has shape \(12, 4\), expected \(12, 5\)"):
        checkpoint.load(tmp_path / "latest.npz", *other)
    for expected, found in zip(before, values(*other), strict=True):
        np.testing.assert_array_equal(found, expected)

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    optimizer = adam(TrainingConfig())
    optimizer.build(model.trainable_variables)
    with pytest.raises(CheckpointError, match="only the checkpoint has"):
        checkpoint.load(tmp_path / "latest.npz", model, optimizer)
