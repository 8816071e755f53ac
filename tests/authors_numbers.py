"""The numbers of the authors' program, and the names that they have in their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data"

# Ours -> theirs.
SIZES = {
    "max_utterances": "max_utter_num",
    "max_utterance_len": "max_utter_len",
    "max_candidates": "max_response_num",
    "max_response_len": "max_response_len",
    "max_profiles": "max_persona_num",
    "max_profile_len": "max_persona_len",
    "max_word_len": "max_word_length",
    "word_dim": "embedding_dim",
    "rnn_units": "rnn_size",
    "char_vocab_size": "char_vocab",
}
# These two cancel out of the softmaxes: their gradients are rounding noise around a true zero.
TRUE_ZEROS = {"prediction_layer/bias", "aggregation_layer/pers_b"}


def numbers(name: str) -> dict[str, np.ndarray]:
    """The arrays of a file of `tests/data`."""
    with np.load(DATA / name, allow_pickle=False) as archive:
        return dict(archive)


def part(golden, prefix):
    """The arrays whose names start with a prefix, without it; the target is no input."""
    return {
        name.removeprefix(prefix): value
        for name, value in golden.items()
        if name.startswith(prefix) and name != "in/target"
    }
