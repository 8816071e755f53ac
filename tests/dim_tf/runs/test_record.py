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


<<<<<<< HEAD
=======
def test_a_record_is_renewed_as_its_run_goes_on(runs, tmp_path):
    record, run = tmp_path / "record", Record.open(runs / "imn")
    run.copy_to(record)
    row = {**run.metrics()[-1], "update": 400, "MRR": 0.9}
    lines = atomic.read_lines(runs / "imn/metrics.jsonl")
    atomic.write_lines(runs / "imn/metrics.jsonl", [*lines, json.dumps(row)])
    assert Record.open(record).best()["update"] == 300
    run.copy_to(record)
    assert Record.open(record).best()["update"] == 400


def test_a_record_whose_writing_was_killed_is_written_again(runs, tmp_path):
    run, record = Record.open(runs / "imn"), tmp_path / "record"
    (record / "ranks").mkdir(parents=True)
    (record / ".config.json.tmp-0123abcd").mkdir()
    run.copy_to(record)
    assert sorted(path.name for path in record.iterdir()) == [
        *("config.json", "metrics.jsonl", "ranks", "results.json")
    ]


def test_results_are_never_there_without_the_ranks_that_they_refer_to(runs, tmp_path, monkeypatch):
    def killed(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(atomic, "write_npz", killed)
    with pytest.raises(KeyboardInterrupt):
        Record.open(runs / "imn").copy_to(tmp_path / "record")
    assert sorted(path.name for path in (tmp_path / "record").iterdir()) == ["config.json", "ranks"]


def test_keeping_a_record_where_it_is_changes_nothing(runs, tmp_path):
    kept = tmp_path / "kept"
    report.main([str(runs), "--keep", str(kept)])
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    report.main([str(kept), "--keep", str(kept)])
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*")} == before


def test_what_is_no_record_of_the_run_is_not_overwritten(runs, tmp_path):
    run = Record.open(runs / "imn")
    with pytest.raises(UsageError, match=r"exists and is no record \(\w+\.\w+ is in it\)"):
        run.copy_to(runs / "dim")
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/metrics.jsonl").touch()
    with pytest.raises(UsageError, match=r"exists and is no record \(config.json is missing\)"):
        run.copy_to(tmp_path / "rows")
    Record.open(runs / "dim").copy_to(tmp_path / "dim")
    with pytest.raises(UsageError, match="is a record of another run than"):
        run.copy_to(tmp_path / "dim")
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot be made"):
        run.copy_to(tmp_path / "file" / "imn")


>>>>>>> eb97526 (Parsers by argparse's public interface, options of several values add up, closed streams are /dev/null; files by tempfile and filelock, through links; progress by tqdm alone)
def test_a_record_cannot_rank(runs, tmp_path):
    with pytest.raises(CheckpointError, match="a record without words and weights"):
        Run.open(copied(runs / "dim", tmp_path / "record"))


def test_the_name_of_a_record_is_that_of_its_folder(runs, monkeypatch):
    monkeypatch.chdir(runs / "dim")
    assert Record.open(".").name == "dim"


def test_a_damaged_record(runs):
    (runs / "dim/config.json").write_text("{")
    with pytest.raises(CheckpointError, match="a damaged run folder"):
        Record.open(runs / "dim")


def test_a_row_in_the_midst_that_cannot_be_read(runs):
    path = runs / "dim/metrics.jsonl"
    first, last = atomic.read_lines(path)
    atomic.write_lines(path, [first, "{", last])
    with pytest.raises(DataError, match=r"metrics.jsonl:2: not JSON"):
        Record.open(runs / "dim").metrics()
    atomic.write_lines(path, [first, json.dumps({"kind": "valid", "update": 1})])
    with pytest.raises(DataError, match=r"metrics.jsonl:2: .*MRR"):
        Record.open(runs / "dim").metrics()
