"""`python -m dim_tf.convert`: from an authors' checkpoint to a run that ranks."""

from __future__ import annotations

import numpy as np
import pytest

from dim_tf import convert
from dim_tf.cli import parser
from dim_tf.config import PREPARED_SIZES
from dim_tf.data.text import TextRules
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs.run import Run
from dim_tf.runs.tf1_checkpoint import CHARACTER_KERNELS, ENCODER_KERNEL
from tests.authors_checkpoint import SIZES, write_characters, write_checkpoint, write_vectors
from tests.authors_numbers import numbers, part
from tests.tiny_run import CHARACTERS, CONFIG, WORDS, tf1_variables, tiny_ranker, tiny_run

HIDDEN = "prediction_layer/projected_layer/weights"


@pytest.fixture
def authors(tmp_path):
    """The files of a checkpoint whose weights, words and vectors are those of `tiny_run`."""
    folder = tmp_path / "authors"
    folder.mkdir()
    write_checkpoint(folder / "model-500", tf1_variables())
    (folder / "vocab.txt").write_text("\n".join(["<pad>", *WORDS[2:]]) + "\n")
    write_characters(folder, dict(enumerate(CHARACTERS[1:], start=1)))
    vectors = tiny_run(tmp_path).word_vectors
    write_vectors(folder / "glove.txt", WORDS[2:], vectors[2:, :3])
    write_vectors(folder / "word2vec.txt", ["cats", *WORDS[2:]], vectors[1:, 3:])
    return folder


def run(folder, out, options=(), vectors=("glove.txt", "word2vec.txt"), sizes=SIZES):
    """The exit status of the command; later options take the place of earlier ones."""
    arguments = ["--tf1-checkpoint", folder / "model-500", "--vocab", folder / "vocab.txt"]
    arguments += ["--char-vocab", folder / "char_vocab.txt", "--out", out]
    arguments += [part for item in sizes.items() for part in item]
    arguments += ["--vectors", *(folder / name for name in vectors), *options]
    return parser.run(convert.main, [str(argument) for argument in arguments])


def test_the_run_ranks_as_the_checkpoint_does(authors, tmp_path, capsys):
    assert run(authors, tmp_path / "run") == 0
    assert capsys.readouterr().out == (
        f"{tmp_path / 'run'}: DIM of 3 units, 5 word dimensions, 14 words (12 with a vector), "
        "19 characters\n"
    )
    texts = {
        "context": ["hello you", "i'm fine", "you like tea"],
        "persona": ["i like dogs."],
        "candidates": ["i like tea", "dogs .", "hello"],
    }
    found = Ranker.load(tmp_path / "run").rank(**texts)
    expected = tiny_ranker().rank(**texts)
    assert [reply["index"] for reply in found] == [reply["index"] for reply in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)


def test_what_the_run_holds(authors, tmp_path):
    options = ["--persona", "their", "--version", "revised", "--max-profiles", 4]
    assert run(authors, tmp_path / "run", options) == 0
    found = Run.open(tmp_path / "run")
    expected = tiny_run(tmp_path)
    assert found.model_config == CONFIG.replace(max_profiles=4)
    assert (found.persona, found.version, found.training_config) == ("their", "revised", None)
    assert found.words == WORDS
    assert found.characters == CHARACTERS
    assert found.text == TextRules()
    assert not found.word_vectors[:2].any()
    np.testing.assert_array_equal(found.word_vectors[2:], expected.word_vectors[2:])
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "MODEL_CARD.md",
        "best.weights.h5",
        "chars.txt",
        "config.json",
        "vectors.npz",
        "words.txt",
    ]


def test_the_papers_lengths_are_the_defaults():
    arguments = ["--tf1-checkpoint=a", "--vocab=b", "--char-vocab=c", "--vectors=d", "--out=e"]
    found = convert._parser().parse_args(arguments)
    assert [getattr(found, name) for name in PREPARED_SIZES] == [15, 20, 20, 5, 15, 18]


def test_the_unknown_word_can_have_a_vector(authors, tmp_path):
    assert run(authors, tmp_path / "run", ["--unknown-word", "dogs"]) == 0
    vectors = Run.open(tmp_path / "run").word_vectors
    np.testing.assert_array_equal(vectors[1], tiny_run(tmp_path).word_vectors[WORDS.index("dogs")])


def test_a_character_past_the_end_of_the_authors_table(authors, tmp_path):
    """Their table has as many rows as characters, but their ids start at 1."""
    characters = dict(enumerate([*CHARACTERS[1:], "z"], start=1))
    write_characters(authors, characters)
    assert len(characters) == CONFIG.char_vocab_size
    assert run(authors, tmp_path / "run") == 0
    found = Run.open(tmp_path / "run")
    assert found.characters == [*CHARACTERS, "z"]
    kernel = np.asarray(found.load_model().get_layer("characters").convolutions[0].kernel)
    np.testing.assert_array_equal(kernel[:, :-1], tf1_variables()["CNN_char_emb/conv_0/w"])
    assert kernel.shape[1] == 20
    assert not kernel[:, -1].any()


def test_unused_character_ids(authors, tmp_path):
    write_characters(authors, {1: "a", 3: "e"})
    assert run(authors, tmp_path / "run") == 0
    assert Run.open(tmp_path / "run").characters == ["<pad>", "a", "", "e", *[""] * 15]


def refused(authors, tmp_path, capsys, **arguments):
    """The error line; makes sure that nothing is left of a run."""
    before = sorted(tmp_path.iterdir())
    assert run(authors, tmp_path / "run", **arguments) == 2
    assert sorted(tmp_path.iterdir()) == before
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize("name", [HIDDEN, ENCODER_KERNEL, CHARACTER_KERNELS[0]])
def test_a_missing_variable(authors, tmp_path, capsys, name):
    arrays = dict(tf1_variables())
    del arrays[name]
    write_checkpoint(authors / "model-500", arrays)
    error = refused(authors, tmp_path, capsys)
    assert error.startswith(f"variable {name} is missing from the checkpoint")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (HIDDEN, lambda a: a[1:], "found shape [47, 256], expected [48, 256]"),
        (HIDDEN, lambda a: a * np.nan, "holds values that are not finite numbers"),
        (ENCODER_KERNEL, lambda a: a[:100], "found shape [100, 12], expected [word dim"),
        (CHARACTER_KERNELS[0], lambda a: a[0], "found shape [19, 50], expected 3 axes"),
    ],
)
def test_a_wrong_variable(authors, tmp_path, capsys, name, value, message):
    arrays = tf1_variables()
    write_checkpoint(authors / "model-500", {**arrays, name: value(arrays[name])})
    error = refused(authors, tmp_path, capsys)
    separator = " " if message.startswith("holds") else ": "
    assert error.startswith(f"variable {name}{separator}{message}")


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("content", [b"", b"\0" * 999, None], ids=["empty", "zeros", "no file"])
def test_a_damaged_checkpoint(authors, tmp_path, capsys, part, content):
    path = authors / f"model-500.{part}"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    error = refused(authors, tmp_path, capsys)
    expected = "found no" if (part, content) == ("index", None) else "a damaged checkpoint"
    assert error.startswith(f"{authors / 'model-500'}: {expected}")


def test_a_character_file_of_another_checkpoint(authors, tmp_path, capsys):
    write_characters(authors, dict(enumerate("abcdefghijklmnopqrstuvwxyz", start=1)))
    error = refused(authors, tmp_path, capsys)
    assert error.startswith(f"{authors / 'char_vocab.txt'}: found 26 characters")
    assert "19 rows" in error


def test_vectors_of_another_dimension(authors, tmp_path, capsys):
    error = refused(authors, tmp_path, capsys, vectors=["glove.txt", "glove.txt"])
    assert error.endswith("found 3 + 3 = 6 dimensions, but the checkpoint was trained with 5")


def test_vectors_of_other_words(authors, tmp_path, capsys):
    write_vectors(authors / "glove.txt", ["le", "la"], np.ones((2, 3)))
    error = refused(authors, tmp_path, capsys)
    assert error.startswith(f"{authors / 'glove.txt'}: found no vector for any of the 14 words")


def test_an_unknown_word_that_is_unknown(authors, tmp_path, capsys):
    error = refused(authors, tmp_path, capsys, options=["--unknown-word", "fiance"])
    assert error == "--unknown-word 'fiance' is not in the vocabulary"


def test_a_run_that_exists_is_left_alone(authors, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    assert refused(authors, tmp_path, capsys).startswith(f"{tmp_path / 'run'} exists")


def test_the_authors_own_numbers(tmp_path):
    """The golden weights as a checkpoint: the run's model gives the golden logits."""
    golden = numbers("dim_tf1_small.npz")
    write_checkpoint(tmp_path / "model-500", part(golden, "var/"))
    words = [f"word{place}" for place in range(50)]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    write_characters(tmp_path, dict(enumerate("abcdefghijklmnopqrs", start=1)))
    write_vectors(tmp_path / "vectors.txt", words, golden["table/word"])
    sizes = {
        "--max-utterances": 4,
        "--max-utterance-len": 6,
        "--max-response-len": 7,
        "--max-profiles": 3,
        "--max-profile-len": 5,
        "--max-word-len": 8,
    }
    assert run(tmp_path, tmp_path / "run", vectors=["vectors.txt"], sizes=sizes) == 0

    model = Run.open(tmp_path / "run").load_model()
    inputs = part(golden, "in/")
    for name in ("utterances", "responses", "personas"):
        inputs[name] = inputs[name] + 2  # behind <pad> and <unk>
    logits = np.asarray(model(inputs, training=False))
    np.testing.assert_allclose(logits, golden["out/logits"], rtol=0, atol=1e-6)
