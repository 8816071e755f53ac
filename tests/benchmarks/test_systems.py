"""The speed of systems: a row a run."""

from __future__ import annotations

import re

from benchmarks import systems
from benchmarks.turns import write_turns
from dim_tf.cli import parser
from dim_tf.data.dataset import PreparedData
from dim_tf.training.start import new_run


def test_each_run_has_a_row(tmp_path, capsys):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    write_turns(prepared, 8, 5)
    sizes = {"max_utterances": 2, "max_utterance_len": 8, "max_profile_len": 4}
    run = new_run(tmp_path / "fast", PreparedData.load(prepared), sizes, model="starspace")
    with run.creating() as unfinished:
        unfinished.save_best(run.build_model())
    command = [str(run.path), "--prepared", str(prepared), "--split", "train"]
    assert parser.run(systems.main, command) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^\| fast \| 0\.0 \| [1-9][\d,]* \|$", printed, re.MULTILINE)
    assert re.search(r": [1-9]\d* GFLOP/s or more$", printed, re.MULTILINE)
