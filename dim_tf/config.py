"""Settings: what a model is (`ModelConfig`) and how it is trained (`TrainingConfig`)."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Mapping
from typing import Any, Self

from dim_tf.errors import ConfigError, did_you_mean

PRECISIONS = ("float32", "bfloat16")
NEGATIVE_SOURCES = ("listed", "split")
# Settings that a recipe chooses; what is chosen singly wins over it.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "fast": {"input_scale": 6.0, "negatives": "4:1000 19"},
}
CHARACTER_WIDTHS = (3, 4, 5)
CHARACTER_FILTERS = 50
PROJECTION_UNITS = 256
# Larger ones are slips, and would overflow in the backends before they could run out of memory.
LARGEST_SIZE = 10_000_000


class _Config:
    """Validation and JSON for the dataclasses below."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            # An int is welcome where a float is meant; a bool is a number nowhere.
            if field.type == "float" and isinstance(value, int) and not isinstance(value, bool):
                try:
                    value = float(value)
                except OverflowError:
                    found = f"a number of {len(str(abs(value)))} digits"
                    raise ConfigError(f"{field.name}: found {found}, expected float") from None
                object.__setattr__(self, field.name, value)
            if type(value).__name__ not in field.type.split(" | "):
                if value is None and "None" in field.type:
                    continue
                raise ConfigError(f"{field.name}: found {value!r}, expected {field.type}")
        self.validate()

    def validate(self) -> None:
        """Raises `ConfigError` for a value that cannot work."""

    def _require(self, condition: bool, name: str, expected: str) -> None:
        if not condition:
            raise ConfigError(f"{name}: found {getattr(self, name)!r}, expected {expected}")

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; an unknown name raises, with the nearest right one."""
        known = {field.name for field in dataclasses.fields(cls)}
        for name in values:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ConfigError(f"unknown setting {name!r} in {cls.__name__}{hint}")
        return cls(**values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed."""
        return type(self).from_dict({**self.to_dict(), **changes})


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(_Config):
    """Sizes of a model; the defaults are the paper's, with 300 + 100 word dimensions.

    Args:
        char_vocab_size: Rows of the character table, the padding row 0 included.
        max_utterances: U, utterances of a context; the last ones are kept.
        max_utterance_len: L, words of an utterance.
        max_candidates: C, candidates of a turn. A call may have fewer or more.
        max_response_len: R, words of a candidate.
        max_profiles: P, profiles of a persona (10 where both personas are read).
        max_profile_len: Q, words of a profile.
        max_word_len: W, characters of a word.
        word_dim: Dimensions of a word vector.
        rnn_units: Units of each direction of each BiLSTM; D is twice that.
        dropout: Fraction dropped in each of the places that the authors drop.
        use_persona: False leaves the persona half out (Table 4, "- persona").
        use_context: False leaves the context half out (Table 4, "- context").
        precision: What matrix products and what lies between them are computed in, "float32" or
            "bfloat16". Weights, softmaxes, cells of the LSTMs and logits are float32 always.

    >>> ModelConfig(char_vocab_size=70).rnn_units
    200
    >>> ModelConfig(char_vocab_size=70, dropout=1.5)
    Traceback (most recent call last):
        ...
    dim_tf.errors.ConfigError: dropout: found 1.5, expected at least 0 and less than 1
    >>> ModelConfig.from_dict({"char_vocab_size": 70, "rnn_unit": 20})
    Traceback (most recent call last):
        ...
    dim_tf.errors.ConfigError: unknown setting 'rnn_unit' in ModelConfig; did you mean rnn_units?
    """

    char_vocab_size: int
    max_utterances: int = 15
    max_utterance_len: int = 20
    max_candidates: int = 20
    max_response_len: int = 20
    max_profiles: int = 5
    max_profile_len: int = 15
    max_word_len: int = 18
    word_dim: int = 400
    rnn_units: int = 200
    dropout: float = 0.2
    use_persona: bool = True
    use_context: bool = True
    precision: str = "float32"

    @property
    def dtype(self) -> str | None:
        """The Keras dtype policy of the layers; None is that of `keras.config.floatx`.

        It is float32, but for a comparison whose rounding is to count for nothing: that sets
        float64, on TensorFlow.
        """
        return None if self.precision == "float32" else f"mixed_{self.precision}"

    def validate(self) -> None:
        """Raises `ConfigError` for a value that cannot work."""
        for field in dataclasses.fields(self):
            if field.type == "int":
                size = getattr(self, field.name)
                self._require(size >= 1, field.name, "at least 1")
                self._require(size <= LARGEST_SIZE, field.name, f"at most {LARGEST_SIZE:,}")
        widest = max(CHARACTER_WIDTHS)
        self._require(
            self.max_word_len >= widest,
            "max_word_len",
            f"at least {widest}, the widest character window",
        )
        self._require(0 <= self.dropout < 1, "dropout", "at least 0 and less than 1")
        if not (self.use_persona or self.use_context):
            raise ConfigError(
                "use_persona and use_context are both false: nothing is left to match"
            )
        hint = did_you_mean(self.precision, PRECISIONS)
        self._require(self.precision in PRECISIONS, "precision", " or ".join(PRECISIONS) + hint)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingConfig(_Config):
    """How a model is trained; the defaults are the paper's recipe.

    Args:
        batch_size: Turns an update.
        epochs: Passes over the training turns.
        max_updates: Stops after so many updates, if given.
        learning_rate: Of Adam, at the start.
        decay_rate: The learning rate is multiplied by this after every `decay_steps` updates.
        decay_steps: Updates between two such steps.
        epsilon: Of Adam.
        eval_every: Updates between two validations.
        save_every: Updates between two checkpoints.
        valid_turns: Size of the validation sample, the same in every run; all turns if None.
        patience: Stops after so many validations without a better MRR, if given.
        seed: Seed of initial values, order, dropout, negatives and the choice of dialogues.
        input_scale: Factor on the input part of the encoder's kernels before the first update. See
            `dim_tf.training.initial_weights.scale_encoder_inputs`.
        negatives: Wrong replies that an update shows beside each gold reply, as a schedule (see
            `parse_schedule`); all that are listed if None.
        negatives_from: "listed" draws them from those of the turn, "split" from the replies of the
            training split.
        train_dialogues: Fraction of the training dialogues to train on.
        recipe: Name of the recipe in `RECIPES` that the settings started from.

    >>> TrainingConfig(learning_rate=-1.0)
    Traceback (most recent call last):
        ...
    dim_tf.errors.ConfigError: learning_rate: found -1.0, expected more than 0
    >>> TrainingConfig(negatives="19:1000")
    Traceback (most recent call last):
        ...
    dim_tf.errors.ConfigError: negatives: found '19:1000', expected K, or K:UPDATE ... K with rising
    updates, such as "4:1000 19"
    """

    batch_size: int = 16
    epochs: int = 10
    max_updates: int | None = None
    learning_rate: float = 0.001
    decay_rate: float = 0.96
    decay_steps: int = 5000
    epsilon: float = 1e-8
    eval_every: int = 500
    save_every: int = 100
    valid_turns: int | None = None
    patience: int | None = None
    seed: int = 1
    input_scale: float = 1.0
    negatives: str | None = None
    negatives_from: str = "listed"
    train_dialogues: float = 1.0
    recipe: str = "paper"

    @property
    def negatives_schedule(self) -> list[tuple[int, int | None]]:
        """Pairs (K, the last update that it counts for; None for all the rest); see `negatives`."""
        return [] if self.negatives is None else parse_schedule(self.negatives)

    def validate(self) -> None:
        """Raises `ConfigError` for a value that cannot work."""
        _ = self.negatives_schedule
        for name, known in (("negatives_from", NEGATIVE_SOURCES), ("recipe", tuple(RECIPES))):
            hint = did_you_mean(getattr(self, name), known)
            self._require(getattr(self, name) in known, name, " or ".join(known) + hint)
        if self.negatives_from == "split" and self.negatives is None:
            raise ConfigError("negatives_from: split needs negatives, how many to draw")
        self._require(self.train_dialogues <= 1, "train_dialogues", "more than 0 and at most 1")
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if "str" in field.type:
                continue
            if field.name == "seed":
                self._require(0 <= value < 2**31, "seed", "0 to 2147483647")
            elif field.type == "float":
                self._require(value > 0 and math.isfinite(value), field.name, "more than 0")
            elif value is not None:
                self._require(value >= 1, field.name, "at least 1")


def parse_schedule(text: str) -> list[tuple[int, int | None]]:
    """Reads how many negatives each update shows.

    Args:
        text: str. "K", or "K:UPDATE ... K": each K counts up to and including its update, the last
            one for all updates after that.

    Returns:
        Pairs (K, last update); the last update of the last pair is None.

    Raises:
        ConfigError: It is not of that form, or the updates do not rise.

    >>> parse_schedule("4"), parse_schedule("4:1000 9:3000 19")
    ([(4, None)], [(4, 1000), (9, 3000), (19, None)])
    """
    words = text.split()
    matches = [re.fullmatch(r"([1-9]\d{0,5})(?::([1-9]\d{0,8}))?", word) for word in words]
    stages = [(int(m[1]), m[2] and int(m[2])) for m in matches if m]
    ends = [end for _, end in stages]
    formed = stages and all(matches) and ends[-1] is None and None not in ends[:-1]
    if not formed or any(one >= other for one, other in itertools.pairwise(ends[:-1])):
        raise ConfigError(
            f"negatives: found {text!r}, expected K, or K:UPDATE ... K with rising updates, such "
            'as "4:1000 19"'
        )
    return stages
