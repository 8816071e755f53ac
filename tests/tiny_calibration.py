"""A made-up calibration."""

from __future__ import annotations

from dim_tf.evaluation.calibration import Calibration, Figures

FIGURES = Figures(
    turns=10,
    of=12,
    loss_before=1.0,
    loss_after=0.9,
    ece_before=0.1,
    ece_after=0.05,
    seed=2019,
    without_gold=5,
    precision=0.8,
    recall=0.7,
    f1=0.75,
)


def calibration(**changes):
    """The calibration with some values changed."""
    values = {
        "temperature": 2.0,
        "threshold": 0.5,
        "weights": "0" * 64,
        "prepared": "1" * 64,
        "persona": "self",
        "version": "original",
        "valid": FIGURES,
        "test": FIGURES,
    }
    return Calibration(**{**values, **changes})
