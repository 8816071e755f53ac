import matplotlib.figure
import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dim_tf.config import ModelConfig
from dim_tf.data.dataset import PreparedData
from dim_tf.evaluation.evaluator import Result
from dim_tf.systems.registry import build_model
from dim_tf.training import tensorboard


def test_curves_and_rankings_of_a_run(trained):
    events = EventAccumulator(str(trained / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    tags = set(events.Tags()["tensors"])
    curves = {"train/loss", "train/accuracy", "train/learning_rate", "train/turns_per_s"}
    curves |= {f"valid/{name}" for name in ("loss", "hits@1", "hits@2", "hits@5", "hits@10", "MRR")}
    assert curves | {f"ranking/{number}" for number in range(4)} <= tags
    assert [event.step for event in events.Tensors("train/loss")] == [10, 20, 30, 40]
    text = events.Tensors("ranking/0")[-1].tensor_proto.string_val[0].decode()
    assert "> what do you like ?" in text
    assert text.count("**") == 2


def test_attention_of_a_model_that_has_some(prepared, tmp_path):
    data = PreparedData.load(prepared)
    small = {"max_utterances": 2, "max_utterance_len": 6, "max_response_len": 5}
    config = ModelConfig(**{**data.sizes, **small, "max_word_len": 6, "rnn_units": 3})
    board = tensorboard.TensorBoardLogger(tmp_path, build_model("dim", config, data.word_vectors))
    table, logits = data.table("test", "self", "original"), np.zeros((1, 6), "float32")
    result = Result(np.array([1]), logits, table.target[[1]], np.ones((1, 6), bool))
    board.validation({"kind": "valid", "update": 7, "MRR": 0.5}, config, data, table, result)
    board.close()
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    events.Reload()
    tags = {"valid/MRR", "ranking/0", "attention/context", "attention/persona"}
    assert set(events.Tags()["tensors"]) == tags
    (event,) = events.Tensors("attention/context")
    assert event.step == 7
    assert event.tensor_proto.string_val[2].startswith(b"\x89PNG")


def test_ranking_text_shows_persona_context_and_replies_best_first(prepared):
    data = PreparedData.load(prepared)
    table = data.table("test", "self", "original")
    texts = data.texts(table, 1)
    logits = np.arange(6, dtype="float32")[None]
    target = np.array([texts["target"]])
    result = Result(np.array([1]), logits, target, np.ones((1, 6), bool))
    lines = tensorboard.ranking_text(data, table, result, 0).splitlines()
    assert lines[:2] == [f"    {profile}" for profile in texts["persona"]]
    assert [line[2:] for line in lines if line.startswith("> ")] == texts["context"]
    best = texts["candidates"][5]
    assert lines[-6] in (f"1. 0.634 {best}", f"1. 0.634 **{best}**")
    assert lines[-1 - texts["target"]].endswith(f"**{texts['candidates'][texts['target']]}**")


def test_pixels_of_a_figure():
    pixels = tensorboard._pixels(matplotlib.figure.Figure(figsize=(2, 1), dpi=50))
    assert pixels.shape == (50, 100, 4)
    assert pixels.dtype == np.uint8
    assert (pixels == 255).all()
