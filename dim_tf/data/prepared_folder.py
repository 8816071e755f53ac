"""The files of a prepared folder: read, and checked against each other.

A prepared folder holds each distinct sentence once, as a row of *form* ids, and each turn as row
numbers. A form is a surface word: forms below V are the words of the vocabulary; a form from V on
is a word that the vocabulary lacks, whose word id is 1 (unknown) while its characters still speak.

    manifest.json       format, sources, options, sizes, counts, coverage, fingerprints
    words.txt chars.txt line k, from 0, is id k; forms.txt: line k is form V + k
    vectors.npz         word_vectors float32 [V, word_dim]; word2vec_dim, how many of the last
                        columns are Word2Vec's
    sentences.npz       utterances [N, L], candidates [N, R], profiles [N, Q] int32 form ids,
                        0-padded; utterance_lengths, candidate_lengths, profile_lengths [N]
    utterances.txt candidates.txt profiles.txt   the tokens of each row
    turns/{split}_{persona}_{version}.npz        the arrays of `TurnTable`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dim_tf.config import PREPARED_SIZES
from dim_tf.data.text import PAD, UNK, TextRules
from dim_tf.errors import ConfigError, DataError
from dim_tf.io import atomic

FORMAT = 1
MANIFEST = "manifest.json"
ABSENT = -1
SIZES = (*PREPARED_SIZES, "word_dim", "char_vocab_size")
# Kind of sentence -> the size that is the length of its rows.
KINDS = {
    "utterance": "max_utterance_len",
    "profile": "max_profile_len",
    "candidate": "max_response_len",
}
# All that such a folder holds.
NAMES = frozenset(
    {
        *(MANIFEST, "words.txt", "chars.txt", "forms.txt", "vectors.npz", "sentences.npz"),
        *(f"{kind}s.txt" for kind in KINDS),
        *("turns", "dense", "report.txt", "report.json"),
    }
)


@dataclasses.dataclass(frozen=True)
class TurnTable:
    """The turns of one (split, persona, version): rows of the sentence store, -1 absent.

    Attributes:
        split: "train", "valid" or "test".
        persona: "none", "self", "their" or "both".
        version: "original" or "revised".
        context: Utterances, oldest first: [N, U].
        context_total: How many there were before the context was cut to the last U: [N].
        candidates: In a seeded order; a copy of the gold reply is absent: [N, C].
        target: The slot of the gold reply: [N].
        own: Profiles of the speaker who replies: [N, P].
        partner: Profiles of the other speaker: [N, P].
        dialogue: Running number of the dialogue: [N].
        line: The turn's line in the source file: [N].
    """

    split: str
    persona: str
    version: str
    context: np.ndarray
    context_total: np.ndarray
    candidates: np.ndarray
    target: np.ndarray
    own: np.ndarray
    partner: np.ndarray
    dialogue: np.ndarray
    line: np.ndarray

    def __len__(self) -> int:
        return len(self.target)

    def take(self, rows: np.ndarray) -> TurnTable:
        """The table of some of the turns."""
        columns = [field.name for field in dataclasses.fields(self)][3:]
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in columns})

    @property
    def name(self) -> str:
        """Such as `test_self_original`."""
        return f"{self.split}_{self.persona}_{self.version}"

    def personas(self, rows: np.ndarray) -> np.ndarray:
        """Profiles that the setting shows in some turns: [B, P], or [B, 2P] for "both".

        "both" is the own profiles, then the partner's; "none" shows none of them.
        """
        if self.persona == "self":
            return self.own[rows]
        if self.persona == "their":
            return self.partner[rows]
        if self.persona == "none":
            return np.full_like(self.own[rows], ABSENT)
        both = np.concatenate([self.own[rows], self.partner[rows]], axis=1)
        absent_last = np.argsort(both == ABSENT, axis=1, kind="stable")
        return np.take_along_axis(both, absent_last, axis=1)


def why_not_ours(folder: Path) -> str | None:
    """Why a folder is no prepared folder, not even one of another version; None if it is."""
    try:
        manifest = atomic.read_json(folder / MANIFEST)
    except DataError:
        return f"no readable {MANIFEST}"
    keys = {"format", "fingerprint", "sources", "sizes"}
    ours = isinstance(manifest, dict) and keys <= manifest.keys()
    return None if ours else f"its {MANIFEST} is of something else"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest; raises `DataError` if `folder` is no prepared folder of this format."""
    path = folder / MANIFEST
    if not path.is_file():
        raise DataError(
            f"not a prepared folder (no {MANIFEST} in it); make one with python -m data_prep",
            path=folder,
        )
    manifest = atomic.read_json(path)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise DataError(
            f"found format {found!r}, expected {FORMAT}; prepare the data again with this version",
            path=path,
        )
    for name in ("fingerprint", "text_fingerprint"):
        if not isinstance(manifest.get(name), str):
            raise DataError("the text is missing; prepare the data again", path=path, field=name)
    sizes = manifest.get("sizes")
    for name in SIZES:
        size = sizes.get(name) if isinstance(sizes, dict) else None
        if type(size) is not int or size < 1:
            raise DataError(
                f"found {size!r}, expected a whole number of at least 1",
                path=path,
                field=f"sizes.{name}",
            )
    return manifest


def read_rules(folder: Path, manifest: Mapping[str, Any]) -> TextRules:
    """The rules by which the folder's text was tokenised."""
    try:
        return TextRules(**manifest["text"])
    except (KeyError, TypeError, ConfigError) as error:
        raise DataError(
            f"not the rules of a text ({error})", path=folder / MANIFEST, field="text"
        ) from None


def read_words(folder: Path) -> list[str]:
    """`words.txt`."""
    words = atomic.read_lines(folder / "words.txt")
    if words[:2] != [PAD, UNK]:
        raise DataError(
            f"found {words[:2]} first, expected {PAD} and {UNK}", path=folder / "words.txt"
        )
    return words


def read_characters(folder: Path, sizes: Mapping[str, int]) -> list[str]:
    """`chars.txt`."""
    characters = atomic.read_lines(folder / "chars.txt")
    found, expected = len(characters), sizes["char_vocab_size"]
    if found != expected or characters[0] != PAD:
        raise DataError(
            f"found {found} characters, {characters[:1]} first; expected {expected}, {PAD} first: "
            "prepare the data again",
            path=folder / "chars.txt",
        )
    return characters


def read_vectors(folder: Path, sizes: Mapping[str, int], words: int) -> tuple[np.ndarray, int]:
    """The word vectors, float32 [V, word_dim], and how many last columns are Word2Vec's."""
    path = folder / "vectors.npz"
    arrays = atomic.read_npz(path)
    vectors = _array(arrays, "word_vectors", path)
    word2vec_dim = _array(arrays, "word2vec_dim", path)
    expected = (words, sizes["word_dim"])
    if vectors.shape != expected or vectors.dtype != np.float32:
        raise DataError(
            f"found {vectors.dtype} {list(vectors.shape)}, expected float32 {list(expected)}; "
            "the folder's files do not belong together: prepare the data again",
            path=path,
            field="word_vectors",
        )
    if word2vec_dim.shape != ():
        raise DataError("expected one number", path=path, field="word2vec_dim")
    _check_range(word2vec_dim, 0, vectors.shape[1] + 1, path, "word2vec_dim")
    return vectors, int(word2vec_dim)


def read_sentences(folder: Path, sizes: Mapping[str, int], forms: int) -> dict[str, np.ndarray]:
    """The sentence store: for each kind its rows and their lengths.

    One empty row more stands at the end of each kind, so that the place -1 (absent) finds it.
    """
    path = folder / "sentences.npz"
    arrays = atomic.read_npz(path)
    sentences = {}
    for kind, size in KINDS.items():
        rows = _array(arrays, f"{kind}s", path)
        lengths = _array(arrays, f"{kind}_lengths", path)
        width = sizes[size]
        if rows.ndim != 2 or rows.shape[1] != width or lengths.shape != rows.shape[:1]:
            raise DataError(
                f"found shapes {rows.shape} and {lengths.shape}, expected (N, {width}) and (N,)",
                path=path,
                field=f"{kind}s",
            )
        _check_range(rows, 0, forms, path, f"{kind}s")
        _check_range(lengths, 0, width + 1, path, f"{kind}_lengths")
        sentences[f"{kind}s"] = np.pad(rows, ((0, 1), (0, 0)))
        sentences[f"{kind}_lengths"] = np.append(lengths, 0)
    return sentences


def turns_path(folder: Path, split: str, persona: str, version: str) -> Path:
    """Where the turns of a setting are."""
    return folder / "turns" / f"{split}_{persona}_{version}.npz"


def read_turns(path: Path, sentences: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a `TurnTable`, checked against the sentence store."""
    arrays = atomic.read_npz(path)
    columns = [field.name for field in dataclasses.fields(TurnTable)][3:]
    turns = {name: _array(arrays, name, path) for name in columns}
    kinds = {
        "context": "utterances",
        "candidates": "candidates",
        "own": "profiles",
        "partner": "profiles",
    }
    count = turns["target"].shape[0] if turns["target"].ndim == 1 else -1
    for name, array in turns.items():
        if array.ndim != (2 if name in kinds else 1) or len(array) != count:
            raise DataError(
                f"found shape {array.shape}, expected {count} turns", path=path, field=name
            )
    for name, kind in kinds.items():
        _check_range(turns[name], ABSENT, len(sentences[kind]) - 1, path, name)
    _check_range(turns["target"], 0, turns["candidates"].shape[1], path, "target")
    if (turns["candidates"][np.arange(count), turns["target"]] == ABSENT).any():
        raise DataError("found a turn whose gold reply is absent", path=path, field="target")
    return turns


def _array(arrays: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    if name not in arrays:
        raise DataError("the array is missing; prepare the data again", path=path, field=name)
    return arrays[name]


def _check_range(array: np.ndarray, low: int, end: int, path: Path, name: str) -> None:
    if not np.issubdtype(array.dtype, np.integer):
        raise DataError(f"found {array.dtype}, expected whole numbers", path=path, field=name)
    if array.size and (array.min() < low or array.max() >= end):
        raise DataError(
            f"found values from {array.min()} to {array.max()}, expected {low} to {end - 1}; "
            "the folder's files do not belong together: prepare the data again",
            path=path,
            field=name,
        )
