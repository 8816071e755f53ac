import tempfile
from pathlib import Path

from data_prep.dialogues import Corpus, Table


def table(split, persona, version):
    return Table(split, persona, version, "memory", lambda: iter(()))


def test_tables_sort_by_split_persona_and_version():
    tables = [table("test", "none", "original"), table("train", "both", "original")]
    tables += [table("train", "self", "revised"), table("train", "self", "original")]
    assert [t.name for t in sorted(tables, key=lambda table: table.order)] == [
        "train_self_original",
        "train_self_revised",
        "train_both_original",
        "test_none_original",
    ]


def test_a_corpus_removes_its_temporary_folder_on_leaving():
    temporary = tempfile.TemporaryDirectory()
    with Corpus("mine", (), (), folder=temporary):
        assert Path(temporary.name).is_dir()
    assert not Path(temporary.name).exists()
