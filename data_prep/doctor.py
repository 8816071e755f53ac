"""The data report: what a corpus holds, what will be cut, and what looks wrong in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import combinations

from data_prep.dialogues import Corpus, Table
from dim_tf.data.dataset import SPLITS
from dim_tf.data.text import TextRules


@dataclass
class Range:
    """Least, mean and greatest of some counts."""

    least: int = 0
    mean: float = 0.0
    most: int = 0

    @classmethod
    def of(cls, histogram: Counter[int]) -> Range:
        """The range of a histogram {value: how often}.

        >>> str(Range.of(Counter({4: 1, 5: 3})))
        '4 / 4.75 / 5'
        """
        if not histogram:
            return cls()
        mean = sum(value * count for value, count in histogram.items()) / histogram.total()
        return cls(min(histogram), round(mean, 4), max(histogram))

    def __str__(self) -> str:
        return f"{self.least} / {self.mean:.4g} / {self.most}"


@dataclass
class Part:
    """How many of how many."""

    count: int = 0
    of: int = 0

    def add(self, hit: bool) -> None:
        """Counts one more, and whether it is one of those meant."""
        self.count += hit
        self.of += 1

    def __str__(self) -> str:
        return f"{self.count:,} of {self.of:,}"


@dataclass
class TableReport:
    """The findings on one table; sentences and words are counted once each.

    Attributes:
        dialogues: Dialogues in the table.
        turns: Turns in the table.
        candidates: Candidates per turn.
        gold_once: Turns whose reply is among the candidates exactly once, compared by words.
        gold_twice: Turns whose reply is among them more than once; the copies are masked out.
        gold_absent: Turns whose reply is not among them.
        gold_positions: {position in the source file, from 0: turns}.
        duplicate_candidates: Turns in which some candidate occurs twice.
        own_profiles: Profiles per own persona, over the turns.
        partner_profiles: Profiles per partner's persona, over the turns.
        cut_personas: Turns with more profiles in a persona than are kept.
        cut_contexts: Turns with more context utterances than are kept.
        cut_utterances: Context utterances with more words than are kept, `_eos_` included.
        cut_candidates: Candidates with more words than are kept.
        cut_profiles: Profiles with more words than are kept.
        cut_words: Words with more characters than are kept.
        unknown_words: Words that the vocabulary lacks, or None if none was given.
    """

    dialogues: int = 0
    turns: int = 0
    candidates: Range = field(default_factory=Range)
    gold_once: int = 0
    gold_twice: int = 0
    gold_absent: int = 0
    gold_positions: dict[int, int] = field(default_factory=dict)
    duplicate_candidates: int = 0
    own_profiles: Range = field(default_factory=Range)
    partner_profiles: Range = field(default_factory=Range)
    cut_personas: int = 0
    cut_contexts: int = 0
    cut_utterances: Part = field(default_factory=Part)
    cut_candidates: Part = field(default_factory=Part)
    cut_profiles: Part = field(default_factory=Part)
    cut_words: Part = field(default_factory=Part)
    unknown_words: Part | None = None


@dataclass(frozen=True)
class Report:
    """The findings on a corpus.

    Attributes:
        name: The corpus.
        tables: {table name: its findings}.
        shared_dialogues: {"train, valid": dialogues with the same utterances in both}, for each
            two splits that exist.
        notes: What the reader of the source had to say.
    """

    name: str
    tables: dict[str, TableReport]
    shared_dialogues: dict[str, int]
    notes: tuple[str, ...]

    def to_dict(self) -> dict:
        """The report as JSON takes it."""
        return asdict(self)

    def to_text(self) -> str:
        """The report as tables to read, one line a setting."""
        lines = [f"Data report: {self.name}"]
        for columns in (_TURN_COLUMNS, _CUT_COLUMNS):
            rows = [("table", *columns)]
            for name, table in self.tables.items():
                rows.append((name, *(_cell(value(table)) for value in columns.values())))
            lines += ["", *_aligned(rows)]
        lines += ["", "Ranges are least / mean / most. Sentences and words are counted once each."]
        for pair, count in self.shared_dialogues.items():
            lines.append(f"Dialogues in both {pair.replace(', ', ' and ')}: {count:,}")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)]) + "\n"


_TURN_COLUMNS = {
    "dialogues": lambda t: t.dialogues,
    "turns": lambda t: t.turns,
    "candidates": lambda t: t.candidates,
    "gold once": lambda t: t.gold_once,
    "twice": lambda t: t.gold_twice,
    "absent": lambda t: t.gold_absent,
    "mostly at": lambda t: _most_common(t.gold_positions),
    "with duplicates": lambda t: t.duplicate_candidates,
    "own profiles": lambda t: t.own_profiles,
    "partner's": lambda t: t.partner_profiles,
}
_CUT_COLUMNS = {
    "cut: personas": lambda t: t.cut_personas,
    "contexts": lambda t: t.cut_contexts,
    "utterances": lambda t: t.cut_utterances,
    "candidates": lambda t: t.cut_candidates,
    "profiles": lambda t: t.cut_profiles,
    "words": lambda t: t.cut_words,
    "unknown words": lambda t: "-" if t.unknown_words is None else t.unknown_words,
}


def examine(
    corpus: Corpus,
    sizes: Mapping[str, int],
    rules: TextRules | None = None,
    known: Container[str] | None = None,
) -> Report:
    """Reads every table of a corpus once and reports on it.

    Args:
        corpus: The corpus; opened leniently if absent replies are to be counted.
        sizes: `max_utterances`, `max_utterance_len`, `max_response_len`, `max_profiles`,
            `max_profile_len`, `max_word_len`, as in `ModelConfig`.
        rules: How the texts are tokenised; the defaults if not given.
        known: The words that are not unknown, such as a `Vocabulary`.

    Raises:
        DataError: A table is damaged.
    """
    rules = rules or TextRules()
    tables, seen = {}, {split: set() for split in SPLITS}
    examiners = {
        tokenised: _Examiner(
            TextRules("whitespace", rules.lowercase) if tokenised else rules, sizes, known
        )
        for tokenised in (False, True)
    }
    for table in corpus.tables:
        tables[table.name], dialogues = examiners[table.tokenised].examine(table)
        seen[table.split] |= dialogues
    shared = {
        f"{one}, {other}": len(seen[one] & seen[other])
        for one, other in combinations(SPLITS, 2)
        if seen[one] and seen[other]
    }
    return Report(corpus.name, tables, shared, corpus.notes)


class _Examiner:
    """Examines tables of one tokenising rule; tokenises each distinct sentence once in all."""

    def __init__(self, rules: TextRules, sizes: Mapping[str, int], known: Container[str] | None):
        self._sizes, self._known = sizes, known
        self._partner_words = cache(lambda text: rules.utterance(text, partner=True))
        self._own_words = cache(lambda text: rules.utterance(text, partner=False))
        self._candidate_words = cache(rules.candidate)
        self._profile_words = cache(rules.profile)

    def examine(self, table: Table) -> tuple[TableReport, set[int]]:
        """The findings on a table, and a fingerprint of each of its dialogues."""
        report, sizes = TableReport(), self._sizes
        candidates, positions, own, partner = Counter(), Counter(), Counter(), Counter()
        partner_texts, own_texts, candidate_texts, profiles = set(), set(), set(), set()
        longest: dict[int, tuple[str, ...]] = {}
        for turn in table.turns():
            report.turns += 1
            candidates[len(turn.candidates)] += 1
            words = [self._candidate_words(text) for text in turn.candidates]
            copies = words.count(words[turn.gold]) if turn.gold >= 0 else 0
            report.gold_once += copies == 1
            report.gold_twice += copies > 1
            report.gold_absent += copies == 0
            if copies:
                positions[turn.gold] += 1
            report.duplicate_candidates += len(set(turn.candidates)) < len(turn.candidates)
            own[len(turn.own)] += 1
            partner[len(turn.partner)] += 1
            report.cut_personas += max(len(turn.own), len(turn.partner)) > sizes["max_profiles"]
            report.cut_contexts += len(turn.context) > sizes["max_utterances"]
            partner_texts.update(turn.context[::-2])
            own_texts.update(turn.context[-2::-2])
            candidate_texts.update(turn.candidates)
            profiles.update(turn.own, turn.partner)
            said = (*turn.context, *turn.candidates[turn.gold : turn.gold + 1][:copies])
            if len(said) >= len(longest.get(turn.dialogue, ())):
                longest[turn.dialogue] = said
        report.dialogues = len(longest)
        report.candidates = Range.of(candidates)
        report.gold_positions = dict(sorted(positions.items()))
        report.own_profiles, report.partner_profiles = Range.of(own), Range.of(partner)
        words: set[str] = set()
        for part, limit, split, texts in (
            (report.cut_utterances, "max_utterance_len", self._partner_words, partner_texts),
            (report.cut_utterances, "max_utterance_len", self._own_words, own_texts),
            (report.cut_candidates, "max_response_len", self._candidate_words, candidate_texts),
            (report.cut_profiles, "max_profile_len", self._profile_words, profiles),
        ):
            for text in texts:
                tokens = split(text)
                part.add(len(tokens) > sizes[limit])
                words.update(tokens)
        for word in words:
            report.cut_words.add(len(word) > sizes["max_word_len"])
        if self._known is not None:
            report.unknown_words = Part(sum(word not in self._known for word in words), len(words))
        return report, {hash(said) for said in longest.values()}


def _most_common(positions: Mapping[int, int]) -> str:
    if not positions:
        return "-"
    position, count = Counter(positions).most_common(1)[0]
    return f"{position} ({count / sum(positions.values()):.0%})"


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
