import dataclasses
import json

import numpy as np
import pytest

from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.data.text import TextRules
from dim_tf.errors import CheckpointError, DivergedError, UsageError
from dim_tf.runs.run import BEST, Run


@pytest.fixture
def new(tmp_path):
    """A run that is not on disk yet."""
    return Run(
        path=tmp_path / "deep" / "run",
        model="tiny",
        model_config=ModelConfig(char_vocab_size=3, word_dim=2),
        training_config=None,
        text=TextRules(),
        persona="self",
        version="original",
        prepared={"fingerprint": "f" * 64, "name": "x", "licence": "", "word2vec": None},
        words=["<pad>", "<unk>", "na\u00efve\u2028"],
        characters=["<pad>", "", "a"],
        word_vectors=np.arange(6, dtype="float32").reshape(3, 2),
    )


def test_what_is_created_is_what_is_opened(new):
    with new.creating() as unfinished:
        assert not new.path.exists()
        (unfinished.path / "more.txt").write_text("filled before it appears")
    opened = Run.open(new.path)
    assert opened == new
    np.testing.assert_array_equal(opened.word_vectors, new.word_vectors)
    assert opened.versions["numpy"] == np.__version__
    assert (new.path / "more.txt").exists()


def test_an_existing_folder_is_refused(new):
    new.path.mkdir(parents=True)
    with pytest.raises(UsageError, match="exists; give another folder"), new.creating():
        pass
    assert list(new.path.iterdir()) == []


def spoil_config(**changes):
    def spoil(folder):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **changes}))

    return spoil


def spoil_vectors(folder):
    words = (folder / "words.txt").read_text().splitlines()
    np.savez(folder / "vectors.npz", word_vectors=np.full((len(words), 6), "a"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "found no run folder"),
        (lambda folder: (folder / "config.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "config.json").write_text("[" * 10**5), "not JSON"),
        (spoil_config(persona="x"), "found 'x', expected none, self"),
        (spoil_config(prepared={"fingerprint": "f"}), "prepared.name.*missing"),
        (spoil_config(text={"tokenizer": "authors"}), "text.tokenizer"),
        (spoil_config(format=9), '"format": found 9, expected .?1'),
        (spoil_config(surprise=1), "surprise"),
        (spoil_config(model_config={"rnn_unit": 1}), "did you mean rnn_units"),
        (spoil_config(text={"tokeniser": "other"}), "tokeniser: found 'other'"),
        (lambda folder: (folder / "words.txt").write_text("<pad>\n"), r"expected \(1, 6\)"),
        (lambda folder: (folder / "words.txt").unlink(), "words.txt: the file is missing"),
        (lambda folder: (folder / "chars.txt").write_text("<pad>\n"), "found 1 lines, expected"),
        (lambda folder: (folder / "vectors.npz").write_bytes(b"x"), "not a readable .npz"),
        (spoil_vectors, r"\) <U1"),
        (
            lambda folder: np.savez(folder / "vectors.npz", others=[1.0]),
            r"vectors.npz: found \(0,\)",
        ),
    ],
)
def test_damaged_folders(run_copy, spoil, message):
    spoil(run_copy)
    with pytest.raises(CheckpointError, match=message):
        Run.open(run_copy)


@pytest.mark.backend
def test_load_model_gives_the_best_weights(run_copy):
    run = Run.open(run_copy)
    model = run.load_model()
    for variable in model.trainable_variables:
        variable.assign(variable.value + 1.0)
    run.save_best(model)
    pairs = zip(run.load_model().weights, model.weights, strict=True)
    for found, expected in pairs:
        np.testing.assert_array_equal(np.asarray(found.value), np.asarray(expected.value))


def test_missing_weights(run_copy):
    (run_copy / BEST).unlink()
    with pytest.raises(CheckpointError, match=r"the weights file is missing.*--resume"):
        Run.open(run_copy).load_model()


@pytest.mark.parametrize("size", [0, 10, 3000])
def test_truncated_weights(run_copy, size):
    path = run_copy / BEST
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match=r"best\.weights\.h5: damaged"):
        Run.open(run_copy).load_model()


def test_weights_of_another_model(run_copy):
    run = Run.open(run_copy)
    larger = dataclasses.replace(run, model_config=run.model_config.replace(rnn_units=5))
    run.save_best(larger.build_model())
    with pytest.raises(CheckpointError, match="of another model than config"):
        run.load_model()


def test_weights_that_are_not_finite(run_copy):
    run = Run.open(run_copy)
    model = run.build_model()
    before = (run_copy / BEST).read_bytes()
    model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, np.nan))
    with pytest.raises(DivergedError, match="holds NaN or infinity"):
        run.save_best(model)
    assert (run_copy / BEST).read_bytes() == before
    model.save_weights(run_copy / BEST)
    with pytest.raises(CheckpointError, match="hidden/kernel holds NaN or infinity"):
        run.load_model()


def test_a_last_row_that_was_never_finished_is_left_out(run_copy):
    run = Run.open(run_copy)
    rows = run.metrics()
    with (run_copy / "metrics.jsonl").open("a") as handle:
        handle.write('{"kind": "tr')
    assert run.metrics() == rows
    assert [row["update"] for row in rows if row["kind"] == "valid"] == [10, 20, 30, 40]


def test_prepared_folder_of_another_corpus(run_copy, prepared):
    run = Run.open(run_copy)
    data = PreparedData.load(prepared)
    run.check_prepared(data)
    data.fingerprint = "0" * 64  # of other vectors: the run has its own
    run.check_prepared(data)
    data.text_fingerprint = "0" * 64
    with pytest.raises(UsageError, match="does not match"):
        run.check_prepared(data)
