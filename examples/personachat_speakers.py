"""Writes PERSONA-CHAT's training dialogues as JSON Lines with speakers instead of personas.

    python examples/personachat_speakers.py personachat.tgz personachat_speakers.jsonl

PERSONA-CHAT names no speakers: sides with the same set of profiles count as one. A partner whose
profiles are not in the files is a speaker of its own. Of twenty dialogues one becomes valid, one
test; PERSONA-CHAT's own valid and test splits stay unseen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

from data_prep.dialogues import Corpus, Turn
from data_prep.sources import open_source
from dim_tf.cli.parser import Parser, run as run_command
from dim_tf.errors import DataError
from dim_tf.io import atomic

SPLITS = ("valid", "test", *["train"] * 18)


def main(argv: Sequence[str]) -> None:
    """Runs the command."""
    parser = Parser(description="Write PERSONA-CHAT's training dialogues with their speakers.")
    parser.add_argument("source", help="read this folder or archive of official files")
    parser.add_argument("out", help="write this file")
    args = parser.parse_args(argv)
    with open_source(args.source) as corpus:
        atomic.write_lines(args.out, map(json.dumps, records(corpus)))


def records(corpus: Corpus) -> Iterator[dict[str, object]]:
    """The dialogues of train_self_original; train_both_original tells who the partners are."""
    last_turns = {name: _last_turns(corpus, f"train_{name}_original") for name in ("self", "both")}
    speakers: dict[frozenset[str], str] = {}
    for number, (said, turn) in enumerate(last_turns["self"].items()):
        both = last_turns["both"].get(said)
        partner = frozenset(both.partner_profiles if both else [f"partner of dialogue {number}"])
        sides = frozenset(turn.self_profiles), partner
        ids = [speakers.setdefault(side, f"speaker {len(speakers) + 1}") for side in sides]
        if ids[0] == ids[1]:
            continue  # both sides have the same profiles
        if len(said) % 2 == 0:  # the partner spoke first
            ids.reverse()
        yield {
            "utterances": said,
            "speaker_a": ids[0],
            "speaker_b": ids[1],
            "split": SPLITS[number % len(SPLITS)],
        }


def _last_turns(corpus: Corpus, name: str) -> dict[tuple[str, ...], Turn]:
    """The last turn of each dialogue by all that is said up to its reply."""
    table = next((table for table in corpus.tables if table.name == name), None)
    if table is None:
        raise DataError(f"{corpus.name}: found no {name}, expected PERSONA-CHAT's official files")
    by_dialogue = {turn.dialogue: turn for turn in table.turns()}
    return {(*turn.context, turn.candidates[turn.gold]): turn for turn in by_dialogue.values()}


if __name__ == "__main__":
    sys.exit(run_command(main))
