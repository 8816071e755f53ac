"""`python -m dim_tf.export`: what is written gives the run's logits, without this project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from dim_tf import export
from dim_tf.cli import parser
from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.data.text import TextRules
from dim_tf.errors import ConfigError
from dim_tf.runs.run import Run
from dim_tf.runtime.export import WRITERS, check_export, check_operators
from dim_tf.runtime.scorer import Scorer

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="models are exported by TensorFlow"
)
# Each is a program of its own that reads inputs and writes logits.
PROGRAM = """
import sys
import numpy as np

sys.modules["dim_tf"] = None  # any import of it fails
exported, *names = sys.argv[1:]
{}
for name in names:
    np.save(name + ".npy", logits(dict(np.load(name))))
"""
LOADERS = {
    "savedmodel": """
import tensorflow as tf

model = tf.saved_model.load(exported)


def logits(inputs):
    return model.signatures["serving_default"](**inputs)["logits"].numpy()
""",
    "onnx": """
import onnxruntime

session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
assert "tensorflow" not in sys.modules


def logits(inputs):
    [found] = session.run(["logits"], inputs)
    return found
""",
}


def make_run(path: Path, data: PreparedData, precision: str, model: str) -> Run:
    """A run with random weights, for the words of a prepared folder."""
    run = Run(
        path=path,
        model=model,
        model_config=ModelConfig(
            char_vocab_size=len(data.characters),
            max_utterances=3,
            max_utterance_len=4,
            max_response_len=3,
            max_profiles=2,
            max_profile_len=3,
            max_word_len=5,
            word_dim=data.word_vectors.shape[1],
            rnn_units=3,
            precision=precision,
        ),
        training_config=None,
        text=TextRules(),
        persona="self",
        version="original",
        prepared={"fingerprint": data.fingerprint, "name": "tiny", "licence": "", "word2vec": None},
        words=data.words,
        characters=data.characters,
        word_vectors=data.word_vectors,
    )
    built, rng = run.build_model(), np.random.default_rng(3)
    for variable in built.trainable_variables:
        variable.assign(rng.normal(0, 0.5, variable.shape))
    with run.creating() as unfinished:
        unfinished.save_best(built)
    return Run.open(path)


@pytest.fixture(scope="module")
def data(prepared) -> PreparedData:
    return PreparedData.load(prepared)


@pytest.fixture(scope="module")
def make(data, tmp_path_factory):
    def call(precision, model="dim"):
        return make_run(tmp_path_factory.mktemp("runs") / "run", data, precision, model)

    return call


@pytest.fixture(scope="module")
def run(make) -> Run:
    return make("float32")


def real_turns(run: Run, data: PreparedData) -> dict[str, np.ndarray]:
    """Real turns, and without a persona, without a context, with absent candidates."""
    table = data.table("test", "self", "original")
    inputs, _ = data.inputs(table, range(6), run.model_config)
    for turn, kind in ((1, "personas"), (2, "utterances")):
        inputs[f"{kind}_len"][turn] = inputs[f"{kind}_num"][turn] = 0
    inputs["responses_len"][3, 2:] = 0
    return inputs


def load_elsewhere(form: str, out: Path, batches: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """The logits that a process without this project gets."""
    folder = out.parent
    names = [f"{number}.npz" for number in range(len(batches))]
    for name, inputs in zip(names, batches, strict=True):
        np.savez(folder / name, **inputs)
    subprocess.run(
        [sys.executable, "-c", PROGRAM.format(LOADERS[form]), out, *names],
        cwd=folder,
        check=True,
        timeout=300,
    )
    return [np.load(folder / f"{name}.npy") for name in names]


@on_tensorflow
@pytest.mark.parametrize(
    ("form", "precision", "model"),
    [
        ("savedmodel", "float32", "dim"),
        pytest.param("savedmodel", "float32", "starspace", marks=pytest.mark.slow),
        pytest.param("onnx", "bfloat16", "dim", marks=pytest.mark.slow),
    ],
)
def test_another_process_gets_the_same_logits(form, precision, model, make, data, tmp_path, capsys):
    run, out = make(precision, model), tmp_path / "new" / "exported"
    command = ["--run", str(run.path), "--format", form, "--out", str(out)]
    assert parser.run(export.main, command) == 0
    assert f"{out}: {form}, float32; its logits differ" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["exported"]

    turns = real_turns(run, data)
    few = {name: values[:1] for name, values in turns.items()}
    few |= {name: values[:, :2] for name, values in few.items() if name.startswith("responses")}
    scorer = Scorer(run.load_model("float32"))
    # B and C are free.
    batches = [{name: inputs[name] for name in scorer.names} for inputs in (turns, few)]
    for inputs, found in zip(batches, load_elsewhere(form, out, batches), strict=True):
        expected = scorer(inputs)
        allowed = 1e-5 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)
        assert len(np.unique(expected)) > 1
    if form == "savedmodel":
        assert not any("GPU" in device for device in devices(out))


def devices(out: Path) -> set[str]:
    """Of all operations of a SavedModel: where they are bound to run."""
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    saved = SavedModel.FromString((out / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    nodes = [*graph.node, *(node for each in graph.library.function for node in each.node_def)]
    assert len(nodes) > 100
    return {node.device for node in nodes}


def test_what_exists_is_kept(run, tmp_path, capsys):
    (tmp_path / "exported").write_text("mine")
    command = ["--run", str(run.path), "--format", "onnx", "--out", str(tmp_path / "exported")]
    assert parser.run(export.main, command) == 2
    assert "exists; give another --out" in capsys.readouterr().err
    assert (tmp_path / "exported").read_text() == "mine"


@on_tensorflow
def test_nothing_is_written_that_gives_other_logits(run, tmp_path, monkeypatch, capsys):
    def write(model, path):
        (path / "saved_model.pb").touch()
        scorer = Scorer(model)
        return lambda inputs: scorer(inputs) + 1.0

    _, creating = WRITERS["savedmodel"]
    monkeypatch.setitem(WRITERS, "savedmodel", (write, creating))
    out = tmp_path / "exported"
    command = ["--run", str(run.path), "--format", "savedmodel", "--out", str(out)]
    assert parser.run(export.main, command) == 2
    assert "its logits would differ from those of" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.backend
def test_jax_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ConfigError, match=r"KERAS_BACKEND is jax.*set KERAS_BACKEND=tensorflow"):
        check_export("savedmodel", tmp_path / "exported")


@on_tensorflow
def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ConfigError, match=r"ONNX needs tf2onnx,.*'\.\[export\]'"):
        check_export("onnx", tmp_path / "exported.onnx")
    assert list(tmp_path.iterdir()) == []


def test_operators_that_onnx_lacks_are_named():
    from onnx import helper

    nodes = [
        helper.make_node("Add", ["a", "a"], ["b"]),
        helper.make_node("TensorListReserve", ["b"], ["c"]),
    ]
    known = helper.make_model(helper.make_graph(nodes[:1], "known", [], []))
    check_operators(known)
    unknown = helper.make_model(helper.make_graph(nodes, "unknown", [], []))
    with pytest.raises(ConfigError, match=r"no operator for TensorListReserve.*savedmodel"):
        check_operators(unknown)
