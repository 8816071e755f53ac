import pytest


@pytest.fixture
def eagerly():
    """Compiles nothing: each model is used a few times only."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
