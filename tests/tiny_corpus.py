"""A corpus small enough to be checked by eye, and a prepared folder of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from data_prep.dialogues import Corpus, Table, Turn
from data_prep.prepare import Settings, prepare
from dim_tf.data.word_vectors import WordVectors

OWN = ("I like cats.", "i ski")
PARTNER = ("i'm a nurse .",)
TURNS = {
    # The context grows as in a dialogue; "hi there" is both a distractor and said in the context.
    "train": (
        Turn(("hello!",), ("hi there", "so what", "i ski"), 0, OWN, PARTNER, 0, 4),
        Turn(
            ("hello!", "hi there", "i'm a nurse."),
            ("so what", "i'm glad", "so what", "hi there"),
            1,
            OWN,
            PARTNER,
            0,
            5,
        ),
        # A second copy of the gold reply; no context; no profile of the partner.
        Turn((), ("so what", "yes .", "so what"), 0, ("i like cats.",), (), 1, 7),
    ),
    "test": (Turn(("do you like zebras ?",), ("yes .", "no zebras"), 1, OWN, PARTNER, 0, 3),),
}


def tables(persona: str = "both", version: str = "original") -> tuple[Table, ...]:
    return tuple(
        Table(split, persona, version, f"{split}.txt", lambda turns=turns: iter(turns))
        for split, turns in TURNS.items()
    )


def tiny_corpus(*personas: str, **fields) -> Corpus:
    """The corpus, its tables under each of `personas` ("both" if none is given)."""
    every = tuple(table for persona in personas or ("both",) for table in tables(persona))
    return Corpus(**{"name": "tiny", "tables": every, "sources": (), **fields})


def prepare_tiny(folder: Path, corpus: Corpus | None = None, **settings) -> Path:
    """Prepares the corpus with a fixed table of vectors, which takes no time."""
    folder.mkdir(parents=True, exist_ok=True)
    vectors = folder.with_name(f"{folder.name}-vectors.txt")
    write_vectors(vectors, WordVectors(["i", "ski", "skate"], np.eye(3, dtype=np.float32)))
    chosen = Settings(**{"vectors": vectors, "word2vec": "none", **settings})
    prepare(corpus or tiny_corpus(), chosen, folder, options={}, sources=[])
    return folder


def write_vectors(path: Path, vectors: WordVectors) -> None:
    rows = zip(vectors.words, vectors.vectors.tolist(), strict=True)
    text = "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows)
    path.write_text(text, encoding="utf-8")
