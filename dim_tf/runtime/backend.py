"""Starts Keras on one of the two backends that can train here, quietly."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator

from dim_tf.errors import ConfigError

BACKENDS = ("tensorflow", "jax")


def load() -> None:
    """Imports Keras and its backend; call it before the first `import keras` of a command.

    On JAX it also has float32 numbers multiplied as such, see `_multiply_exactly`.

    Raises:
        ConfigError: The backend that is asked for is another one, or not installed.
    """
    name = os.environ.get("KERAS_BACKEND") or BACKENDS[0]
    if name not in BACKENDS:
        raise ConfigError(f"KERAS_BACKEND: found {name!r}, expected {' or '.join(BACKENDS)}")
    if "keras" not in sys.modules:
        _import_keras(name)
    import keras

    if keras.backend.backend() == "jax":
        _multiply_exactly()


def _import_keras(name: str) -> None:
    # What Keras' own settings file says of the backend does not count.
    os.environ["KERAS_BACKEND"] = name
    # Must be there before TensorFlow is: its products of many small matrices are slow without.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    _keep_freed_memory()
    try:
        with without_notices():
            import keras  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"Keras cannot start on {name} ({error}); install it, or set KERAS_BACKEND to "
            f"{' or '.join(BACKENDS)}"
        ) from None


def _multiply_exactly() -> None:
    """Lets float32 mean float32: JAX would have a GPU round to 10 bits what it multiplies.

    A precision that has been chosen (`JAX_DEFAULT_MATMUL_PRECISION`) stays. bfloat16 numbers are
    multiplied exactly in any case.
    """
    import jax

    if jax.config.jax_default_matmul_precision is None:
        jax.config.update("jax_default_matmul_precision", "highest")


def _keep_freed_memory() -> None:
    """Lets the C library keep what is freed for what is allocated next, where it is glibc.

    A step allocates and frees gigabytes in blocks of megabytes. By default glibc gives each back to
    the system, which clears the pages of the next one: a fifth of the time of a step.
    """
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # names of <malloc.h>
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(arena_max, 1)


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Holds back what libraries write to the file of standard error while they are loaded.

    TensorFlow writes some notices there before it looks at TF_CPP_MIN_LOG_LEVEL. They are kept
    from the reader only at level 3, which the command lines choose (`dim_tf.cli.parser`).
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
