import pytest

from benchmarks.turns import write_turns
from dim_tf.data.dataset import PreparedData
from dim_tf.training.start import new_run
from tests.tiny_run import saved


@pytest.fixture
def prepared(tmp_path):
    """A prepared folder of a few training turns."""
    folder = tmp_path / "prepared"
    folder.mkdir()
    write_turns(folder, 8, 5)
    return folder


@pytest.fixture
def fast_run(prepared, tmp_path):
    """An untrained run of a dual encoder."""
    sizes = {"max_utterances": 2, "max_utterance_len": 8, "max_profile_len": 4}
    return saved(new_run(tmp_path / "fast", PreparedData.load(prepared), sizes, model="starspace"))


@pytest.fixture
def eagerly():
    """Compiles nothing: each model is used a few times only."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
