"""Opens a prepared folder and gathers the model's inputs from it, in NumPy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from dim_tf.config import PREPARED_SIZES, ModelConfig
from dim_tf.data import prepared_folder
from dim_tf.data.prepared_folder import ABSENT, TurnTable
from dim_tf.data.text import EOS, UNK_ID, Vocabulary
from dim_tf.errors import ConfigError, DataError, did_you_mean
from dim_tf.io import atomic

SPLITS = ("train", "valid", "test")
Persona = Literal["none", "self", "their", "both"]
Version = Literal["original", "revised"]
PERSONAS, VERSIONS = get_args(Persona), get_args(Version)
INPUTS = (
    "utterances",
    "utterances_len",
    "utterances_num",
    "responses",
    "responses_len",
    "personas",
    "personas_len",
    "personas_num",
    "utterances_char",
    "responses_char",
    "personas_char",
)
Inputs = dict[str, np.ndarray]


class PreparedData:
    """A prepared folder; open one with `PreparedData.load(path)`.

    Attributes:
        path: The folder.
        manifest: The content of its `manifest.json`.
        fingerprint: The sha256 of everything that a model sees.
        text_fingerprint: The sha256 of texts, turns and vocabularies, without the word vectors:
            gensim's rounding depends on the CPU, and the ranks of equal turns stay comparable.
        words: Word of each id.
        forms: Surface words beyond the vocabulary; form k has the id V + k.
        characters: Character of each id, "" if the id is unused.
        word_vectors: float32 [V, word_dim].
        word2vec_dim: Number of Word2Vec's columns in `word_vectors`, the last ones.
        word_characters: Character ids of every form: int32 [V + len(forms), W].
        sizes: The `ModelConfig` fields that the data sets or bounds.
        rules: The rules that tokenised its text.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)
        self.manifest = prepared_folder.read_manifest(self.path)
        self.fingerprint = self.manifest["fingerprint"]
        self.text_fingerprint = self.manifest["text_fingerprint"]
        self.sizes = self.manifest["sizes"]
        self.rules = self.manifest["text"]
        self.words = prepared_folder.read_words(self.path)
        self.forms = atomic.read_lines(self.path / "forms.txt")
        self.characters = prepared_folder.read_characters(self.path, self.sizes)
        self.word_vectors, self.word2vec_dim = prepared_folder.read_vectors(
            self.path, self.sizes, len(self.words)
        )
        forms = len(self.words) + len(self.forms)
        self._sentences = prepared_folder.read_sentences(self.path, self.sizes, forms)
        for kind in prepared_folder.KINDS:
            if not (self.path / f"{kind}s.txt").is_file():
                raise DataError("the file is missing", path=self.path / f"{kind}s.txt")
        vocabulary = Vocabulary(self.words, self.characters)
        self.word_characters = np.zeros((forms, self.sizes["max_word_len"]), np.int32)
        for row, form in zip(self.word_characters[2:], self.words[2:] + self.forms, strict=True):
            row[:] = vocabulary.character_ids(form, len(row))
        self._tables: dict[tuple[str, str, str], TurnTable] = {}
        self._texts: dict[str, list[str]] = {}

    @classmethod
    def load(cls, path: str | os.PathLike) -> PreparedData:
        """Opens a prepared folder; turns are read on first use.

        Raises:
            DataError: The folder is no prepared folder or of another format, or one of its files
                is missing, damaged, or does not belong to the others.
        """
        return cls(path)

    def settings(self) -> list[tuple[str, str, str]]:
        """The (split, persona, version) of each table in the folder."""
        return [
            (split, persona, version)
            for split in SPLITS
            for persona in PERSONAS
            for version in VERSIONS
            if prepared_folder.turns_path(self.path, split, persona, version).is_file()
        ]

    def has(self, split: str, persona: str, version: str) -> bool:
        """Whether the folder has the turns of a setting; see `table`."""
        return self._stored(split, persona, version) is not None

    def table(self, split: str, persona: str, version: str) -> TurnTable:
        """The turns of a setting.

        For "none", any table of the split is used: "none" of the version or of "original", then
        "self", "their" or "both" of the version, without their profiles.

        Raises:
            ConfigError: The split, persona or version is unknown.
            DataError: The folder lacks these turns; the message lists the settings it has.
        """
        key = (split, persona, version)
        names = ("split", "persona", "version")
        for name, value, known in zip(names, key, (SPLITS, PERSONAS, VERSIONS), strict=True):
            if value not in known:
                hint = did_you_mean(str(value), known)
                raise ConfigError(f"{name}: found {value!r}, expected {', '.join(known)}{hint}")
        if key not in self._tables:
            path = self._stored(*key)
            if path is None:
                has = ", ".join("_".join(setting) for setting in self.settings()) or "none"
                found = f"no turns of {'_'.join(key)} in this prepared folder"
                raise DataError(f"{found}; it has: {has}", path=self.path)
            turns = prepared_folder.read_turns(path, self._sentences)
            self._tables[key] = TurnTable(*key, **turns)
        return self._tables[key]

    def inputs(
        self,
        table: TurnTable,
        rows: Sequence[int] | np.ndarray,
        config: ModelConfig,
        *,
        names: Sequence[str] = INPUTS,
    ) -> tuple[Inputs, np.ndarray]:
        """The model's inputs for some turns of a table.

        Args:
            table: TurnTable. The table.
            rows: sequence of int. B of its turns.
            config: ModelConfig. Its sizes may be smaller than the prepared ones: the first words,
                the last utterances and the first profiles are kept.
            names: sequence of str. Which inputs to gather; all eleven by default.

        Returns:
            The inputs by name and the target [B], all int32: utterances [B, U, L],
            utterances_len [B, U], utterances_num [B], responses [B, C, R], responses_len [B, C],
            personas [B, P, Q], personas_len [B, P], personas_num [B], and the characters
            utterances_char [B, U, L, W], responses_char [B, C, R, W], personas_char [B, P, Q, W].
            An absent candidate has length 0.

        Raises:
            ConfigError: A size of `config` exceeds the prepared one.
        """
        for name in PREPARED_SIZES:
            found, prepared = getattr(config, name), self.sizes[name]
            if found > prepared and name != "max_profiles":  # more profiles are absent ones
                expected = f"expected at most {prepared}, as in {self.path}"
                raise ConfigError(f"{name}: found {found}, {expected}")
        rows = np.asarray(rows)
        context = _last(table.context[rows], config.max_utterances)
        personas = _fitted(table.personas(rows), config.max_profiles)
        inputs = self._gathered("utterances", context, config, names)
        inputs |= self.candidates(table.candidates[rows], config, names=names)
        inputs |= self._gathered("personas", personas, config, names)
        return {name: inputs[name] for name in names}, table.target[rows]

    def candidates(
        self, sentences: np.ndarray, config: ModelConfig, *, names: Sequence[str] = INPUTS
    ) -> Inputs:
        """Those of the inputs `names` that are of candidates, for stored candidates [B, C]."""
        return self._gathered("responses", sentences, config, names)

    def _gathered(
        self, name: str, sentences: np.ndarray, config: ModelConfig, names: Sequence[str]
    ) -> Inputs:
        """The inputs of one kind of sentence, for rows [B, N] of the stored ones."""
        kind, length = {
            "utterances": ("utterance", config.max_utterance_len),
            "responses": ("candidate", config.max_response_len),
            "personas": ("profile", config.max_profile_len),
        }[name]
        if {name, f"{name}_len", f"{name}_num", f"{name}_char"}.isdisjoint(names):
            return {}
        inputs: Inputs = {}
        # An absent sentence is row -1, the last one, which is empty (see `read_sentences`).
        forms = self._sentences[f"{kind}s"][sentences, :length]
        lengths = self._sentences[f"{kind}_lengths"][sentences]
        inputs[f"{name}_len"] = np.minimum(lengths, length).astype(np.int32)
        inputs[f"{name}_num"] = (sentences != ABSENT).sum(axis=1, dtype=np.int32)
        if name in names:
            inputs[name] = np.where(forms < len(self.words), forms, UNK_ID).astype(np.int32)
        if f"{name}_char" in names:
            inputs[f"{name}_char"] = self.word_characters[forms, : config.max_word_len]
        return {each: inputs[each] for each in inputs if each in names}

    def batches(
        self,
        table: TurnTable,
        config: ModelConfig,
        batch_size: int,
        order: np.ndarray | None = None,
    ) -> Iterator[tuple[Inputs, np.ndarray]]:
        """Yields batches of a table; the last one may be smaller but is never empty.

        Args:
            table: TurnTable. The table.
            config: ModelConfig. Sizes, as for `inputs`.
            batch_size: int. B.
            order: array of int. Turns to yield, in order; all turns by default.
        """
        order = np.arange(len(table)) if order is None else np.asarray(order)
        for first in range(0, len(order), batch_size):
            yield self.inputs(table, order[first : first + batch_size], config)

    def texts(self, table: TurnTable, row: int) -> dict[str, Any]:
        """A turn as text: tokens joined by spaces, without the final `_eos_`.

        Returns:
            dict: `context` (oldest first), `persona`, `candidates` ("" if absent) and `target`.
        """
        row = int(row)
        utterances = self._lines("utterances", table.context[row])
        return {
            "context": [text.removesuffix(EOS).rstrip() for text in utterances],
            "persona": self._lines("profiles", table.personas(np.array([row]))[0]),
            "candidates": [
                "" if candidate == ABSENT else self._lines("candidates", [candidate])[0]
                for candidate in table.candidates[row]
            ],
            "target": int(table.target[row]),
        }

    def _stored(self, split: str, persona: str, version: str) -> Path | None:
        """The file with the turns of a setting, or None."""
        tables = [(persona, version)]
        if persona == "none":
            tables.append(("none", "original"))
            tables.extend((other, version) for other in PERSONAS[1:])
        paths = [prepared_folder.turns_path(self.path, split, *table) for table in tables]
        return next((path for path in paths if path.is_file()), None)

    def _lines(self, kind: str, rows: Sequence[int] | np.ndarray) -> list[str]:
        if kind not in self._texts:
            path = self.path / f"{kind}.txt"
            lines, expected = atomic.read_lines(path), len(self._sentences[kind]) - 1
            if len(lines) != expected:
                found = f"found {len(lines):,} lines, expected {expected:,}, one per sentence"
                raise DataError(f"{found}; prepare the data again", path=path)
            self._texts[kind] = lines
        return [self._texts[kind][row] for row in rows if row != ABSENT]


def _last(rows: np.ndarray, count: int) -> np.ndarray:
    """The last `count` present entries, left-aligned: [B, S] -> [B, count]."""
    numbers = (rows != ABSENT).sum(axis=1)
    first = np.maximum(numbers - count, 0)
    columns = first[:, None] + np.arange(count)
    taken = np.take_along_axis(rows, np.minimum(columns, rows.shape[1] - 1), axis=1)
    return np.where(columns < numbers[:, None], taken, ABSENT)


def _fitted(rows: np.ndarray, count: int) -> np.ndarray:
    """The first `count` entries, padded with absent ones: [B, S] -> [B, count]."""
    missing = max(count - rows.shape[1], 0)
    return np.pad(rows[:, :count], ((0, 0), (0, missing)), constant_values=ABSENT)
