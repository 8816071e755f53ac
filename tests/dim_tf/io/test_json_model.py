"""JSON files read into typed classes."""

from typing import Annotated, Literal

import pydantic
import pytest

from dim_tf.config import ModelConfig
from dim_tf.errors import DataError
from dim_tf.io import json_model


@pydantic.dataclasses.dataclass(frozen=True, kw_only=True, config=json_model.STRICT)
class Part:
    sizes: ModelConfig
    kind: Literal["train", "valid"] = "train"
    score: Annotated[float, pydantic.Field(ge=0)] = 1
    turns: tuple[int, ...] = ()


def test_it_is_read_as_it_was_written():
    part = Part(sizes=ModelConfig(char_vocab_size=9), turns=(1, 2))
    text = json_model.TypeAdapter(Part).dump_json(part)
    assert json_model.parse(text, Part) == part
    assert json_model.plain(part)["turns"] == [1, 2]


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ('{"kind": ', ["not JSON", "column 9"]),
        ("[" * 100_000, ["not JSON"]),
        (b'"\xff"', ["not JSON"]),
        ("[1]", ["found [1]", "an object"]),
        ('{"knd": "valid"}', ["knd", "unknown", "did you mean kind?"]),
        (
            '{"sizes": {"char_vocab_size": 9}, "kind": "vald"}',
            ["kind", "'vald'", "train or valid; did you mean valid?"],
        ),
        ('{"kind": "train"}', ["sizes", "missing"]),
        ('{"sizes": {"char_vocab_size": 0}}', ["char_vocab_size", "found 0"]),
        ('{"sizes": {"char_vocab_size": 9}, "score": -1}', ["score", "found -1", "at least 0"]),
        ('{"sizes": {"char_vocab_size": 9}, "score": NaN}', ["score", "nan"]),
        ('{"sizes": {"char_vocab_size": 9}, "score": "1"}', ["score", "'1'", "number"]),
        ('{"sizes": {"char_vocab_size": 9}, "turns": [1, "a"]}', ["turns[1]", "'a'", "integer"]),
    ],
)
def test_what_is_refused(text, facts):
    with pytest.raises(DataError) as caught:
        json_model.parse(text, Part, "a.jsonl", 7, "make it again")
    message = str(caught.value)
    assert message.startswith("a.jsonl:7: ") and message.endswith("; make it again")
    assert "\n" not in message and all(fact in message for fact in facts)


def test_a_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"a\.json: .*missing; make it again"):
        json_model.read(tmp_path / "a.json", Part, "make it again")
