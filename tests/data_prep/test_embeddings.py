import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_prep import embeddings
from data_prep.embeddings import train_word2vec, vectors_file
from dim_tf.errors import DataError, UsageError

ROOT = Path(__file__).parents[2]

WORD2VEC = """
from data_prep.embeddings import fingerprint, train_word2vec
words = "a b c d e f g h i j".split()
sentences = [words[n % 7 : n % 7 + 4] + ["_eos_"] for n in range(200)]
print(fingerprint(train_word2vec(sentences, 3)))
"""


def test_word2vec_is_equal_to_the_bit_in_another_process():
    sums = {
        subprocess.run(
            [sys.executable, "-c", WORD2VEC],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(sums) == 1 and len(sums.pop().strip()) == 64


def test_word2vec_has_the_papers_settings_and_every_word(monkeypatch):
    import gensim.models

    given, word2vec = {}, gensim.models.Word2Vec

    def noting(*sentences, **settings):
        given.update(settings)
        return word2vec(*sentences, **settings)

    monkeypatch.setattr(gensim.models, "Word2Vec", noting)
    found = train_word2vec([("a", "b", "_eos_"), ("once",)], seed=1)
    assert sorted(found.words) == ["_eos_", "a", "b", "once"]
    assert found.vectors.shape == (4, 100) and found.vectors.dtype == np.float32
    expected = {"vector_size": 100, "sg": 1, "window": 5, "min_count": 1, "epochs": 5}
    assert {name: given[name] for name in expected} == expected
    other = train_word2vec([("a", "b", "_eos_"), ("once",)], seed=2)
    assert embeddings.fingerprint(found) != embeddings.fingerprint(other)


def test_word2vec_without_a_training_split_is_refused():
    with pytest.raises(DataError, match="no training split to train Word2Vec on"):
        train_word2vec([], seed=1)


def test_gensims_sets_are_fetched_as_files(tmp_path, monkeypatch):
    import gensim.downloader

    def load(name, return_path):
        assert return_path
        if name == "offline":
            raise OSError("no route to host")
        if name != "glove-tiny":
            raise ValueError(f"Incorrect model/corpus name {name}")
        return str(tmp_path / "glove-tiny.gz")

    monkeypatch.setattr(gensim.downloader, "load", load)
    assert vectors_file("gensim:glove-tiny") == tmp_path / "glove-tiny.gz"
    with pytest.raises(UsageError, match="gensim:glove-tny: Incorrect model"):
        vectors_file("gensim:glove-tny")
    with pytest.raises(DataError, match=r"gensim:offline .*no route to host"):
        vectors_file("gensim:offline")
