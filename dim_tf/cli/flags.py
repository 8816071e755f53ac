"""The settings of model and training as options of a command line."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dim_tf.cli.parser import Parser, positive
from dim_tf.config import NEGATIVE_SOURCES, PRECISIONS, RECIPES, ModelConfig, TrainingConfig
from dim_tf.errors import ConfigError, UsageError, did_you_mean

MODEL_FIELDS = tuple(ModelConfig.model_fields)
TRAINING_FIELDS = tuple(TrainingConfig.model_fields)
DEFAULTS = {**ModelConfig.defaults(), **TrainingConfig.defaults()}
# The prepared folder decides these.
DATA_FIELDS = ("word_dim", "char_vocab_size", "max_candidates")


def add_settings(parser: Parser) -> None:
    """Adds the options that all runs of a comparison share; see `given_settings`."""
    parser.add_argument(
        "--deterministic", action="store_true", help="make results repeatable on a GPU too; slower"
    )
    for option, kind, meaning in (
        ("--precision", PRECISIONS, "dtype of matrix products and activations"),
        ("--recipe", RECIPES, "start from the settings of a recipe; single options win"),
        ("--negatives-from", NEGATIVE_SOURCES, "draw them from the turn's list or the whole split"),
        ("--rnn-units", positive, "units of each LSTM direction"),
        ("--dropout", float, "fraction to drop"),
        ("--batch-size", positive, "turns per update"),
        ("--epochs", positive, "passes over the training turns"),
        ("--learning-rate", float, "learning rate of Adam at the start"),
        ("--eval-every", positive, "updates between validations"),
        ("--save-every", positive, "updates between checkpoints"),
        ("--valid-turns", positive, "validate on a fixed sample of this many turns"),
        ("--patience", positive, "stop after this many validations without a better MRR"),
        ("--input-scale", float, "factor on the input part of the encoder's initial kernels"),
        ("--train-dialogues", float, "fraction of the dialogues to train on"),
    ):
        default = DEFAULTS[option[2:].replace("-", "_")]
        shown = "" if default is None else f" (default: {default})"
        values = {"type": kind} if callable(kind) else {"choices": kind}
        parser.add_argument(option, help=meaning + shown, default=argparse.SUPPRESS, **values)
    parser.add_argument(
        "--negatives",
        nargs="+",
        metavar="K[:UPDATE]",
        default=argparse.SUPPRESS,
        help="show the gold reply and K wrong ones per update; 4:1000 19 shows 4 up to update "
        "1,000, then 19 (default: all)",
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
            changes[name] = json.loads(value)
        except (ValueError, RecursionError):  # plain text, or a number of 5,000 digits
            changes[name] = value
    return {**RECIPES.get(changes.get("recipe", ""), {}), **changes}
