"""The command, with the tiny model instead of the paper's systems."""

import dataclasses
import signal

import numpy as np
import pytest

from dim_tf import reproduce
from dim_tf.cli import parser
from dim_tf.errors import DivergedError, UsageError
from dim_tf.io import atomic
from dim_tf.paper import render
from dim_tf.runs.run import Run
from dim_tf.systems import registry
from dim_tf.training.trainer import Trainer
from tests.tiny import build_tiny

SHORT = ("--rnn-units=4", "--batch-size=8", "--updates=4", "--eval-every=2", "--save-every=1")


@pytest.fixture
def call(prepared, tmp_path, monkeypatch):
    """Reproduces in this process; `call(option, ...)` gives the folder of the runs."""
    for name in ("dim", "imn"):
        system = dataclasses.replace(registry.get(name), builder=build_tiny)
        monkeypatch.setitem(registry.SYSTEMS, name, system)

    def call(*options):
        folders = ("--prepared", prepared, "--runs", tmp_path / "runs")
        reproduce.main([str(option) for option in (*folders, *SHORT, *options)])
        return tmp_path / "runs"

    return call


def stamps(folder):
    return {
        path: path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file() and "report" not in path.parts
    }


@pytest.mark.backend
def test_a_table_is_trained_tested_reported_and_not_done_twice(call, capsys):
    folder = call("--table", 5, "--systems", "dim")
    out = capsys.readouterr().out
    assert out.startswith("2 runs, 8 updates; 0 of them finished\n")
    assert "dim_self_original_seed1         4 updates, tested on original and revised: new" in out
    assert "=== 2 of 2: dim_self_revised_seed1 ===" in out
    for version in ("original", "revised"):
        run = Run.open(folder / f"dim_self_{version}_seed1")
        assert run.metrics()[-1]["update"] == 4
        assert set(run.results()) == {"test_self_original", "test_self_revised"}
    results = atomic.read_json(folder / "report/results.json")
    five = results["tables"][-2]["rows"]
    assert all(cell["ours"] for row in five for cell in row["cells"])
    assert out.endswith(render.markdown(results))

    before = stamps(folder)
    call("--table", 5, "--systems", "dim")
    assert stamps(folder) == before
    assert "2 of them finished" in capsys.readouterr().out
    with pytest.raises(UsageError, match="rnn_units 4, not 5"):
        call("--table", 5, "--systems", "dim", "--rnn-units", 5)
    # A test of another size is one more.
    call("--table", 5, "--systems", "dim", "--test-turns", 5)
    assert "test_self_revised, 5 turns" in Run.open(folder / "dim_self_original_seed1").results()
    lost = folder / "dim_self_revised_seed1/ranks/test_self_original_5_turns.npz"
    lost.unlink()
    capsys.readouterr()
    call("--table", 5, "--systems", "dim", "--test-turns", 5)
    assert "tested on original and revised: trained, not tested" in capsys.readouterr().out
    assert lost.is_file()


def test_stopped_it_resumes_and_each_run_is_as_if_trained_alone(prepared, tiny_command, tmp_path):
    folder = tmp_path / "runs"
    command = ("reproduce", "--prepared", prepared, "--runs", folder, *SHORT)
    command += ("--table", 2, "--systems", "tiny", "--seeds", 1, 2)
    stopped = tiny_command(*command, DIE="update:6:SIGINT")
    assert stopped.returncode == 130, stopped.stderr
    assert stopped.stderr.splitlines()[-1] == "stopped; the same command resumes"
    done = tiny_command(*command)
    assert done.returncode == 0, done.stderr
    assert "tiny_none_original_seed1         4 updates, tested on original: fin" in done.stdout
    assert "tiny_none_original_seed2         4 updates, tested on original: sto" in done.stdout
    assert "| tiny | ours | " in done.stdout
    alone = tmp_path / "alone"
    options = [option.replace("--updates", "--max-updates") for option in SHORT]
    options += ["--model", "tiny", "--persona", "none", "--seed", "2"]
    trained = tiny_command("train", "--prepared", prepared, "--run", alone, *options)
    assert trained.returncode == 0, trained.stderr
    for name in ("best.weights.h5", "config.json"):
        found = (folder / "tiny_none_original_seed2" / name).read_bytes()
        assert found == (alone / name).read_bytes()


def test_it_stops_before_the_next_run_if_the_last_validation_is_under_way(call, monkeypatch):
    def stopping(self):
        result = rank(self)
        if self.state.update == 4:
            signal.raise_signal(signal.SIGINT)
        return result

    rank = Trainer._rank_validation_turns
    monkeypatch.setattr(Trainer, "_rank_validation_turns", stopping)
    folder = call("--table", 5, "--systems", "dim")
    first = Run.open(folder / "dim_self_original_seed1")
    assert (first.best_update() in (2, 4), first.results()) == (True, {})
    assert not (folder / "dim_self_revised_seed1").exists()


def test_a_run_that_diverges_does_not_keep_the_others_from_being_done(call, capsys, tmp_path):
    diverging = Run.save_best

    def save_best(run, model):
        if run.path.name == "dim_self_original_seed1":
            raise DivergedError("weight x holds NaN")
        diverging(run, model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save_best", save_best)
        with pytest.raises(DivergedError, match="diverged: dim_self_original_seed1"):
            call("--table", 4, "--systems", "dim")
    said = capsys.readouterr()
    assert "error: weight x holds NaN" in said.err
    results = atomic.read_json(tmp_path / "runs/report/results.json")
    assert sorted(cell.split(",")[0] for cell in results["cells"]) == [
        *("dim_no_context_self_original", "imn_none_original")
    ]
    assert np.isfinite(results["cells"]["imn_none_original, tested on original"]["MRR"]["mean"])


def test_a_run_whose_base_diverged_is_left_out(call, capsys):
    def save_best(run, model):
        raise DivergedError("weight x holds NaN")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "save_best", save_best)
        with pytest.raises(DivergedError, match=r"profile_memory_none.*, kv_profile_memory_none"):
            call("--table", 2, "--systems", "kv_profile_memory", "profile_memory")
    assert "profile_memory_none_original_seed1, which it starts from" in capsys.readouterr().err


def test_a_system_starts_from_the_run_of_another(call, tmp_path):
    call("--table", 2, "--systems", "kv_profile_memory", "profile_memory")
    first, second = (
        Run.open(tmp_path / f"runs/{name}_none_original_seed1")
        for name in ("profile_memory", "kv_profile_memory")
    )
    assert second.initial["run"] == first.name
    weights = [np.asarray(run.load_model().words.embeddings) for run in (first, second)]
    np.testing.assert_array_equal(*weights)
    assert {"test_none_original"} == first.results().keys() == second.results().keys()


def test_what_is_refused_before_anything_is_trained(prepared, tmp_path, capsys):
    folders = ["--prepared", str(prepared), "--runs", str(tmp_path / "runs")]
    for options, message in (
        (["--seeds", "1", "x"], "--seeds: found x, expected a whole number of at least 0"),
        (["--systems", "starspcae"], "did you mean starspace"),
        (["--systems", "kv_profile_memory"], "give profile_memory too"),
        (["--systems", "ft_pc"], "FT-PC starts from a run of transformer"),
        (["--set", "max_updates=3"], "--set: max_updates is given by --updates"),
        (["--set", "use_context=false", "--systems", "dim"], "use_context follows from the tables"),
    ):
        assert parser.run(reproduce.main, [*folders, *options]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
