"""docs/model.md: cited lines carry the equation, named functions exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import numpy as np

from dim_tf.models import reference
from dim_tf.packing.packed_sequence import pack_rows

PAGE = Path(__file__).parents[3].joinpath("docs/model.md").read_text("utf-8")
ROW = re.compile(
    r"\| ([\d, ]+) \| .* \| (\[reference.py:.*) \| \[`(\w+)\.(\w+)`\]\([^)]*/(\w+).py\)"
)


def test_the_table_of_equations():
    lines = Path(reference.__file__).read_text("utf-8").splitlines()
    found = []
    for equations, links, owner, function, module in ROW.findall(PAGE):
        for line in re.findall(r"#L(\d+)", links):
            first, last = re.search(r"#.*\((\d+)(?:-(\d+))?\)$", lines[int(line) - 1]).groups()
            cited = range(int(first), int(last or first) + 1)
            assert set(map(int, equations.split(","))) <= set(cited), line
        found += map(int, equations.split(","))
        module = importlib.import_module(f"dim_tf.models.{module}")
        assert callable(getattr(getattr(module, owner), function))
    assert found == list(range(4, 26))


def test_the_picture_of_packed_words():
    layout = pack_rows(np.array([2, 0, 3, 1]), np.full(4, 4), steps=4)
    shown = dict(re.findall(r"^(\w+) +\[([\d, ]+)\]", PAGE, flags=re.MULTILINE))
    assert {"batch_sizes", "flat_index", "unsorted_indices"} <= set(shown)
    for name, values in shown.items():
        assert getattr(layout, name).tolist() == [int(n) for n in values.split(",")], name
