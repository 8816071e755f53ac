import dataclasses
import json

import numpy as np
import pytest

from dim_tf.errors import CheckpointError
from dim_tf.evaluation.calibration import CALIBRATION, Calibration, weights_fingerprint
from tests.tiny_calibration import FIGURES, calibration


def test_probabilities_are_the_softmax_of_scaled_scores_for_any_shape():
    logits = np.array([2.0, 0.0, 4.0])
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    np.testing.assert_allclose(calibration().probabilities(logits), expected, rtol=1e-12)
    many = np.tile(logits.astype("float32"), (2, 3, 1))
    found = calibration().probabilities(many)
    assert found.shape == (2, 3, 3)
    np.testing.assert_allclose(found, np.broadcast_to(expected, (2, 3, 3)), rtol=1e-12)


def test_a_score_at_the_threshold_fits():
    assert calibration(threshold=0.5).fitting(np.array([1.0, -7.0])).tolist() == [True, False]
    assert not calibration(threshold=0.5).fitting(np.array([0.999, -7.0])).any()


def test_what_is_saved_is_read_to_the_last_digit(tmp_path):
    each = calibration(temperature=1 / 3, threshold=np.nextafter(1, 2).item(), test=None)
    each.save(tmp_path)
    assert Calibration.read(tmp_path) == each
    assert Calibration.read(tmp_path / "elsewhere") is None
    assert Calibration.load(tmp_path / "elsewhere") is None


def test_a_calibration_of_other_weights_is_ignored_with_a_warning(tmp_path):
    (tmp_path / "best.weights.h5").write_bytes(b"weights")
    current = calibration(weights=weights_fingerprint(tmp_path))
    current.save(tmp_path)
    assert Calibration.load(tmp_path) == current
    (tmp_path / "best.weights.h5").write_bytes(b"better weights")
    with pytest.warns(UserWarning, match=r"calibration\.json.*other weights.*dim_tf\.calibrate"):
        assert Calibration.load(tmp_path) is None
    assert not current.is_current(tmp_path)


def test_calibrations_of_earlier_versions(tmp_path):
    (tmp_path / "best.weights.h5").write_bytes(b"weights")
    calibration(weights=weights_fingerprint(tmp_path)).save(tmp_path)
    content = json.loads((tmp_path / CALIBRATION).read_text())
    content["f1_by_signal"] = {"score": 0.75, "probability": 0.7}
    (tmp_path / CALIBRATION).write_text(json.dumps(content))
    assert Calibration.load(tmp_path).fitting(np.array([1.0])).all()
    content["signal"] = "probability"
    (tmp_path / CALIBRATION).write_text(json.dumps(content))
    with pytest.warns(UserWarning, match=r"probability.*dim_tf\.calibrate"):
        assert Calibration.load(tmp_path) is None


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (("temperature",), 0.0),
        (("temperature",), "2"),
        (("threshold",), float("nan")),
        (("format",), 2),
        (("signal",), "luck"),
        (("valid",), None),
        (("valid", "turns"), 1.5),
        (("test", "f1"), -1),
    ],
)
def test_a_damaged_file_says_where_what_and_what_to_do(tmp_path, keys, value):
    calibration().save(tmp_path)
    content = json.loads((tmp_path / CALIBRATION).read_text())
    inner = content
    for name in keys[:-1]:
        inner = inner[name]
    inner[keys[-1]] = value
    (tmp_path / CALIBRATION).write_text(json.dumps(content))
    with pytest.raises(CheckpointError) as caught:
        Calibration.load(tmp_path)
    said = str(caught.value)
    assert str(tmp_path / CALIBRATION) in said and "python -m dim_tf.calibrate" in said
    assert f'field "{".".join(keys)}": found' in said


def test_notes_say_when_a_calibration_says_little():
    assert calibration().notes() == []
    poor = dataclasses.replace(FIGURES, f1=FIGURES.f1_of_rejecting_all)
    temperature, rejection, test = calibration(temperature=0.001, valid=poor, test=None).notes()
    assert "0.001 to 20" in temperature and "rejecting" in rejection and "test split" in test
