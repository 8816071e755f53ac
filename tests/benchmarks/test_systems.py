"""The speed of systems: a row a run."""

from __future__ import annotations

import re

from benchmarks import systems
from dim_tf.cli import parser


def test_each_run_has_a_row(fast_run, prepared, capsys):
    run = fast_run
    command = [str(run.path), "--prepared", str(prepared), "--split", "train"]
    assert parser.run(systems.main, command) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^\| fast \| 0\.0 \| [1-9][\d,]* \|$", printed, re.MULTILINE)
    assert re.search(r": [1-9]\d* GFLOP/s or more$", printed, re.MULTILINE)
