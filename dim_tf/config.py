"""Settings: what a model is (`ModelConfig`) and how it is trained (`TrainingConfig`)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dim_tf.errors import ConfigError, first_problem

# The settings of a recipe; a setting given on its own wins.
Recipe = Literal["paper", "fast"]
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "fast": {"input_scale": 6.0, "negatives": "4:3000 9"},
}
# The sizes that `data_prep` fixes; the rest of a prepared folder's sizes are counted.
PREPARED_SIZES = (
    "max_utterances",
    "max_utterance_len",
    "max_response_len",
    "max_profiles",
    "max_profile_len",
    "max_word_len",
)
# Settings of a model that the prepared folder decides.
DATA_FIELDS = ("word_dim", "char_vocab_size", "max_candidates")
CHARACTER_WIDTHS = (3, 4, 5)
CHARACTER_FILTERS = 50
PROJECTION_UNITS = 256
# Larger sizes are slips, and would overflow in the backends before they run out of memory.
LARGEST_SIZE = 10_000_000


Size = Annotated[int, Field(ge=1, le=LARGEST_SIZE)]
Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Precision = Literal["float32", "bfloat16"]
NegativeSource = Literal["listed", "split", "batch"]
Loss = Literal["cross_entropy", "margin"]
PRECISIONS, NEGATIVE_SOURCES = get_args(Precision), get_args(NegativeSource)


class _Config(BaseModel):
    """Settings that cannot be changed, and raise `ConfigError` where they cannot work."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def __init__(self, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            field, message = first_problem(error, type(self).model_fields)
            raise ConfigError(f"{field}: {message}") from None

    def to_dict(self) -> dict[str, Any]:
        """All settings as JSON values."""
        return self.model_dump()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        return cls(**values)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """The default of each setting that has one."""
        fields = cls.model_fields.items()
        return {name: field.default for name, field in fields if not field.is_required()}

    def replace(self, **changes: Any) -> Self:
        """A copy with some settings changed."""
        return self.from_dict({**self.to_dict(), **changes})


class ModelConfig(_Config):
    """Sizes of a model; the defaults are the paper's, with 300 + 100 word dimensions.

    Args:
        char_vocab_size: int. Rows of the character table, including padding row 0.
        max_utterances: int. U, utterances of a context; the last ones are kept.
        max_utterance_len: int. L, words of an utterance.
        max_candidates: int. C, candidates of a turn. A call may have fewer or more.
        max_response_len: int. R, words of a candidate.
        max_profiles: int. P, profiles of a persona (10 if both personas are read).
        max_profile_len: int. Q, words of a profile.
        max_word_len: int. W, characters of a word.
        word_dim: int. Dimensions of a word vector.
        rnn_units: int. Units of each direction of each BiLSTM; D is twice that.
        dropout: float. Fraction dropped at each point where the authors drop.
        use_persona: bool. Whether to match with the persona (Table 4, "- persona").
        use_context: bool. Whether to match with the context (Table 4, "- context").
        precision: str. "float32" or "bfloat16": dtype of matrix products and activations. Weights,
            softmaxes, LSTM cell states and logits are always float32.
    """

    char_vocab_size: Size
    max_utterances: Size = 15
    max_utterance_len: Size = 20
    max_candidates: Size = 20
    max_response_len: Size = 20
    max_profiles: Size = 5
    max_profile_len: Size = 15
    max_word_len: Size = Field(default=18, ge=max(CHARACTER_WIDTHS))
    word_dim: Size = 400
    rnn_units: Size = 200
    dropout: float = Field(default=0.2, ge=0, lt=1)
    use_persona: bool = True
    use_context: bool = True
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _has_something_to_match(self) -> Self:
        if not (self.use_persona or self.use_context):
            raise ConfigError(
                "use_persona and use_context are both false: nothing is left to match"
            )
        return self

    @property
    def dtype(self) -> str | None:
        """The Keras dtype policy of the layers; None is that of `keras.config.floatx`.

        That is float32, except in comparisons without rounding errors, which set float64 on
        TensorFlow.
        """
        return None if self.precision == "float32" else f"mixed_{self.precision}"


class TrainingConfig(_Config):
    """How a model is trained; the defaults are the paper's recipe for DIM and IMN.

    Other systems have defaults of their own in `dim_tf.systems.registry`.

    Args:
        batch_size: int. Turns per update.
        epochs: int. Passes over the training turns.
        max_updates: int. Updates after which training stops; None for no limit, 0 for a system that
            is not trained by updates.
        learning_rate: float. Adam's learning rate at the start.
        decay_rate: float. Factor on the learning rate after every `decay_steps` updates.
        decay_steps: int. Updates between two decays.
        epsilon: float. Adam's epsilon.
        eval_every: int. Updates between two validations.
        save_every: int. Updates between two checkpoints.
        valid_turns: int. Size of the validation sample, the same in every run; None for all turns.
        patience: int. Validations without a better MRR after which training stops; None for no
            limit.
        seed: int. Seed of initial weights, order, dropout, negatives and the choice of dialogues.
        input_scale: float. Factor on the input part of the encoder's kernels before the first
            update. See `dim_tf.training.initial_weights.scale_encoder_inputs`.
        negatives: str. Schedule of how many wrong replies an update shows with each gold reply
            (see `parse_schedule`); None for all that are listed.
        negatives_from: str. "listed" draws them from those of the turn, "split" from all replies
            of the training split; "batch" takes the gold replies of the other turns of the update.
        loss: str. "cross_entropy" or "margin", see `dim_tf.training.losses`.
        margin: float. Margin of that loss.
        train_dialogues: float. Fraction of the training dialogues to train on.
        recipe: str. Name of the recipe in `RECIPES` that the settings started from.
    """

    batch_size: Count = 16
    epochs: Count = 10
    max_updates: int | None = Field(default=None, ge=0)
    learning_rate: Positive = 0.001
    decay_rate: Positive = 0.96
    decay_steps: Count = 5000
    epsilon: Positive = 1e-8
    eval_every: Count = 500
    save_every: Count = 100
    valid_turns: Count | None = None
    patience: Count | None = None
    seed: int = Field(default=1, ge=0, lt=2**31)
    input_scale: Positive = 1.0
    negatives: str | None = None
    negatives_from: NegativeSource = "listed"
    loss: Loss = "cross_entropy"
    margin: Positive = 0.1
    train_dialogues: Positive = Field(default=1.0, le=1)
    recipe: Recipe = "paper"

    @model_validator(mode="after")
    def _has_negatives(self) -> Self:
        _ = self.negatives_schedule
        if self.negatives_from == "split" and self.negatives is None:
            raise ConfigError("negatives_from: split needs negatives, how many to draw")
        if self.negatives_from == "batch" and self.negatives is not None:
            raise ConfigError("negatives_from: batch takes all; leave out negatives")
        return self

    @property
    def negatives_schedule(self) -> list[tuple[int, int | None]]:
        """Pairs (K, last update that shows K negatives; None for no limit)."""
        return [] if self.negatives is None else parse_schedule(self.negatives)


MODEL_FIELDS = tuple(ModelConfig.model_fields)
TRAINING_FIELDS = tuple(TrainingConfig.model_fields)


def parse_schedule(text: str) -> list[tuple[int, int | None]]:
    """Parses how many negatives each update shows.

    Args:
        text: str. "K", or "K:UPDATE ... K": each K holds up to and including its update, the last
            K for all later updates.

    Returns:
        Pairs (K, last update); the last update of the last pair is None.

    Raises:
        ConfigError: The text has another form, or the updates do not rise.

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
