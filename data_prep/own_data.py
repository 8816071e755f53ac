"""The user's own dialogues -> tables: splits, personas, and candidates where there are none.

A file of dialogues gives tables of none, self, their and both; a file of turns, which only has the
persona of the speaker, those of none and self. Revised tables hold the turns whose revised personas
are all given; a note counts the others.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Iterator, Sequence
from functools import partial

from data_prep.dialogues import Table, Turn, find_gold
from data_prep.distractors import DistractorSampler
from data_prep.jsonl import Dialogue, Reply, files_of, read_dialogues
from data_prep.speaker_sentences import with_personas
from dim_tf.data.dataset import PERSONAS, SPLITS, VERSIONS
from dim_tf.errors import DataError

_PERSONAS = {"dialogue": PERSONAS, "turn": ("none", "self")}


def open_tables(
    path: str | os.PathLike,
    *,
    sides: str = "b",
    candidates: int = 20,
    seed: int = 1,
    resplit: bool = False,
    lenient: bool = False,
    speaker_sentences: int | None = None,
) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """Reads a JSON Lines file, or a folder of train, valid and test.jsonl, into tables.

    The options are those of `SourceOptions`; `data_prep.jsonl` describes the file.

    Returns:
        The tables, and notes for the report.

    Raises:
        DataError: The file is damaged, too small to split, or has no turn.
    """
    path = os.fspath(path)
    shape, dialogues = read_dialogues(path, sides, lenient, speaker_sentences is not None)
    splits = split_dialogues(dialogues, seed, resplit, path, lenient)
    notes: tuple[str, ...] = ()
    if speaker_sentences is not None:
        splits, notes = with_personas(splits, speaker_sentences, seed)
    # With `resplit` the dialogues of a split may come from any file.
    files = {} if resplit else {its: str(file) for file, its in files_of(path).items()}
    tables, left_out, turn_count = [], 0, 0
    for split, chosen in splits.items():
        replies = [reply for dialogue in chosen for reply in dialogue.replies]
        if not replies:
            continue
        revised = sum(_has(reply, "revised") for reply in replies)
        turn_count += len(replies)
        left_out += len(replies) - revised
        utterances = (text for dialogue in chosen for text in sorted(dialogue.utterances))
        sampler = DistractorSampler(split, utterances, seed)
        file = files.get(split, path)
        for persona in _PERSONAS[shape]:
            # Without a persona, both versions would hold the same turns.
            for version in VERSIONS[: 2 if revised and persona != "none" else 1]:
                read = partial(_turns, chosen, persona, version, sampler, candidates, file, lenient)
                tables.append(Table(split, persona, version, file, read))
    if not tables:
        raise DataError(f"no dialogue contains a reply of side {sides}", path=path)
    if left_out and any(_is_revised(reply) for each in dialogues for reply in each.replies):
        notes += (f"{left_out} of {turn_count} turns have no revised persona: not in these tables",)
    return tuple(tables), notes


def split_dialogues(
    dialogues: Sequence[Dialogue], seed: int, resplit: bool, path: str, lenient: bool = False
) -> dict[str, list[Dialogue]]:
    """Splits dialogues into train, valid and test, each in the order of the file.

    Dialogues without a `split` field, or all with `resplit`, are split 80/10/10 at random.

    Raises:
        DataError: A `split` field is unknown, or a split would be empty.
    """
    splits = [None if resplit else dialogue.split for dialogue in dialogues]
    for split, dialogue in zip(splits, dialogues, strict=True):
        if split not in (None, *SPLITS):
            found = f"found {split!r}, expected train, valid or test"
            message = f"{found}; --resplit splits 80/10/10 and ignores the field"
            # Only of a single file, where the number is the line: in a folder, files are splits.
            raise DataError(message, path=path, line=dialogue.number, field="split")
    rest = [number for number, split in enumerate(splits) if split is None]
    rng = random.Random(f"{seed} split")
    # Sorting by random() gives the same order in every version of Python; shuffle() may not.
    rest = [number for _, number in sorted((rng.random(), number) for number in rest)]
    tenth = len(rest) // 10
    for rank, number in enumerate(rest):
        splits[number] = "valid" if rank < tenth else "test" if rank < 2 * tenth else "train"
    chosen = {
        split: [d for d, its in zip(dialogues, splits, strict=True) if its == split]
        for split in SPLITS
    }
    if rest and not all(chosen.values()):
        found = f"found {len(rest)} dialogues to split 80/10/10, expected at least 10"
        _refuse(DataError(f"{found}, or a split field in each", path=path), lenient)
    return chosen


def _turns(
    dialogues: Sequence[Dialogue],
    persona: str,
    version: str,
    sampler: DistractorSampler,
    count: int,
    path: str,
    lenient: bool,
) -> Iterator[Turn]:
    table_number = -1
    for number, dialogue in enumerate(dialogues):
        replies = [(n, reply) for n, reply in enumerate(dialogue.replies) if _has(reply, version)]
        table_number += bool(replies)
        for reply_number, reply in replies:
            candidates = reply.candidates
            if candidates is None:
                try:
                    key = number, reply_number
                    drawn = sampler.draw(key, count - 1, dialogue.utterances)
                except DataError as error:
                    line = None if lenient else reply.line  # warned of once, not for each line
                    _refuse(DataError(str(error), path=path, line=line), lenient)
                    drawn = ()
                candidates = (*drawn, reply.text)
            yield Turn(
                reply.context,
                candidates,
                find_gold(reply.text, candidates),
                reply.self_profiles[version] if persona in ("self", "both") else (),
                reply.partner_profiles[version] if persona in ("their", "both") else (),
                table_number,
                reply.line,
            )


def _refuse(error: DataError, lenient: bool) -> None:
    """Raises the error, or warns of it."""
    if not lenient:
        raise error from None
    warnings.warn(str(error), stacklevel=2)


def _has(reply: Reply, version: str) -> bool:
    return None not in (reply.self_profiles[version], reply.partner_profiles[version])


def _is_revised(reply: Reply) -> bool:
    return bool(reply.self_profiles["revised"] or reply.partner_profiles["revised"])
