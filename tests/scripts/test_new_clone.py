"""The two commands in a new clone."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_the_sample_from_a_new_clone(tmp_path):
    """Installs, prepares, trains a little, tests; then refuses, resumes, and tests again."""
    clone = tmp_path / "a clone"
    made_here = {".git", ".venv", "prepared", "runs"}
    shutil.copytree(
        *(ROOT, clone), ignore=lambda folder, names: made_here if Path(folder) == ROOT else ()
    )
    # The packages of this environment serve the new one, so that none has to be fetched.
    subprocess.run([sys.executable, "-m", "venv", clone / ".venv"], check=True)
    ours, theirs = (
        next(Path(folder).glob("lib/python3*/site-packages"))
        for folder in (sys.prefix, clone / ".venv")
    )
    (theirs / "lent.pth").write_text(f"{ours}\n")

    # "false" tells pip not to fetch the packages it builds with.
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
    assert "already prepared" not in resumed.stdout and resumed.stdout.splitlines()[-1] == result
    tested = call("run_test.sh")
    assert tested.returncode == 0, tested.stderr
    assert tested.stdout.splitlines()[-1] == result
