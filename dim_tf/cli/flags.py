"""The settings of model and training as options of a command line."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dim_tf.cli.parser import Parser, positive
from dim_tf.config import (
    DATA_FIELDS,
    MODEL_FIELDS,
    NEGATIVE_SOURCES,
    PRECISIONS,
    RECIPES,
    TRAINING_FIELDS,
    ModelConfig,
    TrainingConfig,
)
from dim_tf.errors import ConfigError, UsageError, did_you_mean

DEFAULTS = {**ModelConfig.defaults(), **TrainingConfig.defaults()}


def add_settings(parser: Parser) -> None:
    """Adds the options that all runs of a comparison share; see `given_settings`."""
    parser.add_argument(
        "--deterministic", action="store_true", help="make training on a GPU repeatable; slower"
    )
    for option, kind, meaning in (
        ("--precision", PRECISIONS, "compute products and activations in this dtype"),
        ("--recipe", RECIPES, "start from a recipe; explicit options override it"),
        (
            "--negatives-from",
            NEGATIVE_SOURCES,
            "draw distractors from the turn's list, the split or the batch",
        ),
        ("--rnn-units", positive, "set the units of each LSTM direction"),
        ("--dropout", float, "set the dropout rate"),
        ("--batch-size", positive, "set the turns per update"),
        ("--epochs", positive, "set the passes over the training turns"),
        ("--learning-rate", float, "set Adam's initial learning rate"),
        ("--eval-every", positive, "validate after every N updates"),
        ("--save-every", positive, "save a checkpoint after every N updates"),
        ("--valid-turns", positive, "validate on a fixed sample of N turns"),
        ("--patience", positive, "stop after N validations without a better MRR"),
        ("--input-scale", float, "scale the input part of the encoder's initial kernels"),
        ("--train-dialogues", float, "train on this fraction of the dialogues"),
    ):
        default = DEFAULTS[option[2:].replace("-", "_")]
        shown = "" if default is None else f" (default for dim: {default})"
        values = {"type": kind, "metavar": "N"} if callable(kind) else {"choices": kind}
        parser.add_argument(option, help=meaning + shown, default=argparse.SUPPRESS, **values)
    parser.add_argument(
        "--negatives",
        nargs="+",
        metavar="K[:UPDATE]",
        default=argparse.SUPPRESS,
        help="sample K distractors per turn; 4:1000 19 uses 4 up to update 1,000, then 19 "
        "(default: all)",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change any other setting"
    )


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings on the command line, by the names of their config fields."""
    known = (*MODEL_FIELDS, *TRAINING_FIELDS)
    changes = {name: value for name, value in vars(arguments).items() if name in known}
    if "negatives" in changes:
        changes["negatives"] = " ".join(changes["negatives"])
    for setting in arguments.set:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set: found {setting!r}, expected NAME=VALUE")
        if name not in known:
            raise ConfigError(f"--set: unknown setting {name!r}{did_you_mean(name, known)}")
        if name in DATA_FIELDS:
            raise ConfigError(f"--set: {name} follows from the prepared folder; prepare another")
        try:
            parsed = json.loads(value)
            # A schedule of one number is text too.
            is_number = name == "negatives" and isinstance(parsed, int)
            changes[name] = str(parsed) if is_number else parsed
        except (ValueError, RecursionError):  # plain text, or a number of 5,000 digits
            changes[name] = value
    return changes
