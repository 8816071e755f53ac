"""Trainings that start from the weights of another run."""

import dataclasses
import shutil

import numpy as np
import pytest

from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError
from dim_tf.io import atomic
from dim_tf.runs.run import Run
from dim_tf.training import initial_weights
from tests.tiny_run import tiny_run


def test_init_from_starts_with_the_other_runs_weights(trained, run_train, monkeypatch):
    """Also with other lengths: no weight depends on them."""
    shorter = f"--set=max_utterances={Run.open(trained).model_config.max_utterances - 1}"
    options = ("--max-updates=1", "--learning-rate=1e-9", shorter)
    monkeypatch.chdir(trained)
    run = run_train("run", "--init-from=.", *options)
    assert Run.open(run).initial["run"] == "trained"
    pairs = zip(
        Run.open(run).load_model().trainable_variables,
        Run.open(trained).load_model().trainable_variables,
        strict=True,
    )
    for found, expected in pairs:
        np.testing.assert_allclose(np.asarray(found.value), np.asarray(expected.value), atol=1e-7)
    name = Run.open(trained).prepared["name"]
    begun = f"* Started from the weights of {trained.name}, trained on {name} (licence: not known)"
    assert begun in (run / "MODEL_CARD.md").read_text()


def test_a_recipe_does_not_scale_the_weights_of_another_run(run_copy, run_train):
    options = ["new", "--recipe=fast", "--max-updates=1"]
    run = Run.open(run_train(*options, f"--init-from={run_copy}"))
    assert run.training_config.input_scale == 1.0
    run_train(*options, "--resume")


def test_init_from_takes_the_new_word_vectors(prepared, run_copy, run_train):
    vectors = np.zeros((40, 6), "float32")
    atomic.write_npz(run_copy / "vectors.npz", {"word_vectors": vectors})
    atomic.write_lines(run_copy / "words.txt", [f"word{n}" for n in range(40)])
    run = Run.open(run_train("new", f"--init-from={run_copy}", "--max-updates=1"))
    data = PreparedData.load(prepared)
    np.testing.assert_array_equal(run.word_vectors, data.word_vectors)
    assert run.words == data.words


def test_new_words_get_vectors_in_the_axes_of_the_other_run(tmp_path):
    old = dataclasses.replace(tiny_run(tmp_path / "old"), model="starspace")
    vectors = np.vstack([old.word_vectors, [[1, 2, 3, 4, 5]]]).astype("float32")
    new = dataclasses.replace(old, words=[*old.words, "new"], word_vectors=vectors)
    turned = vectors[:, ::-1] * [1, -1, 1, 1, -1]
    trained = old.build_model()
    trained.words.embeddings.assign(turned[:-1])
    with old.creating() as folder:
        folder.save_best(trained)
    model = new.build_model()
    initial_weights.copy(old, new, model)
    np.testing.assert_allclose(model.words.embeddings, turned, atol=1e-5)
    # Two known words do not tell the axes.
    few = dataclasses.replace(new, words=[*new.words[:2], *(f"new{n}" for n in new.words[2:])])
    model = few.build_model()
    initial_weights.copy(old, few, model)
    np.testing.assert_allclose(model.words.embeddings[2:], vectors[2:], atol=1e-5)


def test_only_a_system_with_weights_starts_from_a_run(run_copy, run_train):
    with pytest.raises(UsageError, match="leave out --init-from"):
        run_train("new", "--model=ir", f"--init-from={run_copy}")


def test_fresh_weights_alone_are_scaled(run_copy, run_train):
    with pytest.raises(UsageError, match="--input-scale"):
        run_train("new", f"--init-from={run_copy}", "--set=input_scale=3")


def test_init_from_refuses_weights_that_do_not_fit(run_copy, run_train, tmp_path):
    config = atomic.read_json(run_copy / "config.json")
    config["prepared"]["word2vec"] = "0" * 64
    config["text"]["tokeniser"] = "wordpunct"
    atomic.write_json(run_copy / "config.json", config)
    lines = atomic.read_lines(run_copy / "chars.txt")
    atomic.write_lines(run_copy / "chars.txt", [lines[0], *reversed(lines[1:])])
    with pytest.raises(UsageError) as refused:
        run_train("new", f"--init-from={run_copy}", "--rnn-units=5")
    for reason in (
        "the characters",
        "the text rules (TextRules(",
        "rnn_units (4 instead of 5)",
        "the Word2Vec vectors",
    ):
        assert reason in str(refused.value)
    for remedy in (f"prepare the data with --like {run_copy}", "the settings of that run"):
        assert remedy in str(refused.value)
    assert "max_profiles" not in str(refused.value)
    assert not (tmp_path / "new").exists()


def test_init_from_refuses_a_run_with_vectors_of_another_set(run_copy, run_train, tmp_path):
    run = Run.open(run_copy)
    for vectors, refused in (
        (run.word_vectors.astype("float16").astype("float32"), False),
        (run.word_vectors[:, ::-1], True),
    ):
        atomic.write_npz(run_copy / "vectors.npz", {"word_vectors": vectors})
        options = ("new", f"--init-from={run_copy}", "--max-updates=1")
        if refused:
            with pytest.raises(UsageError, match="these differ: the word vectors; prepare"):
                run_train(*options)
        else:
            run_train(*options)
            shutil.rmtree(tmp_path / "new")
