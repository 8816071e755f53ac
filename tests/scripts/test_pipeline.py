"""`run_train.sh` and `run_test.sh`: where the options go, how the steps run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import data_prep.__main__
from dim_tf.errors import DimError, UsageError
from scripts import pipeline
from tests.tiny_results import made_up_run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Folders that others made are not in the way."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline, "ROOT", tmp_path)


def test_no_option_means_the_sample():
    prepare, train, test = pipeline.train([])
    assert (prepare.module, train.module) == ("data_prep", "dim_tf.train")
    assert prepare.options == ["--source", "sample", "--out", "prepared/sample"]
    folders = ["--prepared", "prepared/sample", "--run", "runs/sample"]
    assert train.options == [*folders, *pipeline.SAMPLE_SETTINGS]
    assert train.hint.endswith("tensorboard --logdir runs/sample")
    assert test == pipeline.Step(
        "dim_tf.evaluate", ["--run", "runs/sample", "--prepared", "prepared/sample"]
    )
    assert pipeline.test([]) == [test]


def test_options_go_to_the_command_that_knows_them():
    options = ["--vectors", "g.txt", "--eval-every=100", "--source", "data/my talk.tar.xz"]
    options += ["--seed", "7", "--dense", "--set", "dropout=0.1", "--debug"]
    prepare, train = pipeline.train(options)
    name = "my talk"
    assert prepare.options == [
        *("--source", "data/my talk.tar.xz", "--out", f"prepared/{name}", "--debug"),
        *("--vectors", "g.txt", "--seed", "7", "--dense"),
    ]
    assert train.options == [
        *("--prepared", f"prepared/{name}", "--run", f"runs/{name}", "--debug"),
        *("--eval-every=100", "--seed", "7", "--set", "dropout=0.1"),
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "max_utterence=5"], "unknown setting 'max_utterence'; did you mean"),
        (["--model", "dmi"], "unknown model 'dmi', .* did you mean dim"),
        (["--dropout", "1.5"], "dropout: found 1.5"),
        (["--model", "imn_utr", "--no-context"], "imn_utr .*context"),
        (["--init-from", "nothing"], "nothing: found no run folder"),
        (["--resume", "--run", "runs/no"], "runs/no: found no run folder"),
        (["--sorce", "x"], "--sorce; did you mean --source"),
        (["--eval-evry", "5"], "--eval-evry; did you mean --eval-every"),
        (["--persona", "selv"], "--persona: found 'selv'"),
        (["--epochs"], "--epochs: expected one argument"),
    ],
)
def test_what_training_would_refuse_is_refused_before_anything_is_prepared(options, message):
    with pytest.raises(DimError, match=message):
        pipeline.train(["--source", "download", *options])


@pytest.mark.parametrize("flag", ["--out", "--prepared"])
def test_the_folders_can_be_chosen(flag):
    prepare, train, test = pipeline.train([flag, "a", "--run", "b"])
    assert prepare.options[2:4] == ["--out", "a"]
    assert train.options[:4] == ["--prepared", "a", "--run", "b"]
    assert test.options == ["--run", "b", "--prepared", "a"]
    (test,) = pipeline.test(["--run", "x/b", "--turns", "9"])
    assert test.options == ["--run", "x/b", "--prepared", "prepared/b", "--turns", "9"]


@pytest.mark.parametrize("chosen", [[], ["--cache", "c"], ["--cache=c"]])
def test_an_archive_is_kept_in_the_repository_or_where_it_is_wanted(tmp_path, monkeypatch, chosen):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    prepare, *_ = pipeline.train(["--source", "download", *chosen])
    assert prepare.options[3] == str(tmp_path / "prepared/personachat")
    kept = data_prep.__main__.build_parser().parse_args(prepare.options).cache
    assert kept == (Path("c") if chosen else tmp_path / "downloads")


def test_a_check_trains_nothing():
    assert [step.module for step in pipeline.train(["--check"])] == ["data_prep"]


def test_a_failing_step_ends_it_with_its_status(capfd, monkeypatch):
    monkeypatch.setattr(pipeline, "train", lambda options: [pipeline.Step("no_such", ["a b"])] * 2)
    assert pipeline.main(["train"]) == 1
    out, error = capfd.readouterr()
    assert out == f"$ {sys.executable} -m no_such 'a b'\n"
    assert "No module named no_such" in error


def sleeping(tmp_path, body):
    """A step in a process of its own, whose module has this body."""
    (tmp_path / "sleeper.py").write_text(f"import os, signal, sys, time\n{body}\n")
    code = "import sys; from scripts import pipeline as p; sys.exit(p._run(p.Step('sleeper', [])))"
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True
    )


def test_a_step_is_told_to_stop_and_its_status_is_handed_on(tmp_path):
    body = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))\nprint('ready', flush=True)"
    with sleeping(tmp_path, f"{body}\ntime.sleep(60)") as process:
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines[1] == "ready\n"
        process.terminate()
        assert process.wait(30) == 130


def test_a_killed_step_has_the_status_that_shells_give(tmp_path):
    with sleeping(tmp_path, "os.kill(os.getpid(), signal.SIGKILL)") as process:
        assert process.wait(30) == 128 + 9


def test_modules_are_those_of_the_clone_wherever_one_is(tmp_path, monkeypatch, capfd):
    (tmp_path / "dim_tf").mkdir()
    (tmp_path / "dim_tf/__init__.py").write_text("raise SystemExit('a decoy')")
    monkeypatch.chdir(tmp_path)
    assert pipeline._run(pipeline.Step("dim_tf", ["--version"])) == 0
    assert "a decoy" not in "".join(capfd.readouterr())


def test_an_existing_run_is_refused_unless_it_is_resumed_with_its_own_settings(tmp_path):
    run = made_up_run(tmp_path / "runs/sample", [1])
    (run / "latest.npz").touch()
    with pytest.raises(UsageError, match=r"runs/sample exists; .* --resume"):
        pipeline.train([])
    # The data may have been prepared with other options, which need not be repeated.
    train, _ = pipeline.train(["--resume"])
    assert train.options == ["--prepared", "prepared/sample", "--run", "runs/sample", "--resume"]
    prepare, *_ = pipeline.train(["--resume", "--sides", "both"])
    assert prepare.options[-2:] == ["--sides", "both"]
    with pytest.raises(UsageError, match=r"seed 7 .*runs/sample"):
        pipeline.train(["--resume", "--seed", "7"])
