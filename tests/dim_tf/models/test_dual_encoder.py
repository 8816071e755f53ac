"""What all systems share that encode query and reply separately."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from dim_tf import train
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import ConfigError, UsageError
from dim_tf.evaluation import evaluator
from dim_tf.evaluation.calibration_fit import calibrate
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.runs.small_copy import small_copy
from dim_tf.runtime.scorer import Scorer, batch_scorer
from dim_tf.systems import registry
from dim_tf.training.trainer import Trainer
from tests.random_model import CONFIG, random_inputs, word_table
from tests.run_content import content

NAMES = [
    name
    for name, system in registry.SYSTEMS.items()
    if system.dual_encoder and not system.starts_from
]
# A training of a few updates, with two validations.
OPTIONS = ("--batch-size=16", "--max-updates=30", "--eval-every=15", "--save-every=10")
OPTIONS += ("--epochs=10", "--learning-rate=0.01", "--rnn-units=4")


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def run(name, prepared, tmp_path_factory):
    """A run of a few updates."""
    path = tmp_path_factory.mktemp("runs") / name
    folders = ["--prepared", str(prepared), "--run", str(path)]
    train.main([*folders, f"--model={name}", *OPTIONS])
    return path


@pytest.mark.backend
def test_long_word_vectors_become_200_components(name):
    vectors = np.random.default_rng(5).normal(size=(7, 211)).astype("float32")
    model = registry.build_model(name, CONFIG.replace(word_dim=211), vectors)
    words = np.asarray(model.words.embeddings)
    assert words.shape == (7, 200)
    np.testing.assert_allclose(words @ words.T, vectors @ vectors.T, rtol=0, atol=1e-3)
    assert type(model).from_config(model.get_config()).words.embeddings.shape == words.shape


def test_other_words_than_it_has_learnt_are_refused(run, prepared):
    data = PreparedData.load(prepared)
    data.text_fingerprint = "of another text"
    with pytest.raises(UsageError, match="has learnt the words"):
        Run.open(run).with_vocabulary_of(data)


@pytest.mark.backend
def test_replies_encoded_once_have_the_logits_of_the_model(run, prepared):
    opened, data = Run.open(run), PreparedData.load(prepared)
    model, table = opened.load_model(), data.table("test", "self", "original")
    found = evaluator.evaluate(batch_scorer(model), data, table, opened.model_config)
    inputs, target = data.inputs(table, np.arange(len(table)), opened.model_config)
    np.testing.assert_allclose(found.logits, Scorer(model)(inputs), rtol=0, atol=1e-5)
    assert (found.target == target).all()
    losses = [row["loss"] for row in opened.metrics() if row["kind"] == "train"]
    assert losses[-1] < losses[0]


@pytest.mark.backend
def test_vectors_of_a_ranker_order_as_it_ranks(run):
    ranker = Ranker.load(run)
    context, persona = ["what do you like ?"], ["i love cats .", "i live near rain ."]
    replies = ["i like cats a lot", "tea", "i like rain a lot", "I like cats a lot"]
    query, vectors = ranker.encode_query(context, persona), ranker.encode_replies(replies)
    assert (query.dtype, vectors.dtype, vectors.shape) == ("float32", "float32", (4, len(query)))
    rows = ranker.rank(context, persona, replies)
    many = ranker.rank_many([{"context": context, "persona": persona, "candidates": replies}])
    for ranking in (rows, many[0], ranker.rank(context, persona, ranker.encode(replies))):
        assert [row["index"] for row in ranking] == (-vectors @ query).argsort(
            kind="stable"
        ).tolist()
        scores = [row["score"] for row in ranking]
        np.testing.assert_allclose(scores, np.sort(vectors @ query)[::-1], atol=1e-6)
    assert ranker.explain(context, persona, "tea").maps == []


def test_a_small_copy_ranks_as_the_run_does(run, tmp_path):
    with small_copy(Run.open(run), tmp_path / "small"):
        pass
    turn = {"context": ["do you ski ?"], "persona": [], "candidates": ["i ski", "no", "why ?"]}
    rows = [Ranker.load(path).rank(**turn) for path in (run, tmp_path / "small")]
    scores, expected = ([row["score"] for row in each] for each in rows)
    assert scores == pytest.approx(expected, abs=0.01)
    assert not Run.open(tmp_path / "small").word_vectors.any()


def test_a_stopped_training_resumes_to_the_bit(run, name, run_train, monkeypatch):
    update = Trainer._update

    def stopping(self, *batch):
        update(self, *batch)
        self._stop = self.state.update == 25

    options = [f"--model={name}", *OPTIONS]
    monkeypatch.setattr(Trainer, "_update", stopping)
    assert len(Run.open(run_train("stopped", *options)).metrics()) == 3  # of updates 10, 15 and 20
    monkeypatch.setattr(Trainer, "_update", update)
    assert content(run_train("stopped", *options, "--resume")) == content(run)


def test_calibration_fits_its_scores(run, prepared):
    found = calibrate(Run.open(run), PreparedData.load(prepared))
    assert found.valid.loss_after < found.valid.loss_before


def test_it_is_saved_and_loaded(name, tmp_path):
    model = registry.build_model(name, CONFIG, word_table())
    inputs = random_inputs(np.random.default_rng(1))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(inputs)), np.asarray(model(inputs)))


def test_dim_does_not_rank_the_replies_of_a_batch(run_train):
    with pytest.raises(ConfigError, match=r"negatives_from: dim"):
        run_train("refused", "--model=dim", "--negatives-from=batch")


def test_what_it_cannot_do_is_refused(name, run_train):
    for option, field in (
        ("--precision=bfloat16", "precision"),
        ("--recipe=fast", "input_scale"),
        ("--negatives=4 --negatives-from=batch", "negatives"),
    ):
        with pytest.raises(ConfigError, match=field):
            run_train("refused", f"--model={name}", *option.split())
