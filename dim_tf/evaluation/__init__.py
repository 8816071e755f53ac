"""How good a run is: metrics, intervals, calibration, its mistakes and its model card."""
