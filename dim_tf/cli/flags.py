"""The settings of model and training as options of a command line."""

from __future__ import annotations

import argparse
import json
from typing import Any

from dim_tf.cli.parser import positive
from dim_tf.config import NEGATIVE_SOURCES, PRECISIONS, RECIPES, ModelConfig, TrainingConfig
from dim_tf.errors import ConfigError, UsageError, did_you_mean

MODEL_FIELDS = tuple(ModelConfig.model_fields)
TRAINING_FIELDS = tuple(TrainingConfig.model_fields)
DEFAULTS = {**ModelConfig.defaults(), **TrainingConfig.defaults()}
# What the prepared folder decides: it cannot be chosen here.
DATA_FIELDS = ("word_dim", "char_vocab_size", "max_candidates")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds the options that all runs of a comparison share; see `given_settings`."""
    parser.add_argument(
        "--deterministic", action="store_true", help="repeatable on a GPU too, though slower"
    )
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        help=f"what to compute in (default: {DEFAULTS['precision']})",
        default=argparse.SUPPRESS,
    )
    given = {"default": argparse.SUPPRESS}
    parser.add_argument(
        "--recipe",
        choices=RECIPES,
        help="start from the settings of this recipe (default: paper); single options win over it",
        **given,
    )
    parser.add_argument(
        "--negatives",
        nargs="+",
        action="extend",
        metavar="K[:UPDATE]",
        help="show each update the gold and K wrong replies; 4:1000 19 is 4 for the first 1,000 "
        "updates, then 19 (default: all)",
        **given,
    )
    parser.add_argument(
        "--negatives-from",
        choices=NEGATIVE_SOURCES,
        help="draw them from those listed in the data, or from all replies of the training split "
        "(default: listed)",
        **given,
    )
    for flag, kind, meaning in (
        ("--rnn-units", positive, "units of each LSTM direction"),
        ("--dropout", float, "fraction dropped"),
        ("--batch-size", positive, "turns an update"),
        ("--epochs", positive, "passes over the training turns"),
        ("--learning-rate", float, "of Adam, at the start"),
        ("--eval-every", positive, "updates between validations"),
        ("--save-every", positive, "updates between checkpoints"),
        ("--valid-turns", positive, "validate on a fixed sample of so many turns"),
        ("--patience", positive, "stop after so many validations without a better MRR"),
        ("--input-scale", float, "multiply the input part of the encoder's kernels at the start"),
        ("--train-dialogues", float, "train on this fraction of the dialogues"),
    ):
        name = flag[2:].replace("-", "_")
        default = DEFAULTS[name]
        shown = "" if default is None else f" (default: {default})"
        parser.add_argument(flag, type=kind, help=meaning + shown, default=argparse.SUPPRESS)
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting"
    )


def given_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings that the command line gives, by the names of their config fields."""
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
            raise ConfigError(f"--set: {name} follows from the prepared folder; prepare it anew")
        try:
            changes[name] = json.loads(value)
        except (ValueError, RecursionError):  # no JSON, or a number of 5,000 digits
            changes[name] = value
    return {**RECIPES.get(changes.get("recipe", ""), {}), **changes}
