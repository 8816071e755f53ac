r"""Export a run for programs without `dim_tf`: `python -m dim_tf.export --run RUN ...`.

    python -m dim_tf.export --run RUN --format savedmodel --out DIR
    python -m dim_tf.export --run RUN --format onnx --out FILE

The exported model takes the int32 inputs of `dim_tf.build_model`, with one or more turns
and candidates, and gives `logits`, float32 [B, C]. It needs TensorFlow or ONNX Runtime, but not
this project. It computes in float32, skips padding as `dim_tf` does, and runs on a CPU wherever it
was made. The logits of absent candidates (`responses_len` 0) are undefined. Before the export gets
its name, its logits are compared with the run's.

Call a SavedModel by its signature, `serving_default`:

    model = tf.saved_model.load(DIR)
    logits = model.signatures["serving_default"](**inputs)["logits"]

and ONNX with ONNX Runtime:

    session = onnxruntime.InferenceSession(FILE)
    [logits] = session.run(["logits"], inputs)
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from dim_tf.cli.parser import Parser, run as run_command
from dim_tf.runs.run import Run
from dim_tf.runtime.export import WRITERS, check_export, export


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = _parser().parse_args(argv)
    run = Run.open(arguments.run)
    check_export(arguments.format, arguments.out)
    difference = export(
        run.load_model("float32"),
        run.model_config,
        len(run.words),
        arguments.format,
        arguments.out,
    )
    print(
        f"{arguments.out}: {arguments.format}, float32; its logits differ from those of "
        f"{arguments.run} by {difference:.1e} at most"
    )


def _parser() -> Parser:
    parser = Parser(prog="python -m dim_tf.export", description=__doc__)
    add = parser.add_argument
    add("--run", required=True, help="use this run folder or pretrained model")
    add("--format", choices=list(WRITERS), required=True, help="write this format")
    out = "write to PATH (a folder for SavedModel, a file for ONNX)"
    add("--out", metavar="PATH", required=True, help=out)
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
