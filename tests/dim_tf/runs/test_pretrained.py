"""Models that come with the repository, found by name."""

from __future__ import annotations

import shutil

import pytest

from dim_tf import calibrate, evaluate
from dim_tf.errors import CheckpointError, UsageError
from dim_tf.ranking.ranker import Ranker
from dim_tf.runs import pretrained
from dim_tf.runs.run import BEST
from dim_tf.ship import LICENCES

LARGEST = 24_000_000


@pytest.fixture
def artefacts(tmp_path, monkeypatch):
    """Two pretrained models, and a text next to them."""
    folder = tmp_path / "artefacts"
    for name in ("small", "large"):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").touch()
    (folder / LICENCES).touch()
    monkeypatch.setattr(pretrained, "ARTEFACTS", folder)
    monkeypatch.chdir(tmp_path)
    return folder


def test_a_name_is_a_pretrained_model(artefacts):
    assert pretrained.names() == ["large", "small"]
    assert pretrained.find("small") == artefacts / "small"


def test_a_run_folder_or_a_path_wins(artefacts, tmp_path):
    (tmp_path / "small").mkdir()
    assert pretrained.find("small") == artefacts / "small"
    assert pretrained.find("./small").resolve() == tmp_path / "small"
    (tmp_path / "small/config.json").touch()
    assert pretrained.find("small").resolve() == tmp_path / "small"
    assert pretrained.find(artefacts / "large") == artefacts / "large"
    assert pretrained.find(tmp_path / "smal") == tmp_path / "smal"


@pytest.mark.parametrize("name", ["smal", LICENCES, "config.json"])
def test_an_unknown_name(artefacts, name):
    with pytest.raises(CheckpointError, match="one of large, small") as raised:
        pretrained.find(name)
    assert ("did you mean small?" in str(raised.value)) == (name == "smal")


@pytest.mark.parametrize("command", [evaluate, calibrate])
def test_results_are_not_written_into_a_pretrained_model(command, artefacts, trained, prepared):
    shutil.rmtree(artefacts / "small")
    shutil.copytree(trained, artefacts / "small")
    with pytest.raises(UsageError, match=rf"copy it \(cp -r {artefacts}/small"):
        command.main(["--run", "small", "--prepared", str(prepared)])
    assert pretrained.find_writable(artefacts / "small") == artefacts / "small"
    with pytest.raises(CheckpointError, match="did you mean small"):
        pretrained.find_writable("smal")


@pytest.mark.parametrize("name", pretrained.names())
def test_the_models_of_the_repository(name):
    folder = pretrained.find(name)
    sizes = {path.name: path.stat().st_size for path in folder.rglob("*")}
    assert sum(sizes.values()) <= LARGEST
    assert {"MODEL_CARD.md", LICENCES, BEST} <= sizes.keys()
    ranking = Ranker.load(name).rank(
        ["i went to the beach with my family . do you like the beach ?"],
        ["i am afraid of water.", "i love skiing."],
        ["the weather is nice today .", "not really , i am scared of the water ."],
    )
    assert [row["index"] for row in ranking] == [1, 0]
    assert ranking[0]["fits"] and ranking[0]["probability"] > 0.99
