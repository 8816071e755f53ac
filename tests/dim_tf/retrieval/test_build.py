"""Pools: built, stopped, changed, refused."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from unittest import mock

import pytest

from dim_tf.errors import CheckpointError, DataError, UsageError
from dim_tf.retrieval import build
from dim_tf.retrieval.pool_folder import Manifest, PoolFolder
from dim_tf.retrieval.replies import read_replies
from dim_tf.retrieval.searcher import Searcher
from tests.dim_tf.retrieval.turns import CONTEXT, PERSONA


def test_a_stopped_build_goes_on_and_a_change_too(run, source, tmp_path, monkeypatch):
    source = Path(shutil.copy(source, tmp_path / "replies.jsonl"))
    store, calls = build._store, []

    def stopping(vectors, ranker, batch, replace):
        store(vectors, ranker, batch, replace)
        calls.append(len(batch))
        if len(calls) == 2:  # stored, but not yet noted
            raise KeyboardInterrupt

    monkeypatch.setattr(build, "BATCH", 2)
    monkeypatch.setattr(build, "_store", stopping)
    folder = tmp_path / "pool"
    with pytest.raises(KeyboardInterrupt):
        build.build(str(source), folder, str(run))
    for refused in (
        lambda: Searcher.open(folder, "RUN"),
        lambda: build.add(folder, str(source)),
        lambda: build.build(str(source), folder, str(run), index_type="FLAT"),
    ):
        with pytest.raises((DataError, UsageError), match="unfinished"):
            refused()
    text = source.read_text()
    source.write_text(text + '{"text": "new"}\n')
    with pytest.raises(UsageError, match=r"unfinished.*digest"):
        build.build(str(source), folder, str(run))
    source.write_text(text)
    assert build.build(str(source), folder, str(run)).replies == 5
    assert calls == [2, 2, 2, 1]
    calls[:] = [0]
    with pytest.raises(KeyboardInterrupt):
        build.add(folder, str(source))
    with pytest.raises(DataError, match="unfinished"):
        Searcher.open(folder, "RUN")
    # Another change completes the pool, with a warning that the stopped one is not done.
    with pytest.warns(UserWarning, match=r"--add .* was stopped"):
        assert build.delete(folder, ["dogs"]).replies == 4
    assert build.add(folder, str(source)).replies == 5


def test_a_stopped_deletion_is_repeated(pool, monkeypatch):
    def stop(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(build, "_finish", stop)
        build.delete(pool, ["dogs"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert build.delete(pool, ["dogs"]).replies == 4


def test_what_a_build_stored_that_noted_nothing_is_not_kept(run, source, tmp_path, monkeypatch):
    def stop(*arguments, **options):
        store(*arguments, **options)
        raise KeyboardInterrupt

    store, folder, other = build._store, tmp_path / "pool", tmp_path / "other.txt"
    monkeypatch.setattr(build, "_store", stop)
    with pytest.raises(KeyboardInterrupt):
        build.build(str(source), folder, str(run))
    monkeypatch.setattr(build, "_store", store)
    other.write_text("hello\nyou like dogs\n")
    assert build.build(str(other), folder, str(run)).replies == 2
    with PoolFolder.open(folder) as opened:
        assert {row["text"] for row in opened.vectors.rows("text")} == {"hello", "you like dogs"}


def test_a_build_whose_vectors_were_lost_begins_again(run, source, tmp_path, monkeypatch):
    def stopping(vectors, ranker, batch, replace):
        store(vectors, ranker, batch, replace)
        if not replace:  # the second batch
            raise KeyboardInterrupt

    store, folder = build._store, tmp_path / "pool"
    monkeypatch.setattr(build, "BATCH", 2)
    monkeypatch.setattr(build, "_store", stopping)
    with pytest.raises(KeyboardInterrupt):
        build.build(str(source), folder, str(run))
    assert Manifest.read(folder).lines
    shutil.rmtree(folder / "milvus.db")
    # Stopped again, before it has stored anything.
    monkeypatch.setattr(build, "_store", mock.Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build.build(str(source), folder, str(run))
    monkeypatch.setattr(build, "_store", store)
    assert build.build(str(source), folder, str(run)).replies == 5


def test_a_text_with_other_fields_needs_an_id(run, tmp_path):
    texts = tmp_path / "texts.jsonl"
    texts.write_text('{"text": "tea", "topic": "food"}\n{"text": "tea", "topic": "drink"}\n')
    with pytest.raises(DataError, match=rf"{texts}:2: .*\bid\b.* other fields"):
        build.build(str(texts), tmp_path / "pool", str(run))
    texts.write_text('{"text": "tea", "topic": "food"}\n{"text": "tea", "id": 1}\n' * 2)
    assert build.build(str(texts), tmp_path / "pool", str(run)).replies == 2


def test_replies_are_added_replaced_and_deleted(pool, tmp_path):
    more = tmp_path / "more.jsonl"
    more.write_text('{"text": "i like tea", "id": "dogs"}\n{"text": "dogs"}\n')
    assert build.add(pool, str(more)).replies == 6
    assert build.delete(pool, ["7"]).replies == 5
    with pytest.raises(UsageError, match="nothere"):
        build.delete(pool, ["nothere"])
    with pytest.raises(DataError, match="quotes"):
        build.delete(pool, ["a'] or id not in ['"])
    with Searcher.open(pool, "RUN") as searcher:
        rows = {row["id"]: row for row in searcher.reply(CONTEXT, PERSONA, top_k=None)}
        assert len(searcher) == len(rows) == 5
        assert "7" not in rows
        assert rows["dogs"]["candidate"] == "i like tea"
        assert rows["dogs"]["first_stage"]["bm25"]
        # The file belongs to one process, and is free after it.
        with pytest.raises(UsageError, match="--uri"):
            Searcher.open(pool, "RUN")
    with pytest.raises(UsageError, match="nothing"):
        build.delete(pool, list(rows))


def test_what_is_no_pool_is_refused(pool, run, source, tmp_path, encoder):
    texts, wordless = tmp_path / "texts.jsonl", tmp_path / "wordless"
    texts.write_text('{"text": "tea", "id": "tea"}\n{"text": "?"}\n')
    build.build(str(texts), wordless, str(run))
    texts = tmp_path / "texts.txt"
    texts.write_text("\n \n")
    with pytest.raises(DataError, match=r"texts\.txt.*no reply"):
        build.build(str(texts), tmp_path / "new", str(run))
    texts.write_text("?\n")
    with pytest.raises(DataError, match="no reply has a word"):
        build.build(str(texts), tmp_path / "marks", str(run))
    with pytest.raises(UsageError, match="give a file"):
        build.build("/dev/null", tmp_path / "stream", str(run))
    with pytest.raises(UsageError, match="dual encoder"):
        build.build(str(source), tmp_path / "dim", "DIM")
    with pytest.raises(UsageError, match="exists"):
        build.build(str(source), pool, str(run))
    with pytest.raises(UsageError, match="something else"):
        build.build(str(source), tmp_path, str(run))
    for uri in ("localhost:19530", "http://", "http://h:port", "http://h:99999", "http://[::1"):
        with pytest.raises(UsageError, match="--uri"):
            build.build(str(source), tmp_path / "new", str(run), uri=uri)
    for line in (
        '{"text": 3}',
        '{"id": "a"}',
        '{"text": "a", "id": []}',
        '{"text": "a", "vector": 1}',
        '{"text": "a", "id": "it\'s"}',
        '{"text": "a", "id": "\\\\"}',
        '{"text": "a", "id": "\\ud800"}',
        '{"text": "a", "topic": "\\ud800"}',
        '{"text": "a", "\\ud800": 1}',
        f'{{"text": "a", "topic": [1, {{"n": {2**63}}}]}}',
        f'{{"text": "a", "topic": "{"x" * 65_536}"}}',
    ):
        source = tmp_path / "bad.jsonl"
        source.write_text(f'{{"text": "tea"}}\n{line}\n')
        with pytest.raises(DataError, match=r"bad\.jsonl:2"):
            list(read_replies(str(source)))
    with pytest.raises(DataError, match=r"bad\.jsonl:2"):
        build.build(str(source), tmp_path / "never", str(run))
    assert not (tmp_path / "never").exists()
    source.write_text('{"text": "tea", "id": 1}\n{"text": "fine", "id": "1"}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl:2.*id"):
        build.add(pool, str(source))
    with pytest.raises(DataError, match="no reply has a word"):
        build.delete(wordless, ["tea"])
    for unchanged in (pool, wordless):
        with PoolFolder.open(unchanged):
            pass
    manifest = json.loads((pool / "manifest.json").read_text())
    for name, value, error in (
        ("fingerprint", "0" * 64, CheckpointError),
        ("replies", 9, DataError),
        ("index_type", "TREE", DataError),
    ):
        (pool / "manifest.json").write_text(json.dumps({**manifest, name: value}))
        with pytest.raises(error):
            Searcher.open(pool, "RUN")
    (pool / "manifest.json").write_text(json.dumps(manifest))
    (pool / "bm25" / "params.index.json").write_text("{")
    with pytest.raises(DataError, match="bm25"):
        Searcher.open(pool, "RUN")


@pytest.mark.parametrize("name", ["replies.ndjson", "replies.JSON"])
def test_json_is_known_by_its_name(tmp_path, name):
    (tmp_path / name).write_text('{"text": "tea"}\n')
    [(line, reply)] = read_replies(str(tmp_path / name))
    assert (line, reply.text) == (1, "tea")
