"""Train a model on a prepared folder: `python -m dim_tf.train --prepared DIR --run RUN`.

The defaults of DIM and the IMN models are the paper's; other systems have their own. All options
are checked before the run folder is made.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence

from dim_tf.cli.flags import add_settings
from dim_tf.cli.parser import Parser, positive, run as run_command, seed
from dim_tf.config import TrainingConfig
from dim_tf.data.dataset import PERSONAS, VERSIONS
from dim_tf.errors import one_of
from dim_tf.systems.registry import SYSTEMS
from dim_tf.training.start import DEFAULT_MODEL, DEFAULT_PERSONA, start_training


def main(argv: Sequence[str]) -> int | None:
    """The command."""
    arguments = build_parser().parse_args(argv)
    trainer = start_training(arguments)
    from dim_tf.runtime.compile import backend_name
    from dim_tf.training.trainer import Stopped

    run, state = trainer.run.path, trainer.state
    try:
        trainer.train()
    except Stopped:
        options = ["--prepared", str(arguments.prepared), "--run", str(run)]
        options += ["--deterministic"] * arguments.deterministic
        options += [*["--jit-compile"] * arguments.jit_compile, "--resume"]
        again = shlex.join([sys.executable, "-m", "dim_tf.train", *options])
        if backend_name() != "tensorflow":
            again = f"KERAS_BACKEND={backend_name()} {again}"
        print(f"stopped after update {state.update:,}; to resume: {again}", file=sys.stderr)
        return 130
    print(
        f"{run}: best validation hits@1 {state.best['hits@1']:.3f} MRR {state.best['MRR']:.3f} "
        f"after update {state.best['update']}"
    )


def build_parser() -> Parser:
    """The options of the command."""
    parser = Parser(prog="python -m dim_tf.train", description=__doc__)
    add = parser.add_argument
    add("--prepared", metavar="DIR", required=True, help="read the prepared folder DIR")
    add("--run", required=True, help="write the run to this folder")
    add("--resume", action="store_true", help="resume the run in --run from its last checkpoint")
    add("--init-from", metavar="RUN", help="start from the weights of another run")
    add("--jit-compile", action="store_true", help="compile updates with XLA (TensorFlow only)")
    # Without a default here: a resumed run has its own settings, and only given ones are compared.
    given = {"default": argparse.SUPPRESS}
    add("--model", help=f"train {one_of(SYSTEMS)} (default: {DEFAULT_MODEL})", **given)
    add(
        "--persona",
        choices=PERSONAS,
        help=f"choose whose persona to read (default: {DEFAULT_PERSONA}; none for imn)",
        **given,
    )
    add("--version", choices=VERSIONS, help="read this version (default: original)", **given)
    add(
        "--no-context",
        action="store_const",
        const=False,
        dest="use_context",
        help="leave out the context, as in Table 4",
        **given,
    )
    add("--max-updates", type=positive, help="stop after this many updates", **given)
    add(
        "--seed",
        type=seed,
        help="seed the initial weights, order, dropout, distractors and choice of dialogues "
        f"(default: {TrainingConfig.defaults()['seed']})",
        **given,
    )
    add_settings(parser)
    return parser


if __name__ == "__main__":
    sys.exit(run_command(main))
