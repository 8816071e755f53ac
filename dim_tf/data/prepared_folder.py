"""Reads the files of a prepared folder and checks that they belong together.

A prepared folder stores each distinct sentence once, as a row of *form* ids, and each turn as row
numbers. A form is a surface word: forms below V are the words of the vocabulary. A form from V on
is a word that the vocabulary lacks: its word id is 1 (unknown), its character features are still
used.

    manifest.json       format, sources, options, sizes, counts, coverage, fingerprints
    words.txt chars.txt line k, from 0, is id k; forms.txt: line k is form V + k
    vectors.npz         word_vectors float32 [V, word_dim]; word2vec_dim: number of the last
                        columns that are Word2Vec's
    sentences.npz       utterances [N, L], candidates [N, R], profiles [N, Q] int32 form ids,
                        0-padded; utterance_lengths, candidate_lengths, profile_lengths [N]
    utterances.txt candidates.txt profiles.txt   the tokens of each row
    turns/{split}_{persona}_{version}.npz        the arrays of `TurnTable`, of which self_profiles
                        and partner_profiles are named own and partner; for other tools also
                        context_total [N], utterances before the cut, and line [N] of the source
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, PositiveInt
from typing_extensions import TypedDict  # typing's is not enough for pydantic before Python 3.12

from dim_tf.config import PREPARED_SIZES
from dim_tf.data.text import PAD, UNK, TextRules
from dim_tf.errors import DataError
from dim_tf.io import atomic, json_model

FORMAT = 1
MANIFEST = "manifest.json"
ABSENT = -1
SIZES = (*PREPARED_SIZES, "word_dim", "char_vocab_size")
# Kind of sentence -> the size that bounds its length.
KINDS = {
    "utterance": "max_utterance_len",
    "profile": "max_profile_len",
    "candidate": "max_response_len",
}
# All files and folders of a prepared folder.
NAMES = (
    *(MANIFEST, "words.txt", "chars.txt", "forms.txt", "vectors.npz", "sentences.npz", "turns"),
    *(*(f"{kind}s.txt" for kind in KINDS), "dense", "report.txt", "report.json"),
)


@dataclasses.dataclass(frozen=True)
class TurnTable:
    """The turns of one (split, persona, version): rows of the stored sentences, -1 if absent."""

    split: str  # "train", "valid" or "test"
    persona: str  # "none", "self", "their" or "both"
    version: str  # "original" or "revised"
    context: np.ndarray  # [N, U] utterances, oldest first
    candidates: np.ndarray  # [N, C] in a seeded order; a copy of the gold reply is absent
    target: np.ndarray  # [N] index of the gold reply among the candidates
    self_profiles: np.ndarray  # [N, P] of the speaker who replies
    partner_profiles: np.ndarray  # [N, P]
    dialogue: np.ndarray  # [N] number of the dialogue, from 0

    def __len__(self) -> int:
        return len(self.target)

    @property
    def gold(self) -> np.ndarray:
        """The gold reply of each turn, [N]."""
        return self.candidates[np.arange(len(self)), self.target]

    def take(self, rows: np.ndarray) -> TurnTable:
        """The table of some of the turns."""
        columns = [field.name for field in dataclasses.fields(self)][3:]
        return dataclasses.replace(self, **{name: getattr(self, name)[rows] for name in columns})

    @property
    def name(self) -> str:
        """Such as `test_self_original`."""
        return f"{self.split}_{self.persona}_{self.version}"

    def personas(self, rows: np.ndarray) -> np.ndarray:
        """The profiles that some turns show: [B, P], or [B, 2P] for "both".

        "both" is the speaker's profiles, then the partner's; "none" shows no profiles.
        """
        profiles = {"self": self.self_profiles[rows], "their": self.partner_profiles[rows]}
        if self.persona == "none":
            return np.full_like(profiles["self"], ABSENT)
        if self.persona != "both":
            return profiles[self.persona]
        both = np.concatenate([*profiles.values()], axis=1)
        absent_last = np.argsort(both == ABSENT, axis=1, kind="stable")
        return np.take_along_axis(both, absent_last, axis=1)


class Manifest(TypedDict):
    """What is read of `manifest.json`; further keys are kept."""

    __pydantic_config__ = ConfigDict(extra="allow", strict=True)
    format: Annotated[int, Field(ge=FORMAT, le=FORMAT)]
    fingerprint: str
    text_fingerprint: str
    sizes: dict[str, PositiveInt]  # those of `SIZES`
    text: TextRules


def why_not_prepared(folder: Path) -> str | None:
    """Why a folder is no prepared folder of any version; None if it is one."""
    try:
        manifest = atomic.read_json(folder / MANIFEST)
    except DataError:
        return f"no readable {MANIFEST}"
    keys = {"format", "fingerprint", "sources", "sizes"}
    ours = isinstance(manifest, dict) and keys <= manifest.keys()
    return None if ours else f"its {MANIFEST} is of something else"


def read_manifest(folder: Path) -> Manifest:
    """Reads `manifest.json`; raises `DataError` if it is missing or not of this format."""
    if not (folder / MANIFEST).is_file():
        found = f"not a prepared folder (no {MANIFEST} in it)"
        raise DataError(f"{found}; make one with python -m data_prep", path=folder)
    manifest = json_model.read(folder / MANIFEST, Manifest, "prepare the data again")
    for name in SIZES:
        if name not in manifest["sizes"]:
            raise DataError("missing", path=folder / MANIFEST, field=f"sizes.{name}")
    return manifest


def read_words(folder: Path) -> list[str]:
    """`words.txt`."""
    words = atomic.read_lines(folder / "words.txt")
    if words[:2] != [PAD, UNK]:
        found = f"found {words[:2]} first, expected {PAD} and {UNK}"
        raise DataError(found, path=folder / "words.txt")
    return words


def read_characters(folder: Path, sizes: Mapping[str, int]) -> list[str]:
    """`chars.txt`."""
    characters = atomic.read_lines(folder / "chars.txt")
    found, expected = len(characters), sizes["char_vocab_size"]
    if found != expected or characters[0] != PAD:
        message = f"found {found} characters, expected {expected}, {PAD} first"
        raise DataError(f"{message}; prepare the data again", path=folder / "chars.txt")
    return characters


def read_vectors(folder: Path, sizes: Mapping[str, int], words: int) -> tuple[np.ndarray, int]:
    """The word vectors, float32 [V, word_dim], and the number of Word2Vec's columns, the last."""
    take = _reader(folder / "vectors.npz")
    vectors = take("word_vectors", (words, sizes["word_dim"]), dtype=np.float32)
    return vectors, int(take("word2vec_dim", (), 0, sizes["word_dim"] + 1))


def read_sentences(folder: Path, sizes: Mapping[str, int], forms: int) -> dict[str, np.ndarray]:
    """The stored sentences: for each kind their rows and lengths.

    An empty row is appended to each kind: index -1 (absent) selects it.
    """
    take = _reader(folder / "sentences.npz")
    sentences = {}
    for kind, size in KINDS.items():
        rows = take(f"{kind}s", (None, sizes[size]), 0, forms)
        lengths = take(f"{kind}_lengths", (len(rows),), 0, sizes[size] + 1)
        sentences[f"{kind}s"] = np.pad(rows, ((0, 1), (0, 0)))
        sentences[f"{kind}_lengths"] = np.append(lengths, 0)
    return sentences


def turns_path(folder: Path, split: str, persona: str, version: str) -> Path:
    """Path of the turns of a setting."""
    return folder / "turns" / f"{split}_{persona}_{version}.npz"


def read_turns(path: Path, sentences: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a `TurnTable`, checked against the stored sentences."""
    take = _reader(path)
    candidates = take("candidates", (None, None), ABSENT, len(sentences["candidates"]) - 1)
    count, width = candidates.shape
    if not count:
        raise DataError("found no turns; prepare the data again", path=path)
    turns = {"candidates": candidates, "target": take("target", (count,), 0, width)}
    for name, on_disk, kind in (
        ("context", "context", "utterances"),
        ("self_profiles", "own", "profiles"),
        ("partner_profiles", "partner", "profiles"),
    ):
        turns[name] = take(on_disk, (count, None), ABSENT, len(sentences[kind]) - 1)
    turns["dialogue"] = take("dialogue", (count,))
    if (candidates[np.arange(count), turns["target"]] == ABSENT).any():
        raise DataError("found a turn whose gold reply is absent", path=path, field="target")
    return turns


def _reader(path: Path) -> Callable[..., np.ndarray]:
    """A function that gives the arrays of an `.npz` file and checks each."""
    arrays = atomic.read_npz(path)

    def take(name, shape, low=None, end=None, dtype=np.integer) -> np.ndarray:
        """An array of some shape (None: any size) whose values are at least `low`, below `end`."""
        if name not in arrays:
            raise DataError("missing; prepare the data again", path=path, field=name)
        array = arrays[name]
        fits = array.ndim == len(shape) and np.issubdtype(array.dtype, dtype)
        if not fits or any(w not in (None, s) for w, s in zip(shape, array.shape, strict=True)):
            found = f"{array.dtype} {list(array.shape)}"
        elif low is not None and array.size and (array.min() < low or array.max() >= end):
            found = f"values from {array.min()} to {array.max()}"
        else:
            return array
        shown = ", ".join("any" if size is None else str(size) for size in shape)
        bounds = "" if low is None else f" from {low} to {end - 1}"
        message = f"found {found}, expected {dtype.__name__} [{shown}]{bounds}"
        raise DataError(f"{message}; prepare the data again", path=path, field=name)

    return take
