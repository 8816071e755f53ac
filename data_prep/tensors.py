"""Turns of text to arrays: distinct sentences as padded rows, turns as indices into them."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from data_prep.dialogues import Table, Turn
from dim_tf.cli.progress import Progress
from dim_tf.config import PREPARED_SIZES, ModelConfig
from dim_tf.data.dataset import SPLITS
from dim_tf.data.prepared_folder import ABSENT
from dim_tf.data.text import TextRules
from dim_tf.errors import DataError

# The sizes that preparation fixes: U, L, R, P, Q and W of the paper.
SIZES = {name: ModelConfig.defaults()[name] for name in PREPARED_SIZES}

Arrays = dict[str, np.ndarray]


class SentenceStore:
    """The distinct token sequences of one kind; each has a row number.

    The ids in here are those of `forms`, in the order of their first appearance: the vocabulary
    is known only after all texts have been seen.

    Args:
        forms: The forms seen so far and their ids; several stores share it.
    """

    def __init__(self, forms: dict[str, int]):
        self._forms = forms
        self._row: dict[tuple[int, ...], int] = {}
        self._flat = array("i")
        self._ends = array("q", [0])
        self._splits: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}

    def __len__(self) -> int:
        return len(self._row)

    def add(self, tokens: Sequence[str]) -> int:
        """The row of these tokens, a new one if they have not been seen."""
        forms = self._forms
        ids = tuple([forms.setdefault(token, len(forms)) for token in tokens])
        row = self._row.setdefault(ids, len(self._row))
        if row == len(self._ends) - 1:
            self._flat.extend(ids)
            self._ends.append(len(self._flat))
        return row

    def mark(self, split: str, rows: np.ndarray) -> None:
        """Notes that `split` uses these rows; absent ones (-1) may be among them."""
        self._splits[split].append(np.unique(rows[rows != ABSENT]))

    def rows_of(self, split: str) -> np.ndarray:
        """The rows that `split` uses, ascending."""
        return np.unique(np.concatenate([np.zeros(0, np.int32), *self._splits[split]]))

    def sentences(self) -> Iterator[tuple[str, ...]]:
        """The token sequences in the order of their rows."""
        names = list(self._forms)
        return (tuple([names[place] for place in ids]) for ids in self._row)

    def counts(self, split: str | None = None) -> np.ndarray:
        """How often each form occurs in the distinct sentences (of one split): int64 [forms]."""
        flat, ends = np.asarray(self._flat, np.int32), np.asarray(self._ends, np.int64)
        if split is not None:
            used = np.zeros(len(self), bool)
            used[self.rows_of(split)] = True
            flat = flat[np.repeat(used, np.diff(ends))]
        return np.bincount(flat, minlength=len(self._forms))

    def padded(self, form_ids: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows as padded ids, cut to `length`, and their lengths: int32 [N, length], [N].

        Args:
            form_ids: The final id of each form.
            length: Columns of a row.
        """
        flat, ends = np.asarray(self._flat, np.int32), np.asarray(self._ends, np.int64)
        lengths = np.minimum(np.diff(ends), length)
        column = np.arange(length)
        real = column < lengths[:, None]
        rows = np.zeros(real.shape, np.int32)
        rows[real] = form_ids[flat[(ends[:-1, None] + column)[real]]]
        return rows, lengths.astype(np.int32)


@dataclass
class Sentences:
    """The three stores that all tables share."""

    forms: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        self.utterances = SentenceStore(self.forms)
        self.profiles = SentenceStore(self.forms)
        self.candidates = SentenceStore(self.forms)

    @property
    def stores(self) -> tuple[SentenceStore, SentenceStore, SentenceStore]:
        """All three."""
        return self.utterances, self.profiles, self.candidates

    def counts(self, split: str | None = None) -> dict[str, int]:
        """How often each form occurs in the distinct sentences (of one split)."""
        total = sum(store.counts(split) for store in self.stores)
        return {form: int(total[place]) for form, place in self.forms.items() if total[place]}

    def distinct(self, split: str) -> list[tuple[str, ...]]:
        """The distinct token sequences of a split, whatever their kind."""
        found: dict[tuple[str, ...], None] = {}
        for store in self.stores:
            used = set(store.rows_of(split).tolist())
            found.update((s, None) for row, s in enumerate(store.sentences()) if row in used)
        return list(found)

    def arrays(self, form_ids: np.ndarray) -> Arrays:
        """The content of `sentences.npz`, with final form ids."""
        arrays = {}
        for name, store, length in (
            ("utterance", self.utterances, SIZES["max_utterance_len"]),
            ("profile", self.profiles, SIZES["max_profile_len"]),
            ("candidate", self.candidates, SIZES["max_response_len"]),
        ):
            arrays[f"{name}s"], arrays[f"{name}_lengths"] = store.padded(form_ids, length)
        return arrays


class TableBuilder:
    """Makes the arrays of one table, adding its sentences to the stores.

    Args:
        sentences: The stores.
        rules: The rules for raw text.
        seed: Of the order of the candidates.
    """

    def __init__(self, sentences: Sentences, rules: TextRules, seed: int):
        self._sentences, self._rules, self._seed = sentences, rules, seed

    def build(self, table: Table) -> tuple[Arrays, dict[str, int]]:
        """Reads the whole table once.

        Returns:
            The arrays of `dim_tf.data.prepared_folder.TurnTable`, and counts for the manifest.

        Raises:
            DataError: What the source raises; a table without a turn.
        """
        rules = TextRules("whitespace", self._rules.lowercase) if table.tokenised else self._rules
        store = self._sentences
        partner = _cached(lambda text: store.utterances.add(rules.utterance(text, partner=True)))
        own = _cached(lambda text: store.utterances.add(rules.utterance(text, partner=False)))
        profile = _cached(lambda text: store.profiles.add(rules.profile(text)))
        candidate = _cached(lambda text: store.candidates.add(rules.candidate(text)))
        speakers = (partner, own)

        turns: list[tuple] = []
        with Progress(table.name, None, "turns") as progress:
            for number, turn in enumerate(table.turns()):
                try:
                    last = turn.context[-SIZES["max_utterances"] :]
                    context = [speakers[back % 2](text) for back, text in enumerate(reversed(last))]
                    rows = [candidate(text) for text in turn.candidates]
                    personas = [[profile(text) for text in p] for p in (turn.own, turn.partner)]
                except UnicodeEncodeError:
                    raise DataError(
                        "found half of a surrogate pair, expected Unicode text",
                        path=table.path,
                        line=turn.line,
                    ) from None
                # The authors' processed files were shuffled by the authors.
                order = range(len(rows)) if table.tokenised else self._order(table, number, turn)
                slots, target = arrange(rows, turn.gold, order)
                place = (len(turn.context), turn.dialogue, turn.line)
                turns.append((context[::-1], slots, target, *personas, *place))
                progress.advance()
        if not turns:
            raise DataError("found no turn, expected at least one", path=table.path)
        arrays = _pack(turns)
        store.utterances.mark(table.split, arrays["context"])
        store.candidates.mark(table.split, arrays["candidates"])
        for persona in ("own", "partner"):
            store.profiles.mark(table.split, arrays[persona])
        return arrays, _counts(turns, arrays)

    def _order(self, table: Table, number: int, turn: Turn) -> np.ndarray:
        """The order of a turn's candidates, by its number: the same in tables of equal turns."""
        seeds = [self._seed, SPLITS.index(table.split), number]
        return np.random.default_rng(seeds).permutation(len(turn.candidates))


def arrange(rows: Sequence[int], gold: int, order: Sequence[int]) -> tuple[list[int], int]:
    """Puts candidates into their slots; a distractor equal to the gold reply becomes absent.

    Returns:
        The candidate's row in each slot, and the slot of the gold reply.

    >>> arrange([7, 8, 7, 9], gold=0, order=[3, 2, 0, 1])
    ([9, -1, 7, 8], 2)
    """
    slots = [
        ABSENT if rows[place] == rows[gold] and place != gold else rows[place] for place in order
    ]
    return slots, list(order).index(gold)


def _cached(row_of: Callable[[str], int]) -> Callable[[str], int]:
    """Remembers the row of each raw text: most texts come back in many turns."""
    rows: dict[str, int] = {}

    def lookup(text: str) -> int:
        row = rows.get(text)
        if row is None:
            text.encode("utf-8")  # JSON may hold half of a surrogate pair, which no file can
            row = rows[text] = row_of(text)
        return row

    return lookup


def _pack(turns: list[tuple]) -> Arrays:
    contexts, slots, targets, own, partner, totals, dialogues, lines = zip(*turns, strict=True)
    return {
        "context": _padded(contexts, SIZES["max_utterances"]),
        "context_total": np.array(totals, np.int32),
        "candidates": _padded(slots, max(map(len, slots))),
        "target": np.array(targets, np.int32),
        "own": _padded(own, SIZES["max_profiles"]),
        "partner": _padded(partner, SIZES["max_profiles"]),
        "dialogue": np.array(dialogues, np.int32),
        "line": np.array(lines, np.int32),
    }


def _counts(turns: list[tuple], arrays: Arrays) -> dict[str, int]:
    return {
        "turns": len(turns),
        "dialogues": len(np.unique(arrays["dialogue"])),
        "candidates": arrays["candidates"].shape[1],
        "copies_of_gold": sum(slots.count(ABSENT) for _, slots, *_ in turns),
        "contexts_cut": int((arrays["context_total"] > SIZES["max_utterances"]).sum()),
        "personas_cut": sum(
            len(persona) > SIZES["max_profiles"]
            for _, _, _, *personas, _, _, _ in turns
            for persona in personas
        ),
    }


def _padded(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    out = np.full((len(rows), width), ABSENT, np.int32)
    for place, row in enumerate(rows):
        out[place, : len(row)] = row[:width]
    return out
