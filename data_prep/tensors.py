"""Texts to arrays: distinct sentences as padded rows, turns as indices into these rows."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from data_prep.dialogues import Table
from dim_tf.cli.progress import Progress
from dim_tf.config import PREPARED_SIZES, ModelConfig
from dim_tf.data import prepared_folder
from dim_tf.data.dataset import SPLITS
from dim_tf.data.prepared_folder import ABSENT
from dim_tf.data.text import TextRules
from dim_tf.errors import DataError

# The sizes that texts and turns are cut to: U, L, R, P, Q and W of the paper.
SIZES = {name: ModelConfig.defaults()[name] for name in PREPARED_SIZES}

Arrays = dict[str, np.ndarray]


class SentenceStore:
    """The distinct token sequences of one kind, each with a row number.

    Tokens are stored as ids of `forms`, in the order of their first occurrence, because the
    vocabulary is only known after all texts have been read. Several stores share `forms`.
    """

    def __init__(self, forms: dict[str, int]):
        self._forms = forms
        self._row: dict[tuple[int, ...], int] = {}
        self._splits: dict[str, list[np.ndarray]] = {split: [] for split in SPLITS}

    def __len__(self) -> int:
        return len(self._row)

    def add(self, tokens: Sequence[str]) -> int:
        """The row of these tokens; a new row if they are new."""
        forms = self._forms
        ids = tuple([forms.setdefault(token, len(forms)) for token in tokens])
        return self._row.setdefault(ids, len(self._row))

    def mark(self, split: str, rows: np.ndarray) -> None:
        """Records that `split` uses these rows; -1 (absent) is ignored."""
        self._splits[split].append(np.unique(rows[rows != ABSENT]))

    def rows_of(self, split: str) -> np.ndarray:
        """The rows that `split` uses, ascending."""
        return np.unique(np.concatenate([np.zeros(0, np.int32), *self._splits[split]]))

    def sentences(self) -> Iterator[tuple[str, ...]]:
        """The token sequences in the order of their rows."""
        names = list(self._forms)
        return (tuple([names[form_id] for form_id in ids]) for ids in self._row)

    def counts(self, split: str | None = None) -> np.ndarray:
        """Count of each form in the distinct sentences (of one split): int64 [forms]."""
        flat, lengths = self._arrays()
        if split is not None:
            used = np.zeros(len(self), bool)
            used[self.rows_of(split)] = True
            flat = flat[np.repeat(used, lengths)]
        return np.bincount(flat, minlength=len(self._forms))

    def padded(self, form_ids: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The rows as padded ids, cut to `length`, and their lengths: int32 [N, length], [N]."""
        flat, lengths = self._arrays()
        first = np.cumsum(lengths) - lengths
        lengths = np.minimum(lengths, length)
        column = np.arange(length)
        real = column < lengths[:, None]
        rows = np.zeros(real.shape, np.int32)
        rows[real] = form_ids[flat[(first[:, None] + column)[real]]]
        return rows, lengths.astype(np.int32)

    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All tokens, one sequence after the other, and the lengths of the sequences."""
        lengths = np.fromiter(map(len, self._row), np.int64)
        return np.fromiter(itertools.chain.from_iterable(self._row), np.int64), lengths


class Sentences:
    """The stores of utterances, profiles and candidates that all tables share, by kind."""

    def __init__(self):
        self.forms: dict[str, int] = {}
        self.stores = {kind: SentenceStore(self.forms) for kind in prepared_folder.KINDS}

    def counts(self, split: str | None = None) -> dict[str, int]:
        """Count of each form in the distinct sentences (of one split)."""
        total = sum(store.counts(split) for store in self.stores.values())
        return {form: int(total[i]) for form, i in self.forms.items() if total[i]}

    def distinct(self, split: str) -> list[tuple[str, ...]]:
        """The distinct token sequences of a split, of any kind."""
        found: dict[tuple[str, ...], None] = {}
        for store in self.stores.values():
            used = set(store.rows_of(split).tolist())
            found.update((s, None) for row, s in enumerate(store.sentences()) if row in used)
        return list(found)

    def arrays(self, form_ids: np.ndarray) -> Arrays:
        """The content of `sentences.npz`, with final form ids."""
        arrays = {}
        for kind, store in self.stores.items():
            rows, lengths = store.padded(form_ids, SIZES[prepared_folder.KINDS[kind]])
            arrays |= {f"{kind}s": rows, f"{kind}_lengths": lengths}
        return arrays


class TableBuilder:
    """Builds the arrays of tables and adds their sentences to the stores.

    The order of the candidates depends on the seed.
    """

    def __init__(self, sentences: Sentences, rules: TextRules, seed: int):
        self._sentences, self._rules, self._seed = sentences, rules, seed

    def build(self, table: Table) -> tuple[Arrays, dict[str, int]]:
        """Reads the table once.

        Returns:
            The arrays of its file in `turns/`, and counts for the manifest.

        Raises:
            DataError: The source is damaged, or the table has no turn.
        """
        rules = self._rules
        if table.tokenised:
            rules = rules.of_tokens()
        utterances, profiles, candidates = self._sentences.stores.values()
        partner = _row_of(utterances, lambda text: rules.utterance(text, partner=True))
        speaker = _row_of(utterances, lambda text: rules.utterance(text, partner=False))
        profile = _row_of(profiles, rules.profile)
        candidate = _row_of(candidates, rules.candidate)

        turns: list[tuple] = []
        with Progress(table.name, None, "turns") as progress:
            for number, turn in enumerate(table.turns()):
                kept = turn.context[-SIZES["max_utterances"] :]
                context = [
                    (speaker if back % 2 else partner)(text)
                    for back, text in enumerate(reversed(kept))
                ]
                rows = [candidate(text) for text in turn.candidates]
                personas = [
                    [profile(text) for text in persona]
                    for persona in (turn.self_profiles, turn.partner_profiles)
                ]
                # Tables of a split that have the same turns have the same order. The authors'
                # processed files are shuffled already.
                order = range(len(rows))
                if not table.tokenised:
                    seeds = [self._seed, SPLITS.index(table.split), number]
                    order = np.random.default_rng(seeds).permutation(len(rows))
                slots, target = arrange(rows, turn.gold, order)
                origin = (len(turn.context), turn.dialogue, turn.line)
                turns.append((context[::-1], slots, target, *personas, *origin))
                progress.advance()
        if not turns:
            raise DataError("found no turn, expected at least one", path=table.path)
        arrays = _pack(turns)
        utterances.mark(table.split, arrays["context"])
        candidates.mark(table.split, arrays["candidates"])
        for persona in ("own", "partner"):
            profiles.mark(table.split, arrays[persona])
        return arrays, _counts(turns, arrays)


def arrange(rows: Sequence[int], gold: int, order: Sequence[int]) -> tuple[list[int], int]:
    """Orders candidates; a distractor that equals the gold reply becomes absent.

    Returns:
        The row of the candidate in each slot, and the slot of the gold reply.
    """
    slots = [ABSENT if rows[i] == rows[gold] and i != gold else rows[i] for i in order]
    return slots, list(order).index(gold)


def _row_of(store: SentenceStore, tokenise: Callable[[str], Sequence[str]]) -> Callable[[str], int]:
    """Maps a raw text to its row in a store; cached, since most texts occur in many turns."""
    return functools.cache(lambda text: store.add(tokenise(text)))


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
    personas = [persona for _, _, _, *both, _, _, _ in turns for persona in both]
    return {
        "turns": len(turns),
        "dialogues": len(np.unique(arrays["dialogue"])),
        "candidates": arrays["candidates"].shape[1],
        "copies_of_gold": sum(slots.count(ABSENT) for _, slots, *_ in turns),
        "contexts_cut": int((arrays["context_total"] > SIZES["max_utterances"]).sum()),
        "personas_cut": sum(len(persona) > SIZES["max_profiles"] for persona in personas),
    }


def _padded(rows: Sequence[Sequence[int]], width: int) -> np.ndarray:
    out = np.full((len(rows), width), ABSENT, np.int32)
    for index, row in enumerate(rows):
        out[index, : len(row)] = row[:width]
    return out
