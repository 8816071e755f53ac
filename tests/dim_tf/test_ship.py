"""`python -m dim_tf.ship`: a small copy of a run that ranks alike."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest

from dim_tf import evaluate, ship
from dim_tf.cli import parser
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import CheckpointError
from dim_tf.evaluation.calibration import CALIBRATION, Calibration, weights_fingerprint
from dim_tf.runs.record import METRICS, RESULTS
from dim_tf.runs.run import BEST, VECTORS, Run
from dim_tf.runtime.scorer import Scorer
from tests.tiny_calibration import calibration

LICENCE_TEXT = "The data is free.\n"


@pytest.fixture
def licences(tmp_path):
    path = tmp_path / "licences.txt"
    path.write_text(LICENCE_TEXT)
    return path


@pytest.fixture
def small(run_copy, licences, tmp_path):
    return copy(run_copy, licences, tmp_path / "small")


def copy(run, licences, out):
    """Calls the command; gives the copy."""
    ship.main(["--run", str(run), "--licences", str(licences), "--out", str(out)])
    return out


def half(values):
    return np.asarray(values).astype(np.float16).astype(np.float32)


@pytest.mark.backend
def test_the_copy_is_the_run_in_float16(run_copy, small):
    before, after = Run.open(run_copy), Run.open(small)
    np.testing.assert_array_equal(after.word_vectors, half(before.word_vectors))
    assert after.word_vectors.dtype == np.float32
    pairs = zip(
        before.load_model().trainable_weights, after.load_model().trainable_weights, strict=True
    )
    for weight, rounded in pairs:
        assert rounded.dtype == "float32"
        np.testing.assert_array_equal(np.asarray(rounded.value), half(weight.value))


def test_the_copy_ranks_as_the_run_does(run_copy, small, prepared):
    data = PreparedData.load(prepared)
    logits = []
    for path in (run_copy, small):
        run = Run.open(path)
        run.check_prepared(data)
        table = data.table("test", run.persona, run.version)
        inputs, _ = data.inputs(table, range(len(table)), run.model_config)
        logits.append(Scorer(run.load_model())(inputs))
    assert np.ptp(logits[0]) > 0.1
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-3)
    assert (logits[1] != logits[0]).any()


def test_what_is_stored_is_small(run_copy, small):
    stored = {path.name for path in small.iterdir()}
    texts = {"config.json", "words.txt", "chars.txt", "MODEL_CARD.md", ship.LICENCES, METRICS}
    assert stored == {*texts, VECTORS, BEST}
    with np.load(small / VECTORS, allow_pickle=False) as vectors:
        assert {name: vectors[name].dtype for name in vectors} == {"word_vectors": np.float16}
    kinds = set()

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            kinds.add((item.dtype.kind, item.dtype.itemsize))

    with h5py.File(small / BEST) as file:
        file.visititems(visit)
    assert ("f", 2) in kinds
    assert ("f", 4) not in kinds


def test_texts_go_along(run_copy, prepared, licences, tmp_path):
    evaluate.main(["--run", str(run_copy), "--prepared", str(prepared)])
    small = copy(run_copy, licences, tmp_path / "small")
    assert (small / ship.LICENCES).read_text() == LICENCE_TEXT
    for name in (METRICS, RESULTS):
        assert (small / name).read_bytes() == (run_copy / name).read_bytes()
    card = (small / "MODEL_CARD.md").read_text()
    assert "stored as float16" in card
    # With the intervals of the results.
    said = card.split("## Results")[1]
    assert said == (run_copy / "MODEL_CARD.md").read_text().split("## Results")[1]
    again = copy(small, licences, tmp_path / "smaller")
    assert (again / "MODEL_CARD.md").read_text() == card


@pytest.mark.parametrize("current", [True, False])
def test_a_calibration_follows_its_weights(current, run_copy, licences, tmp_path, capsys):
    weights = weights_fingerprint(run_copy) if current else "0" * 64
    found = calibration(weights=weights)
    found.save(run_copy)
    small = copy(run_copy, licences, tmp_path / "small")
    assert (CALIBRATION in capsys.readouterr().err) != current
    if current:
        assert Calibration.load(small).temperature == found.temperature
    else:
        assert not (small / CALIBRATION).exists()


def test_numbers_too_large_are_refused(run_copy, licences, tmp_path):
    run = Run.open(run_copy)
    model = run.load_model()
    weight = model.trainable_weights[0]
    weight.assign(np.full(weight.shape, 1e6))
    run.save_best(model)
    with pytest.raises(CheckpointError, match=r"holds 1e\+06, which is too large for float16"):
        copy(run_copy, licences, tmp_path / "small")
    assert not (tmp_path / "small").exists()


def test_the_command(run_copy, licences, tmp_path, capsys):
    before = {path.name: path.stat().st_mtime_ns for path in run_copy.iterdir()}
    out = tmp_path / "small"
    command = ["--run", run_copy, "--licences", licences, "--out", out]
    command = [str(part) for part in command]
    assert parser.run(ship.main, command) == 0
    assert capsys.readouterr().out == f"{out}: 0.1 MB, of which weights 0.0 and word vectors 0.0\n"
    assert {path.name: path.stat().st_mtime_ns for path in run_copy.iterdir()} == before
    assert json.loads((out / "config.json").read_text())["model"] == "tiny"

    kept = (out / BEST).read_bytes()
    assert parser.run(ship.main, command) == 2
    assert "exists" in capsys.readouterr().err
    assert (out / BEST).read_bytes() == kept
    shutil.rmtree(out)
    licences.unlink()
    assert parser.run(ship.main, command) == 2
    assert "found no such file" in capsys.readouterr().err
    assert not out.exists()
