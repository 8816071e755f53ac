"""How many floating-point operations the reference model's matrix products take."""

from __future__ import annotations

from dim_tf.config import CHARACTER_FILTERS, CHARACTER_WIDTHS, PROJECTION_UNITS, ModelConfig

TRAINING_FACTOR = 3  # forward, and the gradients for inputs and for weights


def forward_flops(config: ModelConfig) -> dict[str, int]:
    """Operations of a forward pass of one padded turn, by part of the model.

    A product [a, b] @ [b, c] counts as 2abc. Everything else (gates, softmaxes, maxima) is left
    out. A training step takes `TRAINING_FACTOR` times as many.

    Args:
        config: Sizes; its `max_candidates` is the number of candidates.

    >>> flops = forward_flops(ModelConfig(char_vocab_size=46, word_dim=400))
    >>> {part: round(16 * count / 1e9, 1) for part, count in flops.items()}  # GFLOP for 16 turns
    {'characters': 10.2, 'encoder': 29.8, 'attention': 5.8, 'matcher': 764.9,
     'aggregator': 15.4, 'prediction': 0.5}
    """
    candidates, units = config.max_candidates, config.rnn_units
    width = 2 * units  # D
    responses = candidates * config.max_response_len
    utterances = config.use_context * config.max_utterances * config.max_utterance_len
    profiles = config.use_persona * config.max_profiles * config.max_profile_len
    sources = config.use_context + config.use_persona

    words = utterances + responses + profiles
    characters, embedded = word_flops(config)
    return {
        "characters": words * characters,
        "encoder": words * lstm_flops(embedded, units),
        # Similarity, and what each side saw of the other.
        "attention": 3 * 2 * responses * (utterances + profiles) * width,
        "matcher": (candidates * (utterances + profiles) + sources * responses)
        * lstm_flops(4 * width, units),
        "aggregator": config.use_context
        * candidates
        * config.max_utterances
        * lstm_flops(2 * width, units),
        "prediction": 2 * candidates * PROJECTION_UNITS * (4 * width * sources + 1)
        + 2 * candidates * config.use_persona * config.max_profiles * 2 * width,
    }


def word_flops(config: ModelConfig) -> tuple[int, int]:
    """Operations for the characters of a word, and the size of its representation."""
    windows = sum(width * (config.max_word_len - width + 1) for width in CHARACTER_WIDTHS)
    embedded = config.word_dim + CHARACTER_FILTERS * len(CHARACTER_WIDTHS)
    return 2 * windows * config.char_vocab_size * CHARACTER_FILTERS, embedded


def lstm_flops(inputs: int, units: int) -> int:
    """Operations of one time step of one row of a BiLSTM, both directions."""
    return 2 * 2 * (inputs + units) * 4 * units
