"""What of a run folder must be the same, however often its training was stopped."""

import json

import numpy as np

from dim_tf.runs.run import Run


def content(run):
    """All that must not depend on when and how often the run was stopped."""
    with np.load(run / "latest.npz") as arrays:
        latest = {name: arrays[name].tobytes() for name in arrays.files if name != "state"}
        state = json.loads(str(arrays["state"]))
    kept = {"update", "validated", "without_gain", "window"}
    rows = [
        {name: value for name, value in row.items() if name not in ("time_s", "turns_per_s")}
        for row in Run.open(run).metrics()
    ]
    best = {name: state["best"][name] for name in ("update", "MRR", "loss")}
    return {
        "latest": latest,
        "state": {**{name: state[name] for name in kept}, "best": best},
        "rows": rows,
        "best": (run / "best.weights.h5").read_bytes(),
        "files": sorted(path.name for path in run.iterdir()),
    }
