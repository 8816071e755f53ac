"""`dim-tf COMMAND`, which is `python -m dim_tf COMMAND`."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from dim_tf.cli import dispatch

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", dispatch.COMMANDS)
def test_every_command_is_there(name, capsys):
    assert find_spec(dispatch.COMMANDS[name][0]) is not None
    with pytest.raises(SystemExit) as end:
        dispatch.main([name, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "usage:" in shown
    assert not re.search(r"\(default: (None|False|\[\])\)", shown)


def test_every_module_that_is_a_command_is_listed():
    runs = re.compile(r'^if __name__ == "__main__":\n    sys\.exit\(run_command\(main\)\)', re.M)
    modules = {
        f"{package}.{path.stem}"
        for package in ("dim_tf", "data_prep")
        for path in (ROOT / package).glob("*.py")
        if runs.search(path.read_text(encoding="utf-8"))
    }
    assert modules == {module for module, _ in dispatch.COMMANDS.values()}


def test_help_names_all_commands(capsys):
    assert dispatch.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, (_, does) in dispatch.COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(does)}$", shown, re.M)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["trian"], "command trian, expected prepare, .*; did you mean train?"),
        (["xyz"], "command xyz, expected prepare, train, .* or report$"),
        ([], "no command given, expected prepare, train, "),
        (["report", "--hlp"], "--hlp; did you mean --help?"),
        (["predict", "--run", "none", "--candidates", "none"], "none: .*missing"),
    ],
)
def test_what_is_refused_is_one_line(argv, message, capsys):
    assert dispatch.main(argv) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and re.search(message, said)
    assert said.count("\n") == 1


def test_the_package_can_be_run_and_needs_no_backend():
    """In an interpreter where the import of all that is large fails."""
    code = (
        "import runpy, sys\n"
        "for name in ('keras', 'tensorflow', 'jax', 'numpy', 'data_prep'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = ['dim-tf', '--help']\n"
        "runpy.run_module('dim_tf', run_name='__main__')\n"
    )
    shown = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert shown == dispatch.usage() + "\n"


def test_the_console_script_is_that_function():
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    [(name, module, function)] = re.findall(r'"(\S+) = ([\w.]+):(\w+)"', setup)
    assert name == "dim-tf"
    assert getattr(sys.modules[module], function) is dispatch.main


def test_importing_the_commands_does_not_wait_for_keras():
    """Nor for what else takes long and few of them need."""
    modules = ", ".join(module for module, _ in dispatch.COMMANDS.values())
    slow = {"keras", "tensorflow", "jax", "scipy", "gensim", "matplotlib"}
    code = f"import sys, {modules}; print(*({slow} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True) == "\n"
