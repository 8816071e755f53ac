"""Ctrl-C and full disks leave nothing half-written."""

from __future__ import annotations

import errno
import os

import numpy as np

import data_prep.__main__ as data_prep
from data_prep.tensors import TableBuilder


def test_ctrl_c_leaves_nothing(source, options, command, monkeypatch):
    def interrupted(self, table):
        (path,) = options[-1].parent.iterdir()
        assert path.name.startswith(".")
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
