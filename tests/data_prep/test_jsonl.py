import json

import pytest

from data_prep.jsonl import read_dialogues
from dim_tf.errors import DataError

DIALOGUE = {
    "utterances": ["hi", "hello", "any pets ?", "a cat", "nice"],
    "persona_a": ["i ask ."],
    "persona_b": ["i have a cat ."],
}
TURN = {
    "context": ["hi", "hello", "any pets ?"],
    "persona": ["i have a cat ."],
    "response": "a cat",
    "candidates": ["no", "a cat"],
}


def read(tmp_path, *records, **options):
    path = tmp_path / "own.jsonl"
    lines = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("\n".join(lines))
    return read_dialogues(path, **options)


def replies(tmp_path, record, **options):
    _, (dialogue,) = read(tmp_path, record, **options)
    return [(reply.context, reply.text) for reply in dialogue.replies]


def test_side_b_answers_what_side_a_says(tmp_path):
    said = DIALOGUE["utterances"]
    assert replies(tmp_path, DIALOGUE) == [(("hi",), "hello"), (tuple(said[:3]), "a cat")]
    of_a = [(tuple(said[:2]), "any pets ?"), (tuple(said[:4]), "nice")]
    assert replies(tmp_path, DIALOGUE, sides="a") == of_a
    assert len(replies(tmp_path, DIALOGUE, sides="both")) == 4


def test_personas_go_with_their_speakers(tmp_path):
    record = DIALOGUE | {"persona_b_revised": ["my pet purrs ."]}
    shape, (dialogue,) = read(tmp_path, record, sides="both")
    b, a, *_ = dialogue.replies
    assert shape == "dialogue"
    assert b.self_profiles == {"original": ("i have a cat .",), "revised": ("my pet purrs .",)}
    assert b.partner_profiles == {"original": ("i ask .",), "revised": None}
    assert (a.self_profiles, a.partner_profiles) == (b.partner_profiles, b.self_profiles)


def test_the_marks_of_personachat_before_profiles_do_not_count(tmp_path):
    record = DIALOGUE | {"persona_b": ["your persona: i have a cat ."]}
    with pytest.warns(UserWarning):
        _, (dialogue,) = read(tmp_path, record)
    assert dialogue.replies[0].self_profiles["original"] == ("i have a cat .",)


def test_a_turn_keeps_its_candidates_and_may_do_without(tmp_path):
    shape, (one, other) = read(tmp_path, TURN, TURN | {"candidates": None})
    assert shape == "turn"
    assert one.replies[0].candidates == ("no", "a cat")
    assert other.replies[0].candidates is None
    assert one.replies[0].self_profiles == {"original": ("i have a cat .",), "revised": None}


def test_turns_whose_context_goes_on_are_one_dialogue(tmp_path):
    next_turn = TURN | {"context": [*TURN["context"], "a cat", "nice"], "response": "yes"}
    next_turn.pop("candidates")
    _, dialogues = read(tmp_path, TURN, next_turn, next_turn | {"split": "test"}, TURN)
    assert [len(dialogue.replies) for dialogue in dialogues] == [2, 1, 1]
    assert dialogues[0].utterances == {"hi", "hello", "any pets ?", "a cat", "nice", "yes"}
    assert [reply.line for reply in dialogues[0].replies] == [1, 2]


def test_blank_lines_and_unknown_fields_do_not_count(tmp_path):
    _, dialogues = read(tmp_path, "", DIALOGUE | {"id": 7}, "  ", DIALOGUE, "")
    assert [dialogue.number for dialogue in dialogues] == [2, 4]


def test_a_lenient_reader_keeps_a_response_that_is_not_among_its_candidates(tmp_path):
    record = TURN | {"candidates": ["no", "yes"]}
    assert replies(tmp_path, record, lenient=True) == [(tuple(TURN["context"]), "a cat")]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ("{nonsense}", ":2: not JSON"),
        ("[" * 100_000, ":2: not JSON"),
        ("[1]", r":2: found \[1\], expected an object"),
        (TURN, ':2: field "utterances": missing; .* a dialogue, as the first'),
        (DIALOGUE | {"utterances": ["hi"]}, ':2: field "utterances": .*at least 2 items'),
        (DIALOGUE | {"utterances": ["hi", 5]}, r':2: field "utterances\[1\]": found 5'),
        (DIALOGUE | {"utterances": ["hi", " "]}, r':2: field "utterances\[1\]": .*not blank'),
        (DIALOGUE | {"utterances": ["hi", "\x1c"]}, r':2: field "utterances\[1\]": .*not blank'),
        (DIALOGUE | {"utterances": ["hi", "\ud800"]}, ":2: not JSON"),
        (DIALOGUE | {"persona_a": None}, ':2: field "persona_a": found null'),
        (DIALOGUE | {"persona_b_revised": "x"}, ':2: field "persona_b_revised": found .x.'),
        ({"utterances": ["a", "b"], "persona_a": []}, ':2: field "persona_b": missing'),
        (
            {"utterances": ["a", "b"], "speaker_a": "ann", "speaker_b": "ben"},
            ':1: field "persona_a": missing; .*--speaker-sentences',
        ),
        ({"text": "hi"}, ':1: expected an object with "utterances"'),
        (TURN | {"response": 1}, ':1: field "response": found 1'),
        (TURN | {"candidates": []}, ':1: field "candidates": .*at least 1 item'),
        (TURN | {"candidates": ["no", "yes"]}, ':1: field "candidates": .*among the 2 candidates'),
    ],
)
def test_bad_lines_are_named_with_their_field(tmp_path, record, message):
    with pytest.raises(DataError, match=f"own.jsonl{message}"):
        read(tmp_path, *[DIALOGUE] * message.startswith(":2"), record)


def test_personas_of_speakers_need_dialogues(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps(TURN))
    with pytest.raises(DataError, match=r':1: field "response": found a turn, expected a dialogue'):
        read_dialogues(path, "b", False, True)


def test_an_empty_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"own\.jsonl: the file is empty"):
        read(tmp_path, "", "\n")
