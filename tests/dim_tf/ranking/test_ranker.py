"""The ranker: what text becomes, how candidates are ordered, what is refused."""

from __future__ import annotations

import copy
import dataclasses
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from dim_tf.data.text import TextRules
from dim_tf.errors import CheckpointError, ConfigError, DataError, UsageError
from dim_tf.evaluation.calibration import weights_fingerprint
from dim_tf.ranking.featurizer import Featurizer
from dim_tf.ranking.ranker import Ranker
from tests.numpy_dim import NumpyDIM
from tests.tiny_calibration import calibration
from tests.tiny_run import (
    CHARACTERS,
    CONFIG,
    SHORT,
    WORDS,
    saved,
    tf1_variables,
    tiny_ranker,
    tiny_run,
)

pytestmark = pytest.mark.backend

CONTEXT = ["hello you", "i'm fine", "you like tea?"]
PERSONA = ["i like dogs.", "i'm fine"]


@pytest.fixture(scope="module")
def ranker():
    return tiny_ranker()


@pytest.fixture
def saved_run(tmp_path):
    return saved(tiny_run(tmp_path / "run", **SHORT)).path


def scores(ranking):
    """The scores in the order in which the candidates were given."""
    return [reply["score"] for reply in sorted(ranking, key=lambda reply: reply["index"])]


def numpy_logits(context, persona, candidates):
    """Logits of the NumPy DIM for token lists, encoded here by hand."""
    inputs = {}
    for name, sentences, count, length in (
        ("utterances", context, CONFIG.max_utterances, CONFIG.max_utterance_len),
        ("personas", persona, CONFIG.max_profiles, CONFIG.max_profile_len),
        ("responses", candidates, len(candidates), CONFIG.max_response_len),
    ):
        words = np.zeros((1, count, length), int)
        characters = np.zeros((1, count, length, CONFIG.max_word_len), int)
        lengths = np.zeros((1, count), int)
        for row, tokens in enumerate(sentences):
            lengths[0, row] = len(tokens)
            for column, token in enumerate(tokens):
                words[0, row, column] = WORDS.index(token) if token in WORDS else 1
                for place, character in enumerate(token[: CONFIG.max_word_len]):
                    if character in CHARACTERS:
                        characters[0, row, column, place] = CHARACTERS.index(character)
        inputs |= {name: words, f"{name}_char": characters, f"{name}_len": lengths}
        inputs[f"{name}_num"] = np.array([len(sentences)])
    table = tiny_run(Path("tiny")).word_vectors
    return NumpyDIM(tf1_variables(), table).logits(inputs)[0]


def test_scores_are_those_of_the_equations(ranker):
    """Tokens by the authors' rules, cut to the sizes; unknown words keep their characters."""
    ranking = ranker.rank(candidates=["hello", "i like tea"])
    expected = numpy_logits([], [], [["hello"], ["i", "like", "tea"]])
    np.testing.assert_allclose(scores(ranking), expected, rtol=0, atol=1e-5)
    ranking = ranker.rank(CONTEXT, PERSONA, ["I'm fine.", "dogs like unfathomable tea , you"])
    expected = numpy_logits(
        context=[
            ["hello", "you", "_eos_"],  # the partner's: punctuation apart
            ["i'm", "fine", "_eos_"],  # the own: split at spaces only
            ["you", "like", "tea", "?", "_eos_"],
        ],
        persona=[["i", "like", "dogs", "."], ["i", "'", "m", "fine"]],
        candidates=[["i'm", "fine", "."], ["dogs", "like", "unfathomable", "tea"]],
    )
    np.testing.assert_allclose(scores(ranking), expected, rtol=0, atol=1e-5)


def test_the_last_utterances_and_the_first_words_are_read(ranker):
    ranking = ranker.rank(
        ["never read", *CONTEXT[:2], "you like tea dogs fine i"], PERSONA[:1], ["hello"]
    )
    expected = numpy_logits(
        [
            ["hello", "you", "_eos_"],
            ["i'm", "fine", "_eos_"],
            ["you", "like", "tea", "dogs", "fine"],
        ],
        [["i", "like", "dogs", "."]],
        [["hello"]],
    )
    np.testing.assert_allclose(scores(ranking), expected, rtol=0, atol=1e-5)


def test_words_that_the_vocabulary_lacks_are_split(ranker):
    """As texts are written, and as those of PERSONA-CHAT are."""
    written = ["Tea.", "I'm fine!?", "(tea) dogs/tea", "i don't like dogs,"]
    spaced = ["tea .", "i'm fine !?", "( tea ) dogs / tea", "i don ' t like dogs ,"]
    found, expected = (scores(ranker.rank(CONTEXT, PERSONA, texts)) for texts in (written, spaced))
    assert found == expected
    # The speaker's own utterance, the one before the last.
    contexts = ["hello", "i like tea.", "dogs"], ["hello", "i like tea .", "dogs"]
    found, expected = (scores(ranker.rank(context, PERSONA, spaced)) for context in contexts)
    assert found == expected
    run = dataclasses.replace(ranker.run, words=[*WORDS[:-1], "tea."])
    read = Featurizer(run, True).candidates(["tea. dogs. ... 3.5 .tea"])
    assert read == [("tea.", "dogs", ".", "...")]
    read = Featurizer(ranker.run, True).candidates(['"i\'m" fine'])
    assert read == [('"', "i'm", '"', "fine")]
    run = dataclasses.replace(ranker.run, text=TextRules("whitespace"))
    assert Featurizer(run, True).persona(["i like tea."]) == [["i", "like", "tea", "."]]


def test_form_of_a_ranking(ranker):
    candidates = ["i like tea", "hello", "dogs", "you"]
    ranking = ranker.rank(CONTEXT, PERSONA, candidates)
    assert [list(reply) for reply in ranking] == [
        ["rank", "index", "candidate", "score", "probability"]
    ] * 4
    assert [reply["rank"] for reply in ranking] == [1, 2, 3, 4]
    assert [reply["candidate"] for reply in ranking] == [
        candidates[reply["index"]] for reply in ranking
    ]
    found = [reply["score"] for reply in ranking]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == 4
    exponentials = np.exp(found)
    np.testing.assert_allclose(
        [reply["probability"] for reply in ranking], exponentials / exponentials.sum(), rtol=1e-6
    )


def test_top_k_cuts_the_list_and_nothing_else(ranker):
    candidates = ["i like tea", "hello", "dogs"]
    whole = ranker.rank(CONTEXT, PERSONA, candidates)
    assert ranker.rank(CONTEXT, PERSONA, candidates, top_k=2) == whole[:2]
    assert ranker.rank(CONTEXT, PERSONA, candidates, top_k=9) == whole


def test_equal_candidates_keep_their_order(ranker):
    others = [f"tea {'d' * n}" for n in range(30)]
    ranking = ranker.rank(CONTEXT, PERSONA, ["hello you", *others, "Hello  you", "hello you"])
    places = [reply["index"] for reply in ranking if reply["candidate"].lower().startswith("hello")]
    assert places == [0, 31, 32]
    ranks = [reply["rank"] for reply in ranking if reply["index"] in places]
    assert ranks == [ranks[0], ranks[0] + 1, ranks[0] + 2]


def test_scores_do_not_depend_on_the_number_of_candidates(ranker):
    candidates = [f"i like {a * n}{b}" for n in range(1, 5) for a in "dog" for b in "tea."]
    assert len(candidates) == 48
    together = scores(ranker.rank(CONTEXT, PERSONA, candidates))
    alone = [ranker.rank(CONTEXT, PERSONA, [text])[0]["score"] for text in candidates]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)
    assert ranker.rank(CONTEXT, PERSONA, ["hello"])[0]["probability"] == 1.0


def test_a_pool_is_encoded_once_and_ranked_often(ranker, monkeypatch):
    candidates = ["i like tea", "hello", "I like  tea", "dogs"]
    turns = [(CONTEXT, PERSONA), ([], ["tea"])]
    expected = [ranker.rank(*turn, candidates) for turn in turns]
    pool = ranker.encode(candidates)
    assert len(pool) == 4
    monkeypatch.setattr(ranker._scorer, "encode", lambda responses: pytest.fail("encoded again"))
    for turn, ranking in zip(turns, expected, strict=True):
        found = ranker.rank(*turn, pool)
        assert [reply["index"] for reply in found] == [reply["index"] for reply in ranking]
        np.testing.assert_allclose(scores(found), scores(ranking), rtol=0, atol=1e-5)
        assert ranker.rank(*turn, pool, top_k=2) == found[:2]


def test_a_pool_of_another_ranker_is_refused(ranker):
    other = Ranker(ranker.run, ranker.run.build_model())
    with pytest.raises(UsageError, match="encoded by another Ranker"):
        ranker.rank(CONTEXT, PERSONA, other.encode(["tea"]))


@pytest.mark.parametrize(
    "text",
    [
        "i like tea " * 10_000,
        "x" * 100_000,
        "😀 🏳️‍🌈 ñandú \u0000 汉字 \u2028",
        "qqq zzz jjj",
        "<pad> <unk>",
    ],
    ids=["100 KB of words", "100 KB of one word", "emoji", "all unknown", "reserved"],
)
def test_any_text_can_be_ranked(ranker, text):
    for ranking in (
        ranker.rank(CONTEXT, PERSONA, [text, "hello"]),
        ranker.rank([*CONTEXT, text], [text], ["tea", "hello"]),
    ):
        assert len(ranking) == 2
        assert np.isfinite(scores(ranking)).all()
        assert sum(reply["probability"] for reply in ranking) == pytest.approx(1)


def test_more_profiles_than_the_model_reads_are_warned_of(ranker):
    with pytest.warns(UserWarning, match="persona: found 3 profiles, this model reads the first 2"):
        cut = ranker.rank(CONTEXT, [*PERSONA, "you like tea"], ["hello", "tea"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cut == ranker.rank(CONTEXT, PERSONA, ["hello", "tea"])


def test_a_run_without_persona_warns_of_profiles():
    run = tiny_run(Path("tiny"), persona="none", **SHORT)
    ranker = Ranker(run, run.build_model())
    with pytest.warns(UserWarning, match="found 2 profiles, this model reads none"):
        ranking = ranker.rank(CONTEXT, PERSONA, ["hello", "tea"])
    assert ranking == ranker.rank(CONTEXT, [], ["hello", "tea"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, 'field "candidates": found no candidate'),
        ({"candidates": "hello"}, 'field "candidates": found a text, expected a list'),
        ({"persona": None, "candidates": ["x"]}, 'field "persona": found null, expected a list'),
        ({"context": [3], "candidates": ["x"]}, 'field "context[0]": found a number'),
        ({"candidates": ["a", " \t"]}, 'field "candidates[1]": found an empty text'),
        ({"context": ["\ud83d"], "candidates": ["x"]}, 'field "context[0]": found half of a surr'),
    ],
)
def test_arguments_that_are_refused(ranker, arguments, message):
    with pytest.raises(DataError) as error:
        ranker.rank(**arguments)
    assert str(error.value).startswith(message)


def test_a_calibrated_run(ranker):
    """Probabilities are softmax(scores / T); scores / T that reach the threshold fit."""
    candidates = ["i like tea", "hello", "dogs", "you"]
    plain = ranker.rank(CONTEXT, PERSONA, candidates)
    assert all("fits" not in row for row in plain)
    scaled = np.array([row["score"] for row in plain]) / 2.5
    chances = np.exp(scaled) / np.exp(scaled).sum()
    calibrated = copy.copy(ranker)
    for fitting, threshold in enumerate([scaled[0] + 0.01, *scaled - 1e-9]):
        calibrated.calibration = calibration(temperature=2.5, threshold=threshold)
        found = calibrated.rank(CONTEXT, PERSONA, candidates)
        assert [row["fits"] for row in found] == [place < fitting for place in range(4)]
        np.testing.assert_allclose([row["probability"] for row in found], chances, rtol=1e-6)
        kept = ("rank", "index", "candidate", "score")
        assert [[row[name] for name in kept] for row in found] == [
            [row[name] for name in kept] for row in plain
        ]
        assert calibrated.rank(CONTEXT, PERSONA, candidates, top_k=1) == found[:1]
        assert calibrated.rank_many([{"candidates": ["tea"]}])[0][0].keys() == found[0].keys()


def test_load_takes_the_calibration_of_the_run(saved_run):
    assert Ranker.load(saved_run).calibration is None
    calibration(weights=weights_fingerprint(saved_run)).save(saved_run)
    assert Ranker.load(saved_run).calibration.temperature == 2.0
    calibration(weights="0" * 64).save(saved_run)
    with pytest.warns(UserWarning, match="other weights"):
        assert Ranker.load(saved_run).calibration is None


def test_load_does_not_draw_the_weights_that_it_reads(saved_run, monkeypatch):
    """On JAX that is seconds of compiling."""
    import keras

    monkeypatch.setattr(
        keras.initializers.GlorotUniform, "__call__", lambda *_, **__: pytest.fail("drawn")
    )
    assert Ranker.load(saved_run).rank(candidates=["tea", "dogs"])


@pytest.mark.parametrize("top_k", [0, -1, 1.5, "3", True])
def test_top_k_is_checked(ranker, top_k):
    with pytest.raises(ConfigError, match=r"top_k: found .*, expected a whole number of at least"):
        ranker.rank(candidates=["hello"], top_k=top_k)


def test_a_forked_process_is_refused(ranker):
    if (child := os.fork()) == 0:
        signal.alarm(20)
        try:
            ranker.rank(candidates=["tea"])
        except UsageError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_the_mark_of_a_profile_in_the_data_files_is_no_word(ranker):
    with pytest.warns(UserWarning, match="persona"):
        ranking = ranker.rank(CONTEXT, ["Your persona: i like dogs.", "i'm fine"], ["tea"])
    assert ranking == ranker.rank(CONTEXT, PERSONA, ["tea"], top_k=np.int64(1))


def test_scores_that_are_no_numbers_are_refused(ranker, monkeypatch):
    logits = np.array([0, np.inf], "float32")
    monkeypatch.setattr(ranker._scorer, "score_once", lambda turn, responses: logits)
    message = r"tiny: the weights give candidates\[1\] the score inf, expected a finite number"
    with pytest.raises(CheckpointError, match=message):
        ranker.rank(CONTEXT, PERSONA, ["hello", "tea"])


def test_needs_neither_tensorflow_nor_gensim_nor_nltk(saved_run):
    """On JAX, in an interpreter where their import fails."""
    code = (
        "import sys\n"
        "for name in ('tensorflow', 'gensim', 'nltk', 'matplotlib'): sys.modules[name] = None\n"
        "from dim_tf import Ranker\n"
        f"ranking = Ranker.load({str(saved_run)!r}).rank(['hi'], ['i hike.'], ['yes', 'no'])\n"
        "print(sorted(reply['index'] for reply in ranking))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stdout == "[0, 1]\n", done.stderr
