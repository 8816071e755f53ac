"""Turns with scores of one's own, and scores read back from a file."""

import csv

import numpy as np

from dim_tf.evaluation.evaluator import Result


def scored(logits, target, present=None):
    logits = np.array(logits, "float32")
    present = np.ones(logits.shape, bool) if present is None else np.array(present, bool)
    return Result(np.arange(len(logits)) + 7, logits, np.array(target), present)


def read_scores(path):
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))
