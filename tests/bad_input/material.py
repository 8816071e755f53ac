"""A small source in the official layout, and small vectors."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

LINES = [
    "1 your persona: i ski .",
    "2 hello !\tyes .\t\tno .|yes .",
    "3 why ?\ti ski .\t\ti ski .|so what",
]
NAME = "train_self_original.txt"
VECTORS = "i 1 0\nski 0 1\n. 1 1\n"


def tar(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            content = "\n".join(LINES).encode() + b"\n"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path
