import numpy as np
import pytest

from dim_tf import attention, build_model
from dim_tf.config import ModelConfig
from dim_tf.dataset import PreparedData
from dim_tf.steps import Scorer


@pytest.fixture(scope="module")
def data(prepared):
    return PreparedData.load(prepared)


@pytest.fixture(scope="module")
def config(data):
    small = {"max_utterances": 2, "max_utterance_len": 6, "max_response_len": 5}
    return ModelConfig(**{**data.sizes, **small, "max_word_len": 6, "rnn_units": 3})


@pytest.fixture(scope="module")
def reader(data, config):
    return attention.AttentionReader(build_model("dim", config, data.word_vectors))


def test_weights_of_dim_add_up_to_one_over_the_words_that_are_there(reader, data, config):
    table = data.table("test", "self", "original")
    inputs, _ = data.inputs(table, [0, 1], config)
    weights = reader(inputs)
    assert weights["context"].shape == (2, 6, 5, 2 * 6)
    assert weights["persona"].shape == (2, 6, 5, 5 * 15)
    for name, lengths in (("context", "utterances_len"), ("persona", "personas_len")):
        width = weights[name].shape[-1] // inputs[lengths].shape[1]
        there = (np.arange(width) < inputs[lengths][..., None]).reshape(2, 1, 1, -1)
        np.testing.assert_allclose((weights[name] * there).sum(axis=-1), 1.0, atol=1e-5)


def test_pictures_of_a_turn_name_its_words(reader, data, config):
    table = data.table("test", "self", "original")
    figures = attention.turn_figures(reader, data, table, 1, config)
    texts = data.texts(table, 1)
    reply = texts["candidates"][texts["target"]].split()[:5]
    shown = {"persona": " ".join(texts["persona"]).split()}
    # Two utterances of six words at most, each ended by `_eos_` if there is room.
    shown["context"] = [
        word for text in texts["context"][-2:] for word in [*text.split(), "_eos_"][:6]
    ]
    for name, words in shown.items():
        axes = figures[name].axes[0]
        assert [label.get_text() for label in axes.get_xticklabels()] == words
        assert [label.get_text() for label in axes.get_yticklabels()] == reply
        assert axes.images[0].get_array().shape == (len(reply), len(words))


def test_a_model_without_attention_has_no_pictures(run_copy, data):
    from dim_tf.run_folder import Run

    run = Run.open(run_copy)
    model = run.load_model()
    table = data.table("test", "self", "original")
    assert (
        attention.turn_figures(attention.AttentionReader(model), data, table, 0, run.model_config)
        == {}
    )
    assert Scorer(model)(data.inputs(table, [0], run.model_config)[0]).shape == (1, 6)


def test_draw_puts_larger_weights_darker_with_words_on_both_axes(tmp_path):
    weights = np.array([[0.0, 1.0, 0.2]])
    figure = attention.draw(weights, ["cats"], ["i", "like", "cats"], "reply to context")
    axes = figure.axes[0]
    assert axes.get_title() == "reply to context"
    red = axes.images[0].to_rgba(weights)[0, :, 0]
    assert red[0] > red[2] > red[1]
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000
