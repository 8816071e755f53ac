"""Models as a SavedModel of TensorFlow or a file of ONNX, which run without this project."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.config import ModelConfig
from dim_tf.errors import CheckpointError, ConfigError, UsageError
from dim_tf.io import atomic
from dim_tf.runtime import backend

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, np.ndarray]
# Largest difference of a logit, relative to the largest logit (or to 1).
TOLERANCE = 1e-5
SIGNATURE = "serving_default"


def check_export(format_name: str, out: str | os.PathLike) -> None:
    """Checks that a model can be exported to `out`, before it is loaded.

    Raises:
        UsageError: `out` exists or cannot be made.
        ConfigError: The backend is not TensorFlow, or a package is missing.
    """
    if Path(out).exists():
        raise UsageError(f"{out} exists; give another --out")
    atomic.check_place(out)
    backend.load()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            f"KERAS_BACKEND is {keras.backend.backend()}, but models are exported by TensorFlow; "
            "install it and set KERAS_BACKEND=tensorflow (a run trained on JAX can be exported so)"
        )
    for package in ("tf2onnx", "onnx", "onnxruntime") if format_name == "onnx" else ():
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ConfigError(
                f"ONNX needs {package}, which cannot be imported ({error}); install it with "
                "python -m pip install --editable '.[export]'"
            ) from None


def export(
    model: keras.Model, config: ModelConfig, words: int, format_name: str, out: str | os.PathLike
) -> float:
    """Writes a float32 model with a vocabulary of `words` words, after `check_export`.

    Returns:
        float. The largest difference between its logits and the model's on a few random turns.

    Raises:
        ConfigError: ONNX has no operator for a part of the model.
        CheckpointError: The exported model gives other logits; nothing is written.
    """
    from dim_tf.runtime.scorer import Scorer

    write, creating = WRITERS[format_name]
    scorer, inputs = Scorer(model), sample_inputs(config, words)
    expected = scorer(inputs)
    inputs = {name: inputs[name] for name in scorer.names}
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    with creating(out) as temporary:
        found = write(model, temporary)(inputs)
        difference = float(np.max(np.abs(found - expected)))
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if not difference <= allowed:
            raise CheckpointError(
                f"{out}: not written: its logits would differ from those of the run by "
                f"{difference:.1e}, expected {allowed:.1e} at most"
            )
    return difference


def sample_inputs(config: ModelConfig, words: int) -> dict[str, np.ndarray]:
    """Three turns: a full one, a random one, and an empty one with a single candidate."""
    rng = np.random.default_rng(1)
    turns, inputs = 3, {}
    for kind, count, length in (
        ("utterances", config.max_utterances, config.max_utterance_len),
        ("responses", 4, config.max_response_len),
        ("personas", config.max_profiles, config.max_profile_len),
    ):
        shape = (turns, count, length)
        lengths = rng.integers(1, length + 1, (turns, count))
        lengths[0], lengths[2] = length, 0
        if kind == "responses":
            lengths[2, 0] = 1
        else:
            inputs[f"{kind}_num"] = (lengths > 0).sum(axis=1)
        characters = (*shape, config.max_word_len)
        inputs[kind] = rng.integers(0, words, shape)
        inputs[f"{kind}_char"] = rng.integers(0, config.char_vocab_size, characters)
        inputs[f"{kind}_len"] = lengths
    return {name: values.astype(np.int32) for name, values in inputs.items()}


def _traced(model: keras.Model) -> tuple[Any, dict[str, Any]]:
    """The model as a TensorFlow function from its inputs to {"logits": ...}."""
    import keras
    import tensorflow as tf

    from dim_tf.models.base import MatchingModel
    from dim_tf.packing.in_graph import pack_in_graph

    signature = {
        tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name)
        for tensor in keras.tree.flatten(model.inputs)
    }

    def forward(inputs: dict[str, Any]) -> dict[str, Any]:
        if isinstance(model, MatchingModel):
            logits = model.forward(pack_in_graph(inputs, model.sources))
        else:
            logits = model(inputs, training=False)
        return {"logits": logits}

    function = tf.function(forward, input_signature=[signature])
    with _no_own_gradients():
        function.get_concrete_function()
    return function, signature


@contextlib.contextmanager
def _no_own_gradients() -> Iterator[None]:
    """Traces without hand-written gradients.

    A SavedModel would either contain them, or warn each time it is loaded that they are missing.
    """
    from keras import ops

    previous = ops.custom_gradient
    ops.custom_gradient = lambda function: lambda *arguments: function(*arguments)[0]
    try:
        yield
    finally:
        ops.custom_gradient = previous


def write_savedmodel(model: keras.Model, path: Path) -> Callable[[Arrays], np.ndarray]:
    """Writes the folder; returns the exported model as a function from inputs to logits."""
    import tensorflow as tf

    module = tf.Module()
    function, _ = _traced(model)
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, os.fspath(path), signatures=function.get_concrete_function())
    loaded = tf.saved_model.load(os.fspath(path))
    return lambda inputs: loaded.signatures[SIGNATURE](**inputs)["logits"].numpy()


def write_onnx(model: keras.Model, path: Path) -> Callable[[Arrays], np.ndarray]:
    """As `write_savedmodel`, for a file of ONNX."""
    import onnx
    import onnxruntime
    import tf2onnx

    # Its log names every operator that it keeps; `check_operators` finds the unknown ones.
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)
    function, signature = _traced(model)
    proto, _ = tf2onnx.convert.from_function(function, input_signature=[signature])
    check_operators(proto)
    for value in (*proto.graph.input, *proto.graph.output):
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = ("turns", "candidates")[axis]
    onnx.save(proto, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return lambda inputs: session.run(["logits"], inputs)[0]


def check_operators(proto: Any) -> None:
    """Raises `ConfigError` if a converted model has operators that ONNX lacks."""
    import onnx

    operators = {(node.op_type, node.domain) for node in proto.graph.node}
    unknown = sorted(name for name, domain in operators if not onnx.defs.has(name, domain))
    if unknown:
        raise ConfigError(
            f"ONNX has no operator for {', '.join(unknown)} of this model; export it with "
            "--format savedmodel"
        )


# Format -> its writer, and the context that gives it a temporary path.
WRITERS = {
    "savedmodel": (write_savedmodel, atomic.creating_folder),
    "onnx": (write_onnx, atomic.replacing),
}
