"""Starts Keras on one of the two backends that can train here, quietly."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator

from dim_tf.errors import ConfigError

BACKENDS = ("tensorflow", "jax")


def load() -> None:
    """Imports Keras and its backend; call it before the first `import keras` of a command.

    Raises:
        ConfigError: The backend that is asked for is another one, or not installed.
    """
    name = os.environ.get("KERAS_BACKEND") or BACKENDS[0]
    if name not in BACKENDS:
        raise ConfigError(f"KERAS_BACKEND: found {name!r}, expected {' or '.join(BACKENDS)}")
    if "keras" in sys.modules:
        return
    try:
        with without_notices():
            import keras  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"Keras cannot start on {name} ({error}); install it, or set KERAS_BACKEND to "
            f"{' or '.join(BACKENDS)}"
        ) from None


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Holds back what libraries write to the file of standard error while they are loaded.

    TensorFlow writes some notices there before it looks at TF_CPP_MIN_LOG_LEVEL. They are kept
    from the reader only at level 3, which the command lines choose (`dim_tf.cli`).
    """
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        yield
        return
    sys.stderr.flush()
    standard_error = os.dup(2)
    with tempfile.TemporaryFile() as notices:
        os.dup2(notices.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(standard_error, 2)
            os.close(standard_error)
