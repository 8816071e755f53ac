import hashlib
import json
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from data_prep import download
from data_prep.sources import SourceOptions, open_source
from dim_tf.errors import DataError, UsageError

TURNS = "1 your persona: i ski .\n2 hi\tyo\t\tno|yo\n"
PROCESSED = "hi _eos_\tno|yo\t1\tNA\ti ski .\n"
NAMES = ("valid_other_revised.txt", "train_self_original.txt")


def official(folder: Path, names=NAMES):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(TURNS)
    return folder


def packed(path: Path, folder: Path):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as bundle:
            for file in folder.iterdir():
                bundle.write(file, f"personachat/{file.name}")
    else:
        with tarfile.open(path, f"w:{'xz' if path.suffix == '.xz' else 'gz'}") as tar:
            tar.add(folder, "personachat")
    return path


def names(corpus):
    return [table.name for table in corpus.tables]


def sum_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_folder_gives_a_table_for_each_official_file(tmp_path):
    folder = official(tmp_path / "mine")
    (folder / "README").write_text("about")
    (folder / "train_self_original_no_cands.txt").write_text("1 hi\tyo\n")
    with open_source(str(folder)) as corpus:
        assert names(corpus) == ["train_self_original", "valid_their_revised"]
        assert corpus.name == "mine"
        assert corpus.notes == ("ignored files: README, train_self_original_no_cands.txt",)
        assert corpus.sources == tuple(
            {"name": name, "sha256": sum_of(folder / name)} for name in sorted(NAMES)
        )
        (turn,) = corpus.tables[0].turns()
        assert (turn.context, turn.gold, turn.self_profiles) == (("hi",), 1, ("i ski .",))
        assert corpus.tables[0].path == f"{folder}/train_self_original.txt"


def test_the_files_may_lie_one_folder_deeper(tmp_path):
    official(tmp_path / "mine/personachat")
    (tmp_path / "mine/other").mkdir()
    assert len(open_source(str(tmp_path / "mine")).tables) == 2
    official(tmp_path / "mine/other")
    with pytest.raises(DataError, match="found more than one corpus"):
        open_source(str(tmp_path / "mine"))


@pytest.mark.parametrize("suffix", [".tgz", ".tar.xz", ".zip"])
def test_an_archive_is_read_and_its_temporary_folder_removed(tmp_path, suffix):
    archive = packed(tmp_path / f"chat{suffix}", official(tmp_path / "mine"))
    with open_source(str(archive)) as corpus:
        assert corpus.name == "chat"
        assert corpus.sources == ({"name": archive.name, "sha256": sum_of(archive)},)
        assert [len(list(table.turns())) for table in corpus.tables] == [1, 1]
        assert Path(corpus.folder.name).is_dir()
    assert not Path(corpus.folder.name).exists()


def test_download_fetches_checks_and_reads_the_archive(tmp_path):
    archive = packed(tmp_path / "other.tgz", official(tmp_path / "mine"))
    options = SourceOptions(cache=tmp_path / "cache", url=archive.as_uri(), sha256=sum_of(archive))
    with open_source("download", options) as corpus:
        assert (corpus.name, corpus.licence) == ("other", "")
        assert names(corpus) == ["train_self_original", "valid_their_revised"]
    assert (tmp_path / "cache/other.tgz").is_file()


def test_the_licence_is_that_of_the_official_archive(tmp_path, monkeypatch):
    archive = packed(tmp_path / "chat.tgz", official(tmp_path / "mine"))
    monkeypatch.setattr(download, "PERSONACHAT_SHA256", sum_of(archive))
    assert open_source(str(archive)).licence == "CC BY 4.0"


def test_processed_files_bring_their_vocabularies(tmp_path):
    (tmp_path / "processed_test_self_original.txt").write_text(PROCESSED)
    (tmp_path / "vocab.txt").write_text("<pad>\nhi\n")
    (tmp_path / "char_vocab.txt").write_text("1\th\n2\ti\n")
    corpus = open_source(str(tmp_path))
    (table,) = corpus.tables
    assert (table.name, table.tokenised) == ("test_self_original", True)
    assert next(table.turns()).self_profiles == ("i ski .",)
    assert corpus.words == ("<pad>", "hi")
    assert corpus.characters == {1: "h", 2: "i"}
    assert len(corpus.sources) == 3


@pytest.mark.parametrize("name", ["own.JSON", "own.jsonl.XZ"])
def test_json_lines_are_known_by_their_name(tmp_path, name):
    record = {"utterances": ["hi", "yo"], "persona_a": ["a"], "persona_b": ["b"], "split": "test"}
    text = "".join(json.dumps(record | {"utterances": [f"hi {n}", f"yo {n}"]}) + "\n" for n in "12")
    path = tmp_path / name
    path.write_bytes(lzma.compress(text.encode()) if name.endswith("XZ") else text.encode())
    corpus = open_source(str(path), SourceOptions(candidates=3))
    assert corpus.name == "own"
    assert names(corpus)[0] == "test_none_original"
    turn = next(corpus.tables[1].turns())
    assert set(turn.candidates) == {"hi 2", "yo 2", "yo 1"}
    assert (turn.gold, turn.self_profiles) == (2, ("b",))


@pytest.mark.parametrize(
    "options",
    [{"sides": "both"}, {"candidates": 5}, {"resplit": True}, {"speaker_sentences": 3}],
)
def test_options_for_json_lines_are_refused_with_another_source(options):
    name = next(iter(options)).replace("_", "-")
    with pytest.raises(UsageError, match=f"--{name}: only a source of JSON Lines"):
        open_source("sample", SourceOptions(**options))


def test_files_of_no_split_are_named(tmp_path):
    record = {"utterances": ["hi", "yo"], "persona_a": [], "persona_b": []}
    for name in ("train.jsonl", "valid.jsonl", "test.jsonl", "train_2.jsonl", "about.txt"):
        (tmp_path / name).write_text(json.dumps(record))
    assert open_source(str(tmp_path)).notes == ("ignored files: about.txt, train_2.jsonl",)


def test_folders_and_files_of_no_known_kind_are_named(tmp_path):
    with pytest.raises(DataError, match=r"found an empty folder, expected files named \{train,"):
        open_source(str(tmp_path))
    for number in range(8):
        (tmp_path / f"{number}.csv").write_text("x")
    with pytest.raises(DataError, match=r"found 0.csv, 1.csv, .*4.csv and 3 more, expected files"):
        open_source(str(tmp_path))
    (tmp_path / "8.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"and 4 more, expected a single file of JSON Lines"):
        open_source(str(tmp_path))
    with pytest.raises(DataError, match=r"0\.csv: .* expected sample"):
        open_source(str(tmp_path / "0.csv"))


def test_a_lenient_source_has_turns_without_gold(tmp_path):
    (tmp_path / NAMES[0]).write_text("1 hi\tyo\t\tno|nay\n")
    lenient = open_source(str(tmp_path), SourceOptions(lenient=True))
    assert next(lenient.tables[0].turns()).gold == -1
