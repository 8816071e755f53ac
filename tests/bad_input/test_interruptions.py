"""Ctrl-C and full disks leave nothing half-written."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

import data_prep.__main__ as data_prep
from data_prep.prepare import new_folder
from data_prep.tensors import TableBuilder
from dim_tf.errors import UsageError
from tests.bad_input.material import folder


def test_ctrl_c_leaves_nothing(source, options, command, monkeypatch):
    def interrupted(self, table):
        assert [path.name[:9] for path in options[-1].parent.iterdir()] == [".dim_out-"]
        raise KeyboardInterrupt

    monkeypatch.setattr(TableBuilder, "build", interrupted)
    status, out, error = command(data_prep, "--source", source, *options)
    assert (status, out, error) == (130, "", "stopped by Ctrl-C\n")
    assert list(options[-1].parent.iterdir()) == []


def test_a_full_disk_names_the_file_and_leaves_nothing(source, options, refused, monkeypatch):
    def full(handle, **arrays):
        handle.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    said = refused(data_prep, "--source", source, *options)
    assert said.endswith("vectors.npz: No space left on device")
    assert list(options[-1].parent.iterdir()) == []


def test_a_replaced_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path):
    out = folder(tmp_path / "out")
    (out / "old").write_text("kept")
    with pytest.raises(UsageError), new_folder(out):
        raise UsageError("too late")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]
