"""The command that draws what a reply looked at."""

import shutil

import pytest
from matplotlib.image import imread

from dim_tf import attention
from dim_tf.cli import parser
from dim_tf.data.dataset import PreparedData
from dim_tf.io import atomic
from dim_tf.runs import pretrained
from dim_tf.training import start
from tests.tiny_run import saved

SIZES = {"rnn_units": 3, "max_utterances": 3, "max_utterance_len": 6, "max_response_len": 5}


@pytest.fixture(scope="module")
def dim_run(prepared, tmp_path_factory):
    """DIM with its initial weights."""
    path = tmp_path_factory.mktemp("runs") / "dim"
    data = PreparedData.load(prepared)
    return saved(start.new_run(path, data, {**SIZES, "max_profile_len": 6})).path


@pytest.fixture
def run(dim_run, tmp_path):
    return shutil.copytree(dim_run, tmp_path / "dim")


def call(run, *options):
    attention.main([str(option) for option in ("--run", run, *options)])


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_prepared_turn(run, prepared, capsys):
    call(run, "--prepared", prepared, "--turn", 3)
    name = "test_self_original_turn_3"
    assert files_of(run / "attention") == [f"{name}.html", f"{name}.png"]
    assert capsys.readouterr().out.splitlines() == [
        str(run / f"attention/{name}.png"),
        str(run / f"attention/{name}.html"),
    ]
    assert min(imread(run / f"attention/{name}.png").shape[:2]) > 100
    page = (run / f"attention/{name}.html").read_text()
    data = PreparedData.load(prepared)
    texts = data.texts(data.table("test", "self", "original"), 3)
    assert f"<dd>{texts['candidates'][texts['target']]} (the right reply)</dd>" in page
    assert "<h2>reply to context</h2>" in page and "<h2>reply to persona</h2>" in page


def test_another_candidate_split_and_folder(run, prepared, tmp_path):
    options = ("--prepared", prepared, "--split", "valid", "--turn", 0, "--out", tmp_path / "out")
    data = PreparedData.load(prepared)
    texts = data.texts(data.table("valid", "self", "original"), 0)
    wrong = (texts["target"] + 1) % 6
    call(run, *options, "--candidate", wrong)
    name = f"valid_self_original_turn_0_candidate_{wrong}"
    assert files_of(tmp_path / "out") == [f"{name}.html", f"{name}.png"]
    shown = f"<dd>{texts['candidates'][wrong]} (a wrong reply, candidate {wrong})</dd>"
    assert shown in (tmp_path / "out" / f"{name}.html").read_text()
    assert not (run / "attention").exists()


def test_texts(run, tmp_path, capsys):
    replies = tmp_path / "replies.txt"
    replies.write_text("i like tea a lot\nrain\ni like cats <3\n")
    texts = ("--context", "Hi!", "what do you like ?", "--persona", "i love cats.", "i ski")
    call(run, *texts, "--candidates", replies, "--candidate", 2)
    (page,) = (path.read_text() for path in (run / "attention").glob("text_*.html"))
    assert "<dd>i like cats &lt;3</dd>" in page
    assert "of 3</dd>" in page
    # The first utterance is split at spaces only; but the vocabulary lacks "hi!".
    for word in ("hi", "!", "_eos_", "?", "love", "ski"):
        assert f'<th scope="col"><span>{word}</span></th>' in page
    assert '<th scope="row">&lt;</th>' in page
    call(run, "--persona", "i ski", "--response", "tea 茶茶\x1b")
    assert len(files_of(run / "attention")) == 4
    pages = [path.read_text() for path in (run / "attention").glob("text_*.html")]
    assert ["reply to context" in each for each in pages].count(True) == 1
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert r"lacks 茶" in warning


def test_a_pretrained_model_is_not_written_into(run, prepared, tmp_path, monkeypatch):
    artefacts = tmp_path / "artefacts"
    shutil.copytree(run, artefacts / "small")
    monkeypatch.setattr(pretrained, "ARTEFACTS", artefacts)
    monkeypatch.chdir(tmp_path)
    call("small", "--prepared", prepared, "--turn", 3)
    assert len(files_of(tmp_path / "attention")) == 2
    assert not (artefacts / "small/attention").exists()


@pytest.mark.filterwarnings("error")
def test_profiles_that_are_left_out_are_reported_once(run, capsys):
    call(run, "--persona", *["i ski"] * 6, "--response", "tea")
    warned = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    assert len(warned) == 1 and "6" in warned[0]


def test_what_is_refused(run, run_copy, prepared, capsys):
    turn = ("--prepared", prepared, "--turn", 0)
    for folder, options, message in (
        (run, (), "give --prepared DIR and --turn I, or --context"),
        (run, ("--turn", 1), "give --prepared DIR and --turn I"),
        (run, (*turn, "--response", "x"), "--response and --prepared or --turn exclude each other"),
        (run, ("--context", "hi"), "give one of --response TEXT and --candidates FILE"),
        (run, ("--prepared", prepared, "--turn", 14), "--turn: found 14, expected 0 to 13 (test_"),
        (run, (*turn, "--candidate", 6), "--candidate: found 6, expected one of 0, 1, 2, 3, 4, 5"),
        (run, ("--turn", "-1"), "expected a whole number of at least 0"),
        (run, ("--response", "x", "--candidate", 1), "--candidate: found 1, expected 0 to 0"),
        (run, ("--response", " "), "found an empty text, expected words"),
        (run, ("--response", "tea"), "nothing to show: the model 'dim'"),
        (run_copy, turn, "nothing to show: the model 'tiny'"),
        (run, (*turn, "--out", run / "config.json"), "cannot be made"),
    ):
        given = [str(option) for option in ("--run", folder, *options)]
        assert parser.run(attention.main, given) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ") and said.count("\n") == 1
        assert message in said
        assert not (folder / "attention").exists()


def test_a_turn_of_other_data_that_was_prepared_like_the_run(run, prepared, tmp_path):
    config = atomic.read_json(run / "config.json")
    config["prepared"]["text_fingerprint"] = "0" * 64
    atomic.write_json(run / "config.json", config)
    call(run, "--prepared", prepared, "--turn", 3, "--out", tmp_path / "other")
    assert files_of(tmp_path / "other")[0] == "test_self_original_turn_3.html"
