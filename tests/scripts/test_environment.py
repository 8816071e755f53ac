"""The shell scripts: the environment that they make, use or refuse to make."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("run_train.sh", "run_test.sh", "tests/run.sh", "scripts/venv.sh")
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


def test_the_environment_is_made_once(run, clone):
    done, log = run("run_test.sh", "--turns", "5", "--run", "a run")
    assert done.returncode == 0
    assert [line for line in log if "install" in line or "-m venv" in line] == [
        f"-m venv --clear {clone}/.venv",
        f"-m pip install --quiet --disable-pip-version-check --editable {clone}",
    ]
    assert log[-1] == f"{clone}/scripts/pipeline.py test --turns 5 --run a run"
    _, log = run("run_train.sh")
    assert log == ["-c ", f"{clone}/scripts/pipeline.py train"]
    with (clone / "setup.py").open("a") as handle:
        handle.write("# another pin\n")
    _, log = run("run_train.sh")
    assert [line.split()[:3] for line in log[1:-1]] == [["-m", "pip", "install"]]


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
    [("STUB_NO_VENV", "install python3-venv"), ("STUB_OTHER", "no Python 3.11")],
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
