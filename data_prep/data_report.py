"""The data report: what a corpus contains, what will be cut, and what looks wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from itertools import combinations

from data_prep.dialogues import Corpus, Table
from dim_tf.data.dataset import SPLITS
from dim_tf.data.text import TextRules


@dataclass
class Range:
    """Minimum, mean and maximum of some counts."""

    min: int = 0
    mean: float = 0.0
    max: int = 0

    @classmethod
    def of(cls, histogram: Counter[int]) -> Range:
        """The range of a histogram {value: count}."""
        if not histogram:
            return cls()
        mean = sum(value * count for value, count in histogram.items()) / histogram.total()
        return cls(min(histogram), round(mean, 4), max(histogram))

    def __str__(self) -> str:
        return f"{self.min} / {self.mean:.4g} / {self.max}"


@dataclass
class Ratio:
    """A count out of a total."""

    count: int = 0
    total: int = 0

    def __str__(self) -> str:
        return f"{self.count:,} of {self.total:,}"


@dataclass
class TableReport:
    """The findings on one table; each distinct sentence and word counts once."""

    dialogues: int = 0
    turns: int = 0
    candidates: Range = field(default_factory=Range)  # per turn
    gold_once: int = 0  # turns whose gold reply is exactly one candidate, compared by tokens
    gold_twice: int = 0  # turns with further copies of the gold reply, which are masked out
    gold_absent: int = 0  # turns whose gold reply is not among the candidates
    gold_positions: dict[int, int] = field(default_factory=dict)  # position in the file -> turns
    duplicate_candidates: int = 0  # turns in which a candidate occurs twice
    self_profiles: Range = field(default_factory=Range)  # per turn
    partner_profiles: Range = field(default_factory=Range)
    cut_personas: int = 0  # turns with a persona that loses profiles
    cut_contexts: int = 0  # turns whose context loses utterances
    cut_utterances: Ratio = field(default_factory=Ratio)  # those that lose words
    cut_candidates: Ratio = field(default_factory=Ratio)
    cut_profiles: Ratio = field(default_factory=Ratio)
    cut_words: Ratio = field(default_factory=Ratio)  # those that lose characters
    unknown_words: Ratio | None = None  # None without a vocabulary


@dataclass(frozen=True)
class Report:
    """The findings on a corpus."""

    name: str
    tables: dict[str, TableReport]
    shared_dialogues: dict[str, int]  # "train, valid" -> dialogues with the same utterances
    notes: tuple[str, ...]

    def to_dict(self) -> dict:
        """The content of `report.json`."""
        return asdict(self)

    def to_text(self) -> str:
        """The report as aligned tables, one line per table of the corpus."""
        lines = [f"Data report: {self.name}"]
        names = [field.name for field in fields(TableReport)]
        first_cut = names.index("cut_personas")
        for columns in (names[:first_cut], names[first_cut:]):
            rows = [["table", *(name.replace("_", " ") for name in columns)]]
            for title, table in self.tables.items():
                rows.append([title, *(_cell(getattr(table, name)) for name in columns)])
            lines += ["", *_aligned(rows)]
        lines += ["", "Ranges are min / mean / max. Each distinct sentence of a role counts once."]
        for pair, count in self.shared_dialogues.items():
            lines.append(f"Dialogues in both {pair.replace(', ', ' and ')}: {count:,}")
        return "\n".join([*lines, *(f"Note: {note}" for note in self.notes)]) + "\n"


def build_report(
    corpus: Corpus,
    sizes: Mapping[str, int],
    rules: TextRules | None = None,
    known: Container[str] | None = None,
) -> Report:
    """Reads each table of a corpus once and reports on it.

    Args:
        corpus: Corpus. Opened with `lenient`, absent gold replies are counted, not refused.
        sizes: mapping. The `PREPARED_SIZES` of `ModelConfig`.
        rules: TextRules. How the texts are tokenised.
        known: container of str. The known words, such as a `Vocabulary`.
    """
    rules = rules or TextRules()
    tables, seen = {}, {split: set() for split in SPLITS}
    reporters = {
        False: _TableReporter(rules, sizes, known),
        True: _TableReporter(rules.of_tokens(), sizes, known),
    }
    for table in corpus.tables:
        tables[table.name], dialogues = reporters[table.tokenised].report(table)
        seen[table.split] |= dialogues
    shared = {
        f"{one}, {other}": len(seen[one] & seen[other])
        for one, other in combinations(SPLITS, 2)
        if seen[one] and seen[other]
    }
    return Report(corpus.name, tables, shared, corpus.notes)


class _TableReporter:
    """Reports on tables under one tokenising rule; tokenises each distinct sentence once."""

    def __init__(self, rules: TextRules, sizes: Mapping[str, int], known: Container[str] | None):
        self._sizes, self._known = sizes, known
        self._partner_tokens = cache(lambda text: rules.utterance(text, partner=True))
        self._self_tokens = cache(lambda text: rules.utterance(text, partner=False))
        self._candidate_tokens = cache(rules.candidate)
        self._profile_tokens = cache(rules.profile)

    def report(self, table: Table) -> tuple[TableReport, set[int]]:
        """The findings on a table, and a hash of each of its dialogues."""
        report, sizes = TableReport(), self._sizes
        candidates, positions = Counter(), Counter()
        self_counts, partner_counts = Counter(), Counter()
        partner_texts, self_texts, candidate_texts, profiles = set(), set(), set(), set()
        longest: dict[int, tuple[str, ...]] = {}
        words: set[str] = set()
        for turn in table.turns():
            report.turns += 1
            candidates[len(turn.candidates)] += 1
            tokens = [self._candidate_tokens(text) for text in turn.candidates]
            copies = tokens.count(tokens[turn.gold]) if turn.gold >= 0 else 0
            report.gold_once += copies == 1
            report.gold_twice += copies > 1
            report.gold_absent += copies == 0
            if copies:
                positions[turn.gold] += 1
            report.duplicate_candidates += len(set(map(tuple, tokens))) < len(tokens)
            counts = len(turn.self_profiles), len(turn.partner_profiles)
            self_counts[counts[0]] += 1
            partner_counts[counts[1]] += 1
            report.cut_personas += max(counts) > sizes["max_profiles"]
            report.cut_contexts += len(turn.context) > sizes["max_utterances"]
            partner_texts.update(turn.context[::-2])
            self_texts.update(turn.context[-2::-2])
            candidate_texts.update(turn.candidates)
            profiles.update(turn.self_profiles, turn.partner_profiles)
            said = (*turn.context, *turn.candidates[turn.gold : turn.gold + 1])
            if len(said) >= len(longest.get(turn.dialogue, ())):
                longest[turn.dialogue] = said
        report.dialogues = len(longest)
        report.candidates = Range.of(candidates)
        report.gold_positions = dict(sorted(positions.items()))
        report.self_profiles = Range.of(self_counts)
        report.partner_profiles = Range.of(partner_counts)
        for part, limit, tokenise, texts in (
            ("utterances", "max_utterance_len", self._partner_tokens, partner_texts),
            ("utterances", "max_utterance_len", self._self_tokens, self_texts),
            ("candidates", "max_response_len", self._candidate_tokens, candidate_texts),
            ("profiles", "max_profile_len", self._profile_tokens, profiles),
        ):
            ratio = getattr(report, f"cut_{part}")
            ratio.total += len(texts)
            for tokens in map(tokenise, texts):
                ratio.count += len(tokens) > sizes[limit]
                words.update(tokens)
        too_long = sum(len(word) > sizes["max_word_len"] for word in words)
        report.cut_words = Ratio(too_long, len(words))
        if self._known is not None:
            report.unknown_words = Ratio(sum(word not in self._known for word in words), len(words))
        return report, {hash(said) for said in longest.values()}


def _cell(value: object) -> str:
    if value is None or value == {}:
        return "-"
    if isinstance(value, dict):  # the most common position and its share
        position, count = Counter(value).most_common(1)[0]
        return f"{position} ({count / sum(value.values()):.0%})"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    ]
