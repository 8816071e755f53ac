"""Records: what is read of a run without its weights."""

import json
import shutil

import pytest

from dim_tf import report
from dim_tf.errors import CheckpointError, DataError
from dim_tf.io import atomic
from dim_tf.runs.record import Record
from dim_tf.runs.run import Run
from tests.tiny_results import made_up_run, ranks_with


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    made_up_run(folder / "dim", ranks_with(32), tests={"revised": ranks_with(9)})
    made_up_run(folder / "imn", ranks_with(20), "imn", "none")
    return folder


def copied(run, folder):
    """A record as the pages say how to make it."""
    folder.mkdir(parents=True)
    for name in ("config.json", "metrics.jsonl", "results.json"):
        shutil.copy(run / name, folder)
    shutil.copytree(run / "ranks", folder / "ranks")
    return folder


def test_a_record_is_reported_on_like_its_run(runs, tmp_path):
    for name in ("dim", "imn"):
        record = Record.open(copied(runs / name, tmp_path / "kept" / name))
        run = Run.open(runs / name)
        assert record.model_config == run.model_config
        assert record.training_config == run.training_config
        assert record.versions == run.versions
        assert (record.metrics(), record.best()) == (run.metrics(), run.best())
        assert record.results() == run.results()
    for source, out in (("runs", "a"), ("kept", "b")):
        report.main([str(tmp_path / source), "--out", str(tmp_path / out)])
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes(), path.name


def test_a_record_cannot_rank(runs, tmp_path):
    with pytest.raises(CheckpointError, match="a record without words and weights"):
        Run.open(copied(runs / "dim", tmp_path / "record"))


def test_the_name_of_a_record_is_that_of_its_folder(runs, monkeypatch):
    monkeypatch.chdir(runs / "dim")
    assert Record.open(".").name == "dim"


def test_a_damaged_row_in_the_middle(runs):
    path = runs / "dim/metrics.jsonl"
    first, last = atomic.read_lines(path)
    for damaged in ("{", "1" * 5000):
        atomic.write_lines(path, [first, damaged, last])
        with pytest.raises(DataError, match=r"metrics.jsonl:2: not JSON"):
            Record.open(runs / "dim").metrics()
    atomic.write_lines(path, [first, json.dumps({"kind": "valid", "update": 1})])
    with pytest.raises(DataError, match=r"metrics.jsonl:2: .*MRR"):
        Record.open(runs / "dim").metrics()
