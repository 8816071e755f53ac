"""Dually Interactive Matching (Gu et al., EMNLP 2019): which reply fits context and persona.

The public names load on first use, so that a command that needs no model does not wait for Keras.
The models are registered with Keras as soon as Keras is imported too, whichever comes first, so
that `keras.saving.load_model` opens what `model.save` wrote.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
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


class _AfterKeras(MetaPathFinder):
    """Imports the models, which registers them, after Keras."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        if name != "keras":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                importlib.import_module("dim_tf.models")

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


if sys.modules.get("keras"):
    importlib.import_module("dim_tf.models")
else:
    sys.meta_path.insert(0, _AfterKeras())
