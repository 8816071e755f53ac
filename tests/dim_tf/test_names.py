"""Identifiers of the tensor code are terms of the field."""

import ast
from pathlib import Path

import pytest

import dim_tf

BANNED = {"there", "stand", "goes", "live", "halves", "others"}
FILES = [
    p for room in ("models", "packing") for p in Path(dim_tf.__file__).parent.glob(f"{room}/*.py")
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_banned_word_is_part_of_an_identifier(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names |= {getattr(node, field, None) for field in ("id", "name", "arg", "attr")}
    assert not [n for n in names if isinstance(n, str) and BANNED & set(n.lower().split("_"))]
