"""The one list of systems: their names, what they read, and how they are built.

Importing it imports no Keras: a builder is a reference, followed when the system is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.config import ModelConfig, TrainingConfig
from dim_tf.errors import ConfigError, did_you_mean, one_of

if TYPE_CHECKING:
    import keras

    Builder = Callable[[ModelConfig, np.ndarray], keras.Model]


@dataclass(frozen=True)
class System:
    """A system of the comparison.

    Args:
        name: str. Its name in commands, run folders and tables on disk.
        paper_name: str. Its name in the paper; None for a system that the paper lacks.
        builder: str or callable. A function of a `ModelConfig` and the word vectors, or its name,
            "module:function".
        reads_persona: bool. Whether it reads one; runs of other systems have persona "none".
        needs_context: bool. Whether it cannot work with `use_context=False`.
        base: str. The system that it is without persona, from which the paper counts gains; None
            if that is the system itself.
        context_read: str. What it reads of a context, if not its last `max_utterances` utterances.
        matches_words: bool. Whether the model is a `dim_tf.models.base.MatchingModel`.
        dual_encoder: bool. Whether the model is a `dim_tf.models.dual_encoder.DualEncoder`.
        trained: bool. Whether it is trained by updates; the model of another system has a method
            `adapt`, which makes it from the training turns.
        defaults: dict. Settings of model and training whose default differs from that of
            `ModelConfig` and `TrainingConfig`.
        starts_from: str. The system whose weights a training must start from (`--init-from`); None
            if it starts from fresh ones.
    """

    name: str
    paper_name: str | None = None
    builder: str | Builder = ""
    reads_persona: bool = True
    needs_context: bool = False
    base: str | None = None
    context_read: str | None = None
    matches_words: bool = False
    dual_encoder: bool = False
    trained: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    starts_from: str | None = None

    @property
    def title(self) -> str:
        """Its name in a table."""
        return self.paper_name or self.name

    def check(self, config: ModelConfig, training: TrainingConfig | None = None) -> None:
        """Raises `ConfigError` for settings that it does not support."""
        if self.needs_context and not config.use_context:
            raise ConfigError(
                f"{self.name} needs the context: leave out --no-context (use_context), or take dim"
            )
        if not self.matches_words and config.precision != "float32":
            raise ConfigError(
                f"precision: {self.name} computes in float32 alone, found {config.precision}"
            )
        if training is None:
            return
        if not self.matches_words and training.input_scale != 1:
            raise ConfigError(
                f"input_scale: {self.name} has no encoder to scale; leave out --input-scale, and "
                "--recipe fast"
            )
        if not self.dual_encoder and training.negatives_from == "batch":
            raise ConfigError(
                f"negatives_from: {self.name} cannot rank the replies of a batch for each of its "
                "turns; give listed or split"
            )

    def build(self, config: ModelConfig, word_vectors: np.ndarray) -> keras.Model:
        """Calls the builder."""
        build = self.builder
        if isinstance(build, str):
            module, _, function = build.partition(":")
            build = getattr(importlib.import_module(module), function)
        return build(config, word_vectors)


SYSTEMS: dict[str, System] = {}


def register(*systems: System) -> None:
    """Adds systems, or replaces those of the same name."""
    SYSTEMS.update((system.name, system) for system in systems)


# The paper's, in its order.
PERSONA_FUSION: dict[str, Any] = {"needs_context": True, "base": "imn", "matches_words": True}
BAG_OF_WORDS: dict[str, Any] = {
    "dual_encoder": True,
    "defaults": {
        "max_utterances": 4,
        "loss": "margin",
        "margin": 0.2,
        "negatives_from": "batch",
        "batch_size": 512,
        "learning_rate": 0.0007,
        "epochs": 4,
        "eval_every": 50,
        "save_every": 50,
    },
}
TRANSFORMER: dict[str, Any] = {
    "needs_context": True,
    "context_read": "the last 48 words",
    "dual_encoder": True,
    "defaults": {
        "negatives_from": "batch",
        "batch_size": 256,
        "learning_rate": 0.0008,
        "epochs": 5,
        "decay_steps": 190,
        "decay_rate": 0.8,
        "eval_every": 190,
        "save_every": 190,
    },
}
register(
    System(
        "ir",
        "IR baseline",
        "dim_tf.models.ir:IR",
        context_read="the last utterance",
        trained=False,
    ),
    System("starspace", "Starspace", "dim_tf.models.starspace:Starspace", **BAG_OF_WORDS),
    System(
        "profile_memory",
        "Profile Memory",
        "dim_tf.models.profile_memory:ProfileMemory",
        **BAG_OF_WORDS,
    ),
    System(
        "kv_profile_memory",
        "KV Profile Memory",
        "dim_tf.models.kv_profile_memory:KVProfileMemory",
        needs_context=True,
        trained=False,
        starts_from="profile_memory",
        **BAG_OF_WORDS,
    ),
    System(
        "ft_pc",
        "FT-PC",
        "dim_tf.models.transformer:build_ft_pc",
        starts_from="transformer",
        **TRANSFORMER,
    ),
    System(
        "imn",
        "IMN",
        "dim_tf.models.imn:IMN",
        reads_persona=False,
        needs_context=True,
        matches_words=True,
    ),
    System("imn_ctx", "IMN_ctx", "dim_tf.models.imn_ctx:IMNCtx", **PERSONA_FUSION),
    System("imn_utr", "IMN_utr", "dim_tf.models.imn_utr:IMNUtr", **PERSONA_FUSION),
    System("dim", "DIM", "dim_tf.models.dim:DIM", base="imn", matches_words=True),
    # The paper has it fine-tuned only, as FT-PC.
    System("transformer", builder="dim_tf.models.transformer:Transformer", **TRANSFORMER),
)


def find(name: str) -> System:
    """The system of that name, or one with nothing but the name: a record may be of any.

    >>> find("dim").title, find("mine").title
    ('DIM', 'mine')
    """
    return SYSTEMS.get(name) or System(name=name)


def get(name: str) -> System:
    """The system of that name.

    Raises:
        ConfigError: There is none; the message has the nearest name.
    """
    if name not in SYSTEMS:
        hint = did_you_mean(name, SYSTEMS)
        raise ConfigError(f"unknown model {name!r}, expected {one_of(SYSTEMS)}{hint}")
    return SYSTEMS[name]


def of_paper() -> tuple[str, ...]:
    """The names of the paper's systems, in its order."""
    return tuple(system.name for system in SYSTEMS.values() if system.paper_name)


def build_model(name: str, config: ModelConfig, word_vectors: np.ndarray) -> keras.Model:
    """Builds a model with fresh weights.

    A model takes a dict of these int32 arrays, those of characters only if it reads characters, and
    returns the raw logit of every candidate slot, float32 [B, C]. Loss, metrics and ranker mask
    the absent candidates (`responses_len == 0`).

    | input | shape |
    | --- | --- |
    | `utterances`, `utterances_char` | [B, U, L], [B, U, L, W] |
    | `utterances_len`, `utterances_num` | [B, U], [B] |
    | `responses`, `responses_char`, `responses_len` | [B, C, R], [B, C, R, W], [B, C] |
    | `personas`, `personas_char` | [B, P, Q], [B, P, Q, W] |
    | `personas_len`, `personas_num` | [B, P], [B] |

    Args:
        name: str. One of `SYSTEMS`.
        config: ModelConfig. Sizes; C may differ from `config.max_candidates` from call to call.
        word_vectors: float32 [V, word_dim]; frozen, except in a dual encoder.

    Raises:
        ConfigError: An unknown name, settings that the system does not support, or vectors of
            another dimension.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=4, rnn_units=3, max_utterances=2)
    >>> model = build_model("dim", config, np.zeros((7, 4), "float32"))
    >>> model.name, len(model.trainable_variables)
    ('dim', 24)
    """
    system = get(name)
    system.check(config)
    word_vectors = np.asarray(word_vectors, dtype="float32")
    if word_vectors.ndim != 2 or word_vectors.shape[1] != config.word_dim:
        raise ConfigError(
            f"word_vectors: found shape {word_vectors.shape}, expected [V, {config.word_dim}]"
        )
    return system.build(config, word_vectors)
