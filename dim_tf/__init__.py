"""Dually Interactive Matching (Gu et al., EMNLP 2019): which reply fits context and persona.

The public names load on first use, so that a command that needs no model does not wait for Keras.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

_HOME = {
    "ModelConfig": "dim_tf.config",
    "build_model": "dim_tf.systems.registry",
    "load_tf1_variables": "dim_tf.models.tf1",
    "Ranker": "dim_tf.ranking.ranker",
}
__all__ = ["ModelConfig", "Ranker", "__version__", "build_model", "load_tf1_variables"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dim_tf' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
