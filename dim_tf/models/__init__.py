"""The systems of the paper's comparison, one a file, built by name."""

from __future__ import annotations

import keras
import numpy as np

from dim_tf.config import ModelConfig, check_context, check_name
from dim_tf.errors import ConfigError
from dim_tf.models.dim import build_dim
from dim_tf.models.imn import build_imn
from dim_tf.models.imn_ctx import build_imn_ctx
from dim_tf.models.imn_utr import build_imn_utr

MODELS = {
    "dim": build_dim,
    "imn": build_imn,
    "imn_ctx": build_imn_ctx,
    "imn_utr": build_imn_utr,
}


def build_model(name: str, config: ModelConfig, word_vectors: np.ndarray) -> keras.Model:
    """Builds a model with fresh weights.

    Every model takes a dict of the same eleven int32 arrays and gives the raw logit of every
    candidate slot, float32 [B, C]; masking absent candidates (`responses_len == 0`) is the
    business of loss, metrics and ranker.

    | input | shape |
    | --- | --- |
    | `utterances`, `utterances_char` | [B, U, L], [B, U, L, W] |
    | `utterances_len`, `utterances_num` | [B, U], [B] |
    | `responses`, `responses_char`, `responses_len` | [B, C, R], [B, C, R, W], [B, C] |
    | `personas`, `personas_char` | [B, P, Q], [B, P, Q, W] |
    | `personas_len`, `personas_num` | [B, P], [B] |

    Args:
        name: One of `MODELS`.
        config: Sizes; C may differ from `config.max_candidates` from call to call.
        word_vectors: float32 [V, word_dim], frozen.

    Raises:
        ConfigError: For an unknown name, settings that it has no meaning for, or vectors of another
            dimension.

    >>> config = ModelConfig(char_vocab_size=9, word_dim=4, rnn_units=3, max_utterances=2)
    >>> model = build_model("dim", config, np.zeros((7, 4), "float32"))
    >>> model.name, len(model.trainable_variables)
    ('dim', 24)
    """
    check_name(name, MODELS)
    check_context(name, config)
    word_vectors = np.asarray(word_vectors, dtype="float32")
    if word_vectors.ndim != 2 or word_vectors.shape[1] != config.word_dim:
        raise ConfigError(
            f"word_vectors: found shape {word_vectors.shape}, expected [V, {config.word_dim}]"
        )
    return MODELS[name](config, word_vectors)
