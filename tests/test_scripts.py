"""The scripts: the environment they make or refuse to make, and where the options go."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dim_tf.errors import DimError, UsageError
from scripts import pipeline
from tests.tiny_results import made_up_run

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("run_train.sh", "run_test.sh", "tests/run.sh", ".ci/run", "scripts/venv.sh")
PYTHONS = ("python3", "python3.11", "python3.12", "python3.13")
# Stands for python3 and for .venv/bin/python: writes down what it is asked, does as $STUB_ says.
STUB = """#!/usr/bin/env bash
echo "$*" >>"$STUB_LOG"
case "$*" in
  *version_info*) [[ " ${STUB_OTHER:-} " != *" ${0##*/} "* ]] ;;
  *ensurepip*) [[ " ${STUB_NO_VENV:-} " != *" ${0##*/} "* ]] ;;
  "-m pip install"*) exit "${STUB_PIP:-0}" ;;
  "-m venv"*) mkdir -p "${@: -1}/bin" && cp "$0" "${@: -1}/bin/python" ;;
  *"-m pytest"*"-m backend") echo "jax $KERAS_BACKEND"; exit "${STUB_JAX:-0}" ;;
  *"-m pytest"*) echo "all $KERAS_BACKEND"; exit "${STUB_TENSORFLOW:-0}" ;;
esac
"""


@pytest.fixture
def clone(tmp_path):
    """The scripts and what they read, in a folder with a space in its name."""
    folder = tmp_path / "a clone"
    for name in (*SCRIPTS, "setup.py", "pyproject.toml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture
def run(clone, tmp_path):
    """Runs a script of the clone from elsewhere, with stubs of Python; gives process and log."""
    programs, log = tmp_path / "bin", tmp_path / "log"
    programs.mkdir()
    for name in PYTHONS:
        (programs / name).write_text(STUB)
        (programs / name).chmod(0o755)

    def call(script, *options, folder=clone, **environment):
        log.write_text("")
        done = subprocess.run(
            [str(folder / script), *options],
            env={"PATH": f"{programs}:/usr/bin:/bin", "STUB_LOG": str(log), **environment},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done, log.read_text().splitlines()

    return call


@pytest.mark.parametrize("name", SCRIPTS)
def test_bash_can_read_the_script(name):
    assert subprocess.run(["bash", "-n", ROOT / name], check=False).returncode == 0
    assert os.access(ROOT / name, os.X_OK) == (name != "scripts/venv.sh")


# === The environment ===


def test_the_environment_is_made_once(run, clone):
    done, log = run("run_test.sh", "--turns", "5", "--run", "a run")
    assert done.returncode == 0
    assert [line for line in log if "install" in line or "-m venv" in line] == [
        f"-m venv --clear {clone}/.venv",
        f"-m pip install --quiet --disable-pip-version-check --editable {clone}",
    ]
    assert log[-1] == f"{clone}/scripts/pipeline.py test --turns 5 --run a run"
    _, log = run("run_train.sh")
    assert log == [f"{clone}/scripts/pipeline.py train"]


def test_another_setup_is_installed(run, clone):
    run("run_train.sh")
    with (clone / "setup.py").open("a") as handle:
        handle.write("# another pin\n")
    _, log = run("run_train.sh")
    assert any("pip install" in line for line in log)
    assert not any("-m venv" in line for line in log)


def test_a_moved_repository_has_its_environment_made_anew(run, clone):
    """What pip installs names its interpreter by the path where it was."""
    run("run_train.sh")
    moved = clone.rename(clone.with_name("moved"))
    _, log = run("run_train.sh", folder=moved)
    assert log[-3:] == [
        f"-m venv --clear {moved}/.venv",
        f"-m pip install --quiet --disable-pip-version-check --editable {moved}",
        f"{moved}/scripts/pipeline.py train",
    ]
    _, log = run("run_train.sh", folder=moved)
    assert log == [f"{moved}/scripts/pipeline.py train"]


def test_an_interpreter_that_was_replaced_has_its_environment_made_anew(run, clone, tmp_path):
    run("run_train.sh")
    python = clone / ".venv/bin/python"
    python.unlink()
    python.symlink_to(tmp_path / "bin/python3.12")
    _, log = run("run_train.sh")
    assert f"-m venv --clear {clone}/.venv" in log


def test_an_environment_that_is_linked_is_not_cleared(run, clone, tmp_path):
    run("run_train.sh")
    other = tmp_path / "other clone"
    shutil.copytree(clone, other, ignore=shutil.ignore_patterns(".venv"))
    (other / ".venv").symlink_to(clone / ".venv")
    _, log = run("run_train.sh", folder=other)
    assert any(line.endswith(f"--editable {other}") for line in log)
    assert not any("-m venv" in line for line in log)


def test_an_environment_made_by_hand_is_used(run, clone, tmp_path):
    (clone / ".venv/bin").mkdir(parents=True)
    shutil.copy(tmp_path / "bin/python3", clone / ".venv/bin/python")
    _, log = run("run_train.sh")
    assert log[0] == "-m pip --version"
    assert not any("-m venv" in line for line in log)


def test_a_python_that_tensorflow_has_no_release_for_is_passed_over(run, clone, tmp_path):
    _, log = run("run_train.sh", STUB_OTHER="python3 python3.13")
    assert sum("version_info" in line for line in log) == 3
    assert f"-m venv --clear {clone}/.venv" in log


def test_tests_want_their_extra_and_others_are_served_by_it(run, clone):
    run("run_train.sh")
    _, log = run("tests/run.sh")
    installs = [line for line in log if "pip install" in line]
    install = "-m pip install --quiet --disable-pip-version-check --editable"
    assert installs == [f"{install} {clone}[test]"]
    for script in ("run_train.sh", "tests/run.sh"):
        _, log = run(script)
        assert not any("pip install" in line for line in log)


def test_a_failed_installation_is_tried_again(run):
    done, log = run("run_train.sh", STUB_PIP="1")
    assert done.returncode == 1 and not any("pipeline" in line for line in log)
    done, log = run("run_train.sh")
    assert done.returncode == 0 and any("pip install" in line for line in log)


@pytest.mark.parametrize(
    ("stub", "message"),
    [
        ("STUB_NO_VENV", "sudo apt-get install python3-venv"),
        ("STUB_OTHER", "no Python 3.11, 3.12 or 3.13"),
    ],
)
def test_a_missing_python_is_one_line_and_leaves_nothing(run, clone, stub, message):
    done, _ = run("run_train.sh", **{stub: " ".join(PYTHONS)})
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("script", ["run_train.sh", "run_test.sh"])
def test_help_needs_no_environment(run, clone, script):
    done, log = run(script, "--seed", "1", "--help")
    assert done.returncode == 0 and done.stdout.startswith(f"usage: {script} [OPTION ...]")
    assert log == [] and not (clone / ".venv").exists()


# === The tests ===


def test_tests_run_on_both_backends(run):
    done, log = run("tests/run.sh", "--slow", "-k", "a or b")
    assert done.returncode == 0
    first, second = log[-2:]
    assert first.startswith("-m pytest --numprocesses auto ")
    assert first.endswith(" --slow -k a or b")
    assert second == f"{first} -m backend"
    said = [line for line in done.stdout.splitlines() if not line.startswith("===")]
    assert said == ["all tensorflow", "jax jax"]


@pytest.mark.parametrize(
    ("tensorflow", "jax", "status"), [(1, 0, 1), (0, 1, 1), (1, 5, 1), (0, 5, 0), (5, 5, 5)]
)
def test_either_backend_can_fail_the_tests(run, tensorflow, jax, status):
    done, _ = run("tests/run.sh", STUB_TENSORFLOW=str(tensorflow), STUB_JAX=str(jax))
    assert done.returncode == status
    assert "jax jax" in done.stdout


# === The options ===


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
        (["--set", "epochs=0"], "epochs: found 0"),
        (["--init-from", "nothing"], "nothing: found no run folder"),
        (["--resume", "--init-from", "x"], "exclude each other"),
        (["--resume", "--run", "runs/no"], "runs/no: found no run folder"),
    ],
)
def test_what_training_would_refuse_is_refused_before_anything_is_prepared(options, message):
    with pytest.raises(DimError, match=message):
        pipeline.train(["--source", "download", *options])


@pytest.fixture
def stopped(tmp_path):
    """Makes a run that can go on, as far as its folder tells."""

    def make(name):
        run = made_up_run(tmp_path / name, [1])
        (run / "latest.npz").touch()
        return run

    return make


def test_a_resumed_run_of_the_sample_keeps_its_own_settings(stopped):
    stopped("runs/a")
    _, train, _ = pipeline.train(["--resume", "--run", "runs/a"])
    assert train.options == ["--prepared", "prepared/sample", "--run", "runs/a", "--resume"]


@pytest.mark.parametrize("flag", ["--out", "--prepared"])
def test_the_folders_can_be_chosen(flag):
    prepare, train, test = pipeline.train([flag, "a", "--run", "b"])
    assert prepare.options[2:4] == ["--out", "a"]
    assert train.options[:4] == ["--prepared", "a", "--run", "b"]
    assert test.options == ["--run", "b", "--prepared", "a"]
    (test,) = pipeline.test(["--run", "x/b", "--turns", "9"])
    assert test.options == ["--run", "x/b", "--prepared", "prepared/b", "--turns", "9"]


def test_from_elsewhere_the_defaults_lie_in_the_repository(tmp_path, monkeypatch):
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    assert pipeline.train([])[0].options[-1] == str(tmp_path / "prepared/sample")


def test_a_check_trains_nothing():
    assert [step.module for step in pipeline.train(["--check"])] == ["data_prep"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sorce", "x"], "unknown option --sorce; did you mean --source?"),
        (["--eval-evry", "5"], "unknown option --eval-evry; did you mean --eval-every?"),
        (["--persona", "selv"], "--persona: found 'selv'"),
        (["--tokeniser", "author"], "--tokeniser: found 'author'"),
        (["--epochs"], "argument --epochs: expected one argument"),
    ],
)
def test_a_bad_option_is_refused_before_anything_is_prepared(options, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        pipeline.train(options)


def test_an_existing_run_is_refused_unless_it_goes_on(stopped):
    stopped("runs/sample")
    with pytest.raises(UsageError, match=r"runs/sample exists; .* --resume"):
        pipeline.train([])
    train = pipeline.train(["--resume"])[1]
    assert train.options[-1] == "--resume"
    with pytest.raises(UsageError, match="seed 7 was asked for, but runs/sample was started with"):
        pipeline.train(["--resume", "--seed", "7"])


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


# === The whole ===


@pytest.mark.slow
def test_the_sample_from_a_new_clone(tmp_path):
    """Installs, prepares, trains a little, tests; then refuses, goes on, and tests again."""
    clone = tmp_path / "a clone"
    ignored = shutil.ignore_patterns(".git", ".venv", "prepared", "runs", "*_cache", "*.egg-info")
    shutil.copytree(ROOT, clone, ignore=ignored)
    # The packages of this environment serve the new one, so that none has to be fetched.
    subprocess.run([sys.executable, "-m", "venv", clone / ".venv"], check=True)
    here, there = (
        next(Path(folder).glob("lib/python3*/site-packages"))
        for folder in (sys.prefix, clone / ".venv")
    )
    (there / "lent.pth").write_text(f"{here}\n")

    # "false" is how pip is told not to fetch what it builds with.
    offline = {**os.environ, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "false"}

    def call(script, *options):
        command = [str(clone / script), *options]
        return subprocess.run(
            command, cwd=tmp_path, env=offline, capture_output=True, text=True, check=False
        )

    short = ("--max-updates", "5", "--valid-turns", "20", "--rnn-units", "8")
    done = call("run_train.sh", *short)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    result = lines[-1]
    assert re.fullmatch(r"test hits@1 [01]\.\d{3} MRR [01]\.\d{3}", result)
    commands = [shlex.split(line)[3] for line in lines if line.startswith("$ ")]
    assert commands == ["data_prep", "dim_tf.train", "dim_tf.evaluate"]
    assert (clone / "runs/sample/best.weights.h5").is_file()

    again = call("run_train.sh", *short)
    assert again.returncode == 2
    assert again.stderr.count("\n") == 1 and "--resume" in again.stderr
    resumed = call("run_train.sh", *short, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "already prepared" in resumed.stdout and resumed.stdout.splitlines()[-1] == result
    tested = call("run_test.sh")
    assert tested.returncode == 0, tested.stderr
    assert tested.stdout.splitlines()[-1] == result
