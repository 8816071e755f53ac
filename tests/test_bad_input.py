"""Bad input on the command lines: one clear line, exit status 2, nothing half-written.

Each case is tried as a user would come to it; the tests of the single rooms go into detail.
"""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

import data_prep.__main__ as data_prep
from data_prep.prepare import new_folder
from data_prep.tensors import TableBuilder
from dim_tf import backend, cli, evaluate, predict, run_folder, train
from dim_tf.dataset import PreparedData
from dim_tf.errors import CheckpointError, ConfigError, UsageError
from dim_tf.run_folder import BEST, CONFIG, Run
from tests.tiny_corpus import prepare_tiny
from tests.tiny_run import CHARACTERS, WORDS, tiny_run
from tests.tiny_run import CONFIG as SIZES

ROOT = Path(__file__).parents[1]
LINES = [
    "1 your persona: i ski .",
    "2 hello !\tyes .\t\tno .|yes .",
    "3 why ?\ti ski .\t\ti ski .|so what",
]
NAME = "train_self_original.txt"
VECTORS = "i 1 0\nski 0 1\n. 1 1\n"


@pytest.fixture
def command(capsys):
    """Runs a command in this process; gives its status, standard output and standard error."""

    def call(module, *options: object) -> tuple[int, str, str]:
        capsys.readouterr()
        status = cli.run(module.main, [str(option) for option in options])
        return (status, *capsys.readouterr())

    return call


@pytest.fixture
def refused(command):
    """Runs a command that is to be refused; gives the one line that it says."""

    def call(module, *options: object) -> str:
        status, out, error = command(module, *options)
        assert (status, out) == (2, "")
        assert error.startswith("error: ") and error.count("\n") == 1
        return error.removeprefix("error: ").rstrip("\n")

    return call


@pytest.fixture
def source(tmp_path) -> Path:
    """A folder in the official layout."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / NAME).write_text("\n".join(LINES) + "\n")
    return folder


@pytest.fixture
def vectors(tmp_path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_text(VECTORS)
    return path


@pytest.fixture
def options(vectors, tmp_path) -> tuple:
    """Of `data_prep`, beside the source; the prepared folder is to stand alone in `made`."""
    (tmp_path / "made").mkdir()
    return ("--vectors", vectors, "--word2vec", "none", "--out", tmp_path / "made/out")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    return prepare_tiny(tmp_path_factory.mktemp("prepared") / "tiny")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    run = tiny_run(tmp_path_factory.mktemp("runs") / "run")
    with run.creating() as unfinished:
        unfinished.save_best(run.build_model())
    return run.path


@pytest.fixture
def run(whole_run, tmp_path) -> Path:
    """A run that a test may spoil."""
    return Path(shutil.copytree(whole_run, tmp_path / "run"))


@pytest.fixture
def replies(tmp_path) -> Path:
    path = tmp_path / "replies.txt"
    path.write_text("tea\ndogs\n")
    return path


def spoiled(line: int, old: str, new: str) -> bytes:
    """The official file with a change in one line."""
    changed = list(LINES)
    changed[line - 1] = changed[line - 1].replace(old, new)
    assert changed != LINES
    return ("\n".join(changed) + "\n").encode("utf-8", "surrogateescape")


# === Sources ===

LINE_CASES = {
    "no number": (spoiled(2, "2 ", ""), ":2: found 'hello', expected a line number and a space"),
    "numbers out of order": (spoiled(3, "3 ", "5 "), ":3: found line number '5', expected 3 or"),
    "two fields": (spoiled(2, "\t\tno .|yes .", ""), ":2: found 2 fields, expected 4"),
    "three fields": (spoiled(2, "\t\tno", "\tno"), ":2: found 3 fields, expected 4"),
    "reply not among its candidates": (
        spoiled(2, "|yes .", "|maybe"),
        ":2: the reply 'yes .' is not among its 2 candidates, expected it there",
    ),
    "no candidates": (spoiled(2, "no .|yes .", ""), ":2: found no candidates, expected CANDIDATE|"),
    "an empty candidate": (spoiled(3, "|", "||"), ":3: candidate 2 of 3 is empty"),
    "invalid UTF-8": (spoiled(2, "hello", "caf\udce9"), ":2: found byte 0xe9 at position 6"),
    "an empty file": (b"", ": the file is empty, expected dialogues"),
    "cut off": (spoiled(3, LINES[2], "1 your persona: x"), ":3: the last dialogue has no turn"),
}


@pytest.mark.parametrize("case", LINE_CASES)
def test_a_bad_file_is_named_with_its_line(case, source, options, refused):
    content, message = LINE_CASES[case]
    (source / NAME).write_bytes(content)
    assert refused(data_prep, "--source", source, *options).startswith(f"{source / NAME}{message}")
    assert list(options[-1].parent.iterdir()) == []


def tar(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            content = "\n".join(LINES).encode() + b"\n"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def cut(path: Path) -> Path:
    return file(path, path.read_bytes()[: path.stat().st_size // 2])


def folder(path: Path) -> Path:
    path.mkdir()
    return path


SOURCES = {
    "missing": (lambda t: t / "nothing", "found no source '{0}', expected sample, download, a f"),
    "no name": (lambda t: "", "found no source '', expected sample, download"),
    "nearly the sample": (lambda t: "smaple", "did you mean sample?"),
    "an empty folder": (lambda t: folder(t / "f"), "{0}: found an empty folder, expected files n"),
    "an empty archive": (lambda t: file(t / "a.tgz", b""), "{0}: the file is empty, expected an"),
    "empty JSON Lines": (lambda t: file(t / "a.jsonl", b""), "{0}: the file is empty, expected"),
    "no archive": (
        lambda t: file(t / "a.tgz", b"just text"),
        "{0}: not a readable archive; it is damaged, truncated or something else "
        "(file could not be opened successfully)",
    ),
    "truncated": (lambda t: cut(tar(t / "a.tgz", NAME)), "{0}: not a readable archive; it is dam"),
    "up and out": (
        lambda t: tar(t / "a.tgz", "../evil"),
        "member '../evil' would leave the f",
    ),
    "absolute": (lambda t: tar(t / "a.tgz", "/evil"), "member '/evil' would leave the folder"),
    "of no known kind": (lambda t: file(t / "a.txt", b"x"), "{0}: not a source, by its name"),
}


@pytest.mark.parametrize("case", SOURCES)
def test_a_bad_source_is_named(case, options, refused, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    make, message = SOURCES[case]
    path = make(tmp_path)
    assert message.format(path) in refused(data_prep, "--source", path, *options)
    assert list(options[-1].parent.iterdir()) == list((tmp_path / "temporary").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


def test_byte_order_mark_and_crlf_are_accepted(source, options, command):
    assert command(data_prep, "--source", source, *options)[0] == 0
    plain = PreparedData.load(options[-1]).fingerprint
    (source / NAME).write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*LINES, ""]).encode())
    assert command(data_prep, "--source", source, *options, "--overwrite")[0] == 0
    assert PreparedData.load(options[-1]).fingerprint == plain


def test_a_reply_that_is_there_twice_is_masked_out_and_counted(source, options, command):
    (source / NAME).write_bytes(spoiled(2, "|yes .", "|yes .|yes ."))
    assert command(data_prep, "--source", source, *options)[0] == 0
    report = json.loads((options[-1] / "report.json").read_text())["tables"]["train_self_original"]
    assert (report["gold_once"], report["gold_twice"]) == (1, 1)
    data = PreparedData.load(options[-1])
    table = data.table("train", "self", "original")
    assert sorted(data.texts(table, 0)["candidates"]) == ["", "no .", "yes ."]
    assert data.manifest["counts"]["tables"][table.name]["copies_of_gold"] == 1


def test_a_wrong_sum_is_shown_and_the_file_removed(options, refused, tmp_path):
    archive = tar(tmp_path / "a.tgz", NAME)
    said = refused(
        *(data_prep, "--source", "download", "--url", archive.as_uri(), "--sha256", "0" * 64),
        *("--cache", tmp_path / "cache", *options),
    )
    assert f"expected {'0' * 64}; the file from {archive.as_uri()} was removed" in said
    assert list((tmp_path / "cache").iterdir()) == list(options[-1].parent.iterdir()) == []


# === Word vectors ===

VECTOR_FILES = {
    "another dimension": (b"i 1 0\nski 1\n", "{0}:2: found 1 numbers, expected 2"),
    "no number": (b"i 1 0\nski 1 x\n", "{0}:2: found 'x', expected a finite number"),
    "not a finite number": (b"i 1 0\nski 1 nan\n", "{0}:2: found 'nan', expected a finite number"),
    "binary": (bytes(range(256)), "{0}:1: found binary data, expected lines of a word and its"),
    "word2vec's binary": (b"1 2\ni \0\0\x80?\0\0\0\0\n", "{0}:2: found binary data, expected"),
    "empty": (b"", "{0}: found no vector, expected lines of a word and its numbers"),
    "missing": (None, "--vectors: found no file {0}, expected a file of vectors"),
    "a folder": ("folder", "--vectors: found the folder {0}, expected a file of vectors"),
}


@pytest.mark.parametrize("case", VECTOR_FILES)
def test_bad_vectors_are_named(case, source, options, vectors, refused):
    content, message = VECTOR_FILES[case]
    vectors.unlink()
    if content == "folder":
        vectors.mkdir()
    elif content is not None:
        vectors.write_bytes(content)
    said = refused(data_prep, "--source", source, *options)
    assert said.startswith(message.format(vectors))
    assert list(options[-1].parent.iterdir()) == []


# === Flags and settings ===

FLAGS = {
    "flag of data_prep": (
        (data_prep, "--source", "sample", "--vectrs", "x"),
        "unknown option --vectrs; did you mean --vectors?",
    ),
    "value of data_prep": (
        (data_prep, "--source", "sample", "--tokeniser", "author"),
        "--tokeniser: found 'author', expected authors or wordpunct; did you mean authors?",
    ),
    "number of data_prep": (
        (data_prep, "--source", "sample", "--seed", "9" * 5000),
        f"argument --seed: found {'9' * 40}, expected a whole number of at least 0 and at most 2,",
    ),
    "flag of train": (
        (train, "--prepared", "P", "--run", "R", "--presona", "self"),
        "unknown option --presona; did you mean --persona?",
    ),
    "value of train": (
        (train, "--prepared", "P", "--run", "R", "--persona", "selv"),
        "--persona: found 'selv', expected none, self, their or both; did you mean self?",
    ),
    "number of train": (
        (train, "--prepared", "P", "--run", "R", "--batch-size", "many"),
        "argument --batch-size: found many, expected a whole number of at least 1",
    ),
    "setting of train": (
        (train, "--prepared", "P", "--run", "R", "--set", "rnn_unit=3"),
        "--set: unknown setting 'rnn_unit'; did you mean rnn_units?",
    ),
    "value of evaluate": (
        (evaluate, "--prepared", "P", "--run", "R", "--split", "tset"),
        "--split: found 'tset', expected train, valid or test; did you mean test?",
    ),
    "file of evaluate": (
        (evaluate, "--prepared", "P", "--run", "R", "--out", "/"),
        "--out: / is a folder, expected the name of a file",
    ),
    "folder of evaluate": (
        (evaluate, "--prepared", "P", "--run", "R", "--out", "/none/scores.txt"),
        "--out: there is no folder /none",
    ),
    "flag of predict": (
        (predict, "--run", "R", "--candidate", "x"),
        "unknown option --candidate; did you mean --candidates?",
    ),
    "file of predict": ((predict, "--run", "R", "--candidates", ""), "'': the file is missing"),
}


@pytest.mark.parametrize("case", FLAGS)
def test_a_bad_option_is_named_with_the_nearest_right_one(case, refused):
    command, message = FLAGS[case]
    assert refused(*command).startswith(message)


def test_a_huge_size_is_refused_before_anything_is_computed(prepared, refused, tmp_path):
    (tmp_path / "runs").mkdir()
    options = ("--prepared", prepared, "--run", tmp_path / "runs/run", "--persona", "both")
    said = refused(train, *options, "--rnn-units", 10**12)
    assert said == "rnn_units: found 1000000000000, expected at most 10,000,000"
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(("module", "flag"), [(data_prep, "--out"), (train, "--run")])
def test_a_place_below_a_file_is_refused(module, flag, source, prepared, vectors, refused):
    given = {data_prep: ("--source", source), train: ("--prepared", prepared)}[module]
    said = refused(module, *given, flag, vectors / "deep/out")
    assert said == f"{vectors}/deep/out cannot be made: {vectors} is a file, expected a folder"


def test_debug_shows_where_it_happened(command):
    plain = command(data_prep, "--source", "nothing", "--out", "out")
    status, out, error = command(data_prep, "--source", "nothing", "--out", "out", "--debug")
    assert (status, out) == (2, "")
    assert error.startswith("Traceback (most recent call last):\n")
    assert "in open_source" in error and error.endswith(plain[2])


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def mistaken(argv):
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        cli.run(mistaken, [])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "out of memory; ask for less"),
        (type("ResourceExhaustedError", (Exception,), {})("OOM\nmore"), "out of memory (OOM); ask"),
        (RuntimeError("RESOURCE_EXHAUSTED: 9 GB"), "out of memory (RESOURCE_EXHAUSTED: 9 GB); ask"),
    ],
)
def test_no_room_in_memory_is_one_line(error, said, capsys):
    def hungry(argv):
        raise error

    assert cli.run(hungry, []) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


# === Prepared folders ===

FOLDERS = {
    "manifest.json": (b"[" * 100_000, "manifest.json: not JSON that can be read: maximum recurs"),
    "words.txt": (b"<pad>\n<unk>\nhi\n", 'vectors.npz: field "word_vectors": found float32 ['),
    "chars.txt": (b"", "chars.txt: found 0 characters, [] first; expected "),
    "vectors.npz": ("half", "vectors.npz: not a readable .npz file"),
    "sentences.npz": ("half", "sentences.npz: not a readable .npz file"),
    "forms.txt": (None, "forms.txt: the file is missing"),
    "turns/train_both_original.npz": ("half", "train_both_original.npz: not a readable .npz file"),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_damaged_prepared_folder_is_named(name, prepared, refused, tmp_path):
    content, message = FOLDERS[name]
    damaged = Path(shutil.copytree(prepared, tmp_path / "damaged"))
    if content == "half":
        cut(damaged / name)
    elif content is None:
        (damaged / name).unlink()
    else:
        (damaged / name).write_bytes(content)
    given = ("--prepared", damaged, "--run", tmp_path / "run", "--persona", "both")
    said = refused(train, *given)
    assert said.startswith(str(damaged)) and message in said
    assert not list(tmp_path.glob("run*"))


def test_what_is_no_prepared_folder_says_how_to_make_one(source, refused, tmp_path):
    for path in (source, source / NAME, tmp_path / "nothing"):
        said = refused(train, "--prepared", path, "--run", tmp_path / "run")
        found = "not a prepared folder (no manifest.json in it)"
        assert said == f"{path}: {found}; make one with python -m data_prep"


# === Run folders ===


def test_run_and_prepared_folder_that_do_not_belong_together(run, prepared, refused):
    before = sorted(run.iterdir())
    said = refused(evaluate, "--run", run, "--prepared", prepared)
    assert said.startswith(f"{prepared} and {run} do not belong together: the run was trained on")
    assert sorted(run.iterdir()) == before


def changed(**changes):
    def change(run: Path) -> None:
        config = json.loads((run / CONFIG).read_text())
        config["model_config"].update(changes.pop("model_config", {}))
        (run / CONFIG).write_text(json.dumps({**config, **changes}))

    return change


def with_vectors(array: np.ndarray):
    return lambda run: np.savez(run / "vectors.npz", word_vectors=array)


RUNS = {
    "no config": (lambda run: (run / CONFIG).unlink(), "found no run folder (config.json is miss"),
    "config cut": (lambda run: cut(run / CONFIG), "a damaged run folder ("),
    "config deep": (lambda run: (run / CONFIG).write_text("[" * 10**5), "a damaged run folder ("),
    "unknown key": (
        changed(model_config={"rnn_unit": 3}),
        "unknown setting 'rnn_unit' in ModelConfig; did you mean rnn_units?",
    ),
    "persona": (changed(persona="x"), "persona: found 'x', expected none, self, their, both"),
    "model": (changed(model=[]), "model: found [], expected a text"),
    "prepared": (changed(prepared={"fingerprint": 3}), "fingerprint: found 3, expected a text"),
    "words cut": (
        lambda run: cut(run / "words.txt"),
        f"expected ({len(WORDS) // 2}, {SIZES.word_dim}) float32",
    ),
    "characters": (
        lambda run: cut(run / "chars.txt"),
        f"chars.txt: found {len(CHARACTERS) // 2} lines, expected {len(CHARACTERS)}",
    ),
    "words a folder": (
        lambda run: ((run / "words.txt").unlink(), (run / "words.txt").mkdir()),
        "words.txt",
    ),
    "vectors of another size": (
        with_vectors(np.zeros((len(WORDS), 9), np.float32)),
        f"found ({len(WORDS)}, 9) float32, expected ({len(WORDS)}, {SIZES.word_dim}) float32",
    ),
    "vectors of text": (
        with_vectors(np.full((len(WORDS), 5), "a")),
        f"vectors.npz: found ({len(WORDS)}, 5) <U1",
    ),
    "no weights": (lambda run: (run / BEST).unlink(), f"{BEST}: the weights file is missing"),
}


@pytest.mark.parametrize("case", RUNS)
def test_a_damaged_run_is_named(case, run, replies, refused):
    spoil, message = RUNS[case]
    spoil(run)
    said = refused(predict, "--run", run, "--candidates", replies)
    assert said.startswith(str(run)) and message in said


@pytest.fixture
def one_model(monkeypatch):
    """Weights can be loaded again and again without a model being built each time."""
    model = tiny_run(Path("tiny")).build_model()
    monkeypatch.setattr(Run, "build_model", lambda self: model)


def test_corrupt_weights_are_never_taken_for_good_ones(one_model, run):
    """HDF5 has no sums, and Keras only warns of layers that it does not find in the file."""
    opened, good = Run.open(run), (run / BEST).read_bytes()
    expected = [np.asarray(weight.value) for weight in opened.load_model().trainable_weights]
    rng, refusals = np.random.default_rng(0), 0
    for start in [0, 50, *rng.integers(0, len(good), 30)]:
        damage = bytes(byte ^ 255 for byte in good[start : start + 200])
        (run / BEST).write_bytes(good[:start] + damage + good[start + 200 :])
        try:
            model = opened.load_model()
        except CheckpointError as error:
            assert str(error).startswith(f"{run / BEST}: damaged")
            refusals += 1
        else:  # what was hit means nothing
            for weight, value in zip(model.trainable_weights, expected, strict=True):
                np.testing.assert_array_equal(np.asarray(weight.value), value)
    assert refusals > 20


def test_weights_without_a_sum_are_taken_as_they_are(one_model, run):
    opened = Run.open(run)
    model = opened.load_model()
    model.save_weights(run / BEST)
    assert opened.load_model() is model


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", "[]", "results.json: found no results by table; remove the file"),
        ("metrics.jsonl", "3\n", "metrics.jsonl:1: found 3, expected an object"),
        ("metrics.jsonl", "{}\n", "metrics.jsonl:1: found {}, expected an object"),
    ],
)
def test_damaged_results_are_named(run, name, content, message):
    (run / name).write_text(content)
    read = {"results.json": Run.results, "metrics.jsonl": Run.metrics}[name]
    with pytest.raises(run_folder.DataError) as error:
        read(Run.open(run))
    assert message in str(error.value)


# === Rankings ===


def test_the_input_is_not_overwritten_by_the_output(refused, tmp_path):
    turns = tmp_path / "turns.jsonl"
    turns.write_text("{}\n")
    said = refused(predict, "--run", "R", "--input", turns, "--output", turns)
    assert said == f"--output: {turns} is the --input file; give another name"
    assert turns.read_text() == "{}\n"


# === Interruptions and full disks ===


def test_ctrl_c_leaves_nothing(source, options, command, monkeypatch):
    def interrupted(self, table):
        assert [path.name[:9] for path in options[-1].parent.iterdir()] == [".dim_out-"]
        raise KeyboardInterrupt

    monkeypatch.setattr(TableBuilder, "build", interrupted)
    status, out, error = command(data_prep, "--source", source, *options)
    assert (status, out, error) == (130, "", "stopped by Ctrl-C\n")
    assert list(options[-1].parent.iterdir()) == []


def test_a_full_disk_names_the_file_and_leaves_nothing(source, options, refused, monkeypatch):
    def full(handle, **arrays):
        handle.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, "savez", full)
    said = refused(data_prep, "--source", source, *options)
    assert said.endswith("vectors.npz: No space left on device")
    assert list(options[-1].parent.iterdir()) == []


def test_a_replaced_folder_comes_back_when_the_new_one_cannot_take_its_place(tmp_path):
    out = folder(tmp_path / "out")
    (out / "old").write_text("kept")
    with pytest.raises(UsageError), new_folder(out):
        raise UsageError("too late")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


# === Backends ===


@pytest.mark.parametrize("name", ["torch", "numpy", "tensorflw"])
def test_another_backend_is_refused(name, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(ConfigError, match=f"found '{name}', expected tensorflow or jax"):
        backend.load()


def python(code: str, *options: object, **environment: str) -> subprocess.CompletedProcess:
    inherited = {name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *code.split(" ", 1), *map(str, options)],
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_backend_that_is_not_installed_is_one_line(whole_run, replies):
    code = "import sys; sys.modules['jax'] = None; from dim_tf import cli, predict; "
    code += "sys.exit(cli.run(predict.main))"
    given = ("--run", whole_run, "--candidates", replies)
    done = python(f"-c {code}", *given, KERAS_BACKEND="jax")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: Keras cannot start on jax (")
    assert done.stderr.endswith("; install it, or set KERAS_BACKEND to tensorflow or jax\n")


def test_no_notice_of_tensorflow_stands_before_the_one_line(run, replies):
    cut(run / BEST)
    given = ("--run", run, "--candidates", replies)
    done = python("-m dim_tf.predict", *given, KERAS_BACKEND="tensorflow")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {run / BEST}: damaged, or of another model than")
    assert done.stderr.count("\n") == 1
