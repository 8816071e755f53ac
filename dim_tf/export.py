r"""Writes a run for programs that do not have `dim_tf`: `python -m dim_tf.export --run RUN ...`.

    python -m dim_tf.export --run RUN --format savedmodel --out DIR
    python -m dim_tf.export --run RUN --format onnx --out FILE

What is written takes the eleven int32 inputs of `dim_tf.build_model`, any number of turns
and of candidates, and gives `logits`, float32 [B, C]. It needs TensorFlow or ONNX Runtime and
nothing of this project, computes in float32 whatever the precision of the run, leaves out padding
as `dim_tf` does, and runs on a CPU wherever it was made. The logits of absent candidates, those
whose `responses_len` is 0, mean nothing. Before it gets its name, its logits are compared with the
run's.

A SavedModel is called by its signature, `serving_default`:

    model = tf.saved_model.load(DIR)
    logits = model.signatures["serving_default"](**inputs)["logits"]

and ONNX by ONNX Runtime:

    session = onnxruntime.InferenceSession(FILE)
    [logits] = session.run(["logits"], inputs)
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.cli.parser import Parser
from dim_tf.cli.parser import run as run_command
from dim_tf.errors import CheckpointError, ConfigError, UsageError
from dim_tf.io import atomic
from dim_tf.runs.run import Run
from dim_tf.runtime import backend

if TYPE_CHECKING:
    import keras

Arrays = Mapping[str, np.ndarray]
# Largest difference of a logit, for each 1 of the largest logit (or of 1).
TOLERANCE = 1e-5
SIGNATURE = "serving_default"


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    difference = export(Run.open(arguments.run), arguments.format, arguments.out)
    print(
        f"{arguments.out}: {arguments.format}, float32; its logits differ from those of "
        f"{arguments.run} by {difference:.1e} at most"
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m dim_tf.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--run", required=True, help="the run folder, or a shipped model's name")
    parser.add_argument("--format", choices=list(WRITERS), required=True, help="what is written")
    parser.add_argument(
        "--out", metavar="PATH", required=True, help="folder of a SavedModel, file of ONNX"
    )
    return parser


def export(run: Run, form: str, out: str | os.PathLike) -> float:
    """Writes the model of a run.

    Args:
        run: The run.
        form: "savedmodel" or "onnx".
        out: The new folder or file.

    Returns:
        How much its logits differ from the run's at most, on a few random turns.

    Raises:
        UsageError: `out` exists or cannot be made.
        ConfigError: The backend is not TensorFlow, a package is missing, or ONNX has no operator
            for a part of the model.
        CheckpointError: The run is damaged; or what was written gives other logits.
    """
    out = Path(out)
    if out.exists():
        raise UsageError(f"{out} exists; give another --out")
    atomic.check_place(out)
    _load_tensorflow()
    if form == "onnx":
        _check_onnx()
    write, creating = WRITERS[form]
    model = run.load_model("float32")
    inputs = sample_inputs(run)

    from dim_tf.runtime.scorer import Scorer

    expected = Scorer(model)(inputs)
    out.parent.mkdir(parents=True, exist_ok=True)
    with creating(out) as temporary:
        found = write(model, temporary)(inputs)
        difference = float(np.max(np.abs(found - expected)))
        allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
        if not difference <= allowed:
            raise CheckpointError(
                f"{out}: not written: its logits would differ from those of {run.path} by "
                f"{difference:.1e}, expected {allowed:.1e} at most"
            )
    return difference


def sample_inputs(run: Run) -> dict[str, np.ndarray]:
    """Three random turns: a full one, a random one, and one with nothing but one candidate."""
    config, rng = run.model_config, np.random.default_rng(1)
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
        inputs[kind] = rng.integers(0, len(run.words), shape)
        inputs[f"{kind}_char"] = rng.integers(0, config.char_vocab_size, characters)
        inputs[f"{kind}_len"] = lengths
    return {name: values.astype(np.int32) for name, values in inputs.items()}


def _load_tensorflow() -> None:
    backend.load()
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ConfigError(
            f"KERAS_BACKEND is {keras.backend.backend()}, but models are exported by TensorFlow; "
            "install it and set KERAS_BACKEND=tensorflow (a run trained on JAX can be exported so)"
        )


def _check_onnx() -> None:
    for package in ("tf2onnx", "onnx", "onnxruntime"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ConfigError(
                f"ONNX needs {package}, which cannot be imported ({error}); install it with "
                "python -m pip install --editable '.[export]'"
            ) from None


def _traced(model: keras.Model) -> tuple[Any, dict[str, Any]]:
    """The model as a function of TensorFlow, from its public inputs to {"logits": ...}."""
    import keras
    import tensorflow as tf

    from dim_tf.models.base import MatchingModel
    from dim_tf.packing.buckets import EXACT
    from dim_tf.packing.in_graph import pack_in_graph

    signature = {
        tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name)
        for tensor in keras.tree.flatten(model.inputs)
    }

    def forward(inputs):
        if isinstance(model, MatchingModel):
            logits = model.packed(pack_in_graph(inputs, model.halves), EXACT)
        else:
            logits = model(inputs, training=False)
        return {"logits": logits}

    function = tf.function(forward, input_signature=[signature])
    with _no_own_gradients():
        function.get_concrete_function()
    return function, signature


@contextlib.contextmanager
def _no_own_gradients() -> Iterator[None]:
    """Traces computations without the gradients that are written by hand.

    A SavedModel would have them aboard, or a warning at each loading that they are missing.
    """
    from keras import ops

    before = ops.custom_gradient
    ops.custom_gradient = lambda function: lambda *arguments: function(*arguments)[0]
    try:
        yield
    finally:
        ops.custom_gradient = before


def write_savedmodel(model: keras.Model, path: Path) -> Callable[[Arrays], np.ndarray]:
    """Writes a folder; returns what was written as a function from inputs to logits."""
    import tensorflow as tf

    module = tf.Module()
    function, _ = _traced(model)
    module.weights = [variable.value for variable in model.variables]
    tf.saved_model.save(module, os.fspath(path), signatures=function.get_concrete_function())
    loaded = tf.saved_model.load(os.fspath(path))

    def logits(inputs: Arrays) -> np.ndarray:
        return loaded.signatures[SIGNATURE](**inputs)["logits"].numpy()

    return logits


def write_onnx(model: keras.Model, path: Path) -> Callable[[Arrays], np.ndarray]:
    """The same as a file of ONNX."""
    import onnx
    import onnxruntime
    import tf2onnx

    # It reports what it leaves as it is; what it cannot convert is found below.
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
    """Raises `ConfigError` if a model of ONNX has operators that ONNX lacks."""
    import onnx

    operators = {(node.op_type, node.domain) for node in proto.graph.node}
    unknown = sorted(name for name, domain in operators if not onnx.defs.has(name, domain))
    if unknown:
        raise ConfigError(
            f"this model cannot be had as ONNX, which has no operator for {', '.join(unknown)}; "
            "export it with --format savedmodel"
        )


# How each format is written, and where it stands until it is whole.
WRITERS = {
    "savedmodel": (write_savedmodel, atomic.creating_folder),
    "onnx": (write_onnx, atomic.replacing),
}


if __name__ == "__main__":
    sys.exit(run_command(main))
