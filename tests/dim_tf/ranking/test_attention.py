import numpy as np
import pytest

from dim_tf import build_model
from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.ranking.attention import Attention, heatmaps, only, turn_heatmaps
from dim_tf.runs.run import Run
from dim_tf.runtime.scorer import Scorer


@pytest.fixture(scope="module")
def data(prepared):
    return PreparedData.load(prepared)


@pytest.fixture(scope="module")
def config(data):
    small = {"max_utterances": 2, "max_utterance_len": 6, "max_response_len": 5}
    return ModelConfig(**{**data.sizes, **small, "max_word_len": 6, "rnn_units": 3})


@pytest.fixture(scope="module")
def model(data, config):
    return build_model("dim", config, data.word_vectors)


@pytest.mark.backend
def test_weights_of_dim_add_up_to_one_over_the_words_that_are_there(model, data, config):
    inputs, _ = data.inputs(data.table("test", "self", "original"), [0, 1], config)
    weights = Attention(model)(inputs)
    assert set(weights) == {"context", "persona"}
    replies = np.arange(5) < inputs["responses_len"][..., None]  # [B, C, R]
    for name, lengths in (("context", "utterances_len"), ("persona", "personas_len")):
        totals = inputs[lengths].sum(axis=1)
        assert weights[name].shape[:3] == (2, 6, 5)
        assert weights[name].shape[3] >= totals.max()
        for turn, total in enumerate(totals):
            sums = weights[name][turn, ..., :total].sum(axis=-1)
            np.testing.assert_allclose(sums[replies[turn]], 1.0, atol=1e-5)


def test_weights_of_a_candidate_do_not_depend_on_the_others(model, data, config):
    inputs, _ = data.inputs(data.table("test", "self", "original"), [0], config)
    alone = Attention(model)(only(inputs, 3))["persona"]
    among = Attention(model)(inputs)["persona"]
    np.testing.assert_allclose(alone[0, 0], among[0, 3], atol=1e-6)


def test_heat_maps_of_a_turn_name_its_words(model, data, config):
    table = data.table("test", "self", "original")
    texts = data.texts(table, 1)
    maps = turn_heatmaps(Attention(model), data, table, 1, config)
    reply = tuple(texts["candidates"][texts["target"]].split()[:5])
    # Two utterances of six words at most, each ended by `_eos_` if there is room.
    context = [tuple([*text.split(), "_eos_"][:6]) for text in texts["context"][-2:]]
    assert maps["context"].groups == tuple(context)
    assert maps["context"].labels == ("utterance 1", "utterance 2")
    assert maps["persona"].groups == tuple(tuple(text.split()) for text in texts["persona"])
    assert maps["persona"].labels == ("profile 1", "profile 2")
    for shown in maps.values():
        assert shown.rows == reply
        assert shown.weights.shape == (len(reply), sum(map(len, shown.groups)))
        np.testing.assert_allclose(shown.weights.sum(axis=1), 1.0, atol=1e-5)


def test_sources_that_model_or_turn_lack_have_no_heat_map(data, config):
    model = build_model("dim", config.replace(use_persona=False), data.word_vectors)
    table = data.table("test", "self", "original")
    assert set(turn_heatmaps(Attention(model), data, table, 1, config)) == {"context"}
    inputs = only(data.inputs(table, [0], config)[0], 0)
    inputs["utterances_len"] = np.zeros_like(inputs["utterances_len"])
    inputs["utterances_num"] = np.zeros_like(inputs["utterances_num"])
    assert heatmaps(Attention(model)(inputs), inputs, ["a"], {"context": []}) == {}


def test_a_model_that_does_not_match_words_has_none(run_copy, data):
    run = Run.open(run_copy)
    model = run.load_model()
    table = data.table("test", "self", "original")
    assert turn_heatmaps(Attention(model), data, table, 0, run.model_config) == {}
    assert Scorer(model)(data.inputs(table, [0], run.model_config)[0]).shape == (1, 6)
