"""The user's own dialogues -> tables: splitting, choosing personas, drawing missing candidates.

A file of dialogues gives the tables none, self, their and both; a file of turns, which knows only
the replying speaker's persona, none and self. Revised tables hold the turns whose revised
personas are all given; the others are left out of them, and a note says how many.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from functools import partial

from data_prep.dialogues import Table, Turn
from data_prep.jsonl import Dialogue, Reply, read_dialogues
from data_prep.negatives import Pool
from dim_tf.data.dataset import PERSONAS, SPLITS, VERSIONS
from dim_tf.errors import DataError

_PERSONAS = {"dialogue": PERSONAS, "turn": ("none", "self")}


def open_tables(
    path: str | os.PathLike,
    *,
    sides: str = "b",
    candidates: int = 20,
    seed: int = 0,
    resplit: bool = False,
    lenient: bool = False,
    label: str | None = None,
) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """Reads a JSON Lines file into tables.

    Args:
        path: The file, see `data_prep.jsonl`.
        sides: Whose replies are turns in a file of dialogues: "a", "b" or "both".
        candidates: The number of candidates, the gold reply included, where they are drawn.
        seed: The seed of splitting and drawing.
        resplit: Split anew, whatever the `split` fields say.
        lenient: A response that is not among its candidates gives a turn with `gold` -1.
        label: What messages call the file; its path if not given.

    Returns:
        The tables, and notes for the report.

    Raises:
        DataError: The file is wrong, too small to be split, or without a turn.
    """
    label = str(path) if label is None else label
    shape, dialogues = read_dialogues(path, sides, label, lenient)
    tables, left_out, turn_count = [], 0, 0
    for split, chosen in split_dialogues(dialogues, seed, resplit, label).items():
        replies = [reply for dialogue in chosen for reply in dialogue.replies]
        if not replies:
            continue
        revised = sum(_has(reply, "revised") for reply in replies)
        turn_count += len(replies)
        left_out += len(replies) - revised
        pool = Pool(split, (text for d in chosen for text in sorted(d.utterances)), seed)
        for persona in _PERSONAS[shape]:
            # Without a persona both versions would be the same turns.
            for version in VERSIONS[: 2 if revised and persona != "none" else 1]:
                turns = partial(_turns, chosen, persona, version, pool, candidates, label)
                tables.append(Table(split, persona, version, label, turns))
    if not tables:
        raise DataError(f"no dialogue holds a reply of side {sides}", path=label)
    notes = ()
    if 0 < left_out < turn_count:
        notes = (f"{left_out} of {turn_count} turns have no revised persona: not in these tables",)
    return tuple(tables), notes


def split_dialogues(
    dialogues: Sequence[Dialogue], seed: int, resplit: bool, label: str
) -> dict[str, list[Dialogue]]:
    """Sorts dialogues into train, valid and test, each in the file's order.

    Their `split` fields count; dialogues without one, or all with `resplit`, are split 80/10/10.

    Raises:
        DataError: A `split` field is another word, or a split would come out empty.
    """
    places: dict[int, str] = {}
    if not resplit:
        for number, dialogue in enumerate(dialogues):
            if dialogue.split not in (None, *SPLITS):
                found = f"found {dialogue.split!r}, expected train, valid or test"
                message = f"{found}; --resplit splits 80/10/10 whatever the field says"
                raise DataError(message, path=label, line=dialogue.line, field="split")
            if dialogue.split is not None:
                places[number] = dialogue.split
    rest = [number for number in range(len(dialogues)) if number not in places]
    rng = random.Random(f"{seed} split")
    # Sorting by random() gives the same order under every Python version; shuffle() need not.
    rest = [number for _, number in sorted((rng.random(), number) for number in rest)]
    tenth = len(rest) // 10
    places |= dict.fromkeys(rest[:tenth], "valid")
    places |= dict.fromkeys(rest[tenth : 2 * tenth], "test")
    places |= dict.fromkeys(rest[2 * tenth :], "train")
    chosen = {
        split: [dialogue for number, dialogue in enumerate(dialogues) if places[number] == split]
        for split in SPLITS
    }
    if rest and not all(chosen.values()):
        found = f"found {len(rest)} dialogues to split 80/10/10, expected at least 10"
        raise DataError(f"{found}, or a split field in each", path=label)
    return chosen


def _turns(
    dialogues: Sequence[Dialogue],
    persona: str,
    version: str,
    pool: Pool,
    count: int,
    label: str,
) -> Iterator[Turn]:
    running = -1
    for number, dialogue in enumerate(dialogues):
        replies = [(n, reply) for n, reply in enumerate(dialogue.replies) if _has(reply, version)]
        running += bool(replies)
        for place, reply in replies:
            candidates = reply.candidates
            if candidates is None:
                try:
                    drawn = pool.draw((number, place), count - 1, dialogue.utterances)
                except DataError as error:
                    raise DataError(str(error), path=label, line=reply.line) from None
                candidates = (*drawn, reply.text)
            gold = candidates.index(reply.text) if reply.text in candidates else -1
            own = reply.own[version] if persona in ("self", "both") else ()
            partner = reply.partner[version] if persona in ("their", "both") else ()
            yield Turn(reply.context, candidates, gold, own, partner, running, reply.line)


def _has(reply: Reply, version: str) -> bool:
    return reply.own[version] is not None and reply.partner[version] is not None
