"""Starts Keras quietly, on one of the two supported backends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator

from dim_tf.errors import ConfigError, UsageError

BACKENDS = ("tensorflow", "jax")
_PROCESS: dict[str, int] = {}


def load() -> None:
    """Imports Keras and its backend; call it before the first `import keras` of a command.

    On JAX it also makes float32 products exact, see `_multiply_exactly`.

    Raises:
        ConfigError: The requested backend is not supported, or not installed.
    """
    name = os.environ.get("KERAS_BACKEND") or BACKENDS[0]
    check_backend(name)
    if "keras" not in sys.modules:
        _import_keras(name)
    import keras

    if keras.backend.backend() == "jax":
        _multiply_exactly()


def check_backend(name: str) -> None:
    """Raises `ConfigError` for the name of another backend."""
    if name not in BACKENDS:
        raise ConfigError(f"KERAS_BACKEND: found {name!r}, expected {' or '.join(BACKENDS)}")


def check_process() -> None:
    """Raises `UsageError` in a fork of the process that called it first: its threads are gone."""
    if _PROCESS.setdefault("id", os.getpid()) != os.getpid():
        found = "this process was forked after a model was loaded, and would wait for ever"
        raise UsageError(f"{found}; load models after the fork only, or use spawn or forkserver")


def _import_keras(name: str) -> None:
    # Overrides the backend in Keras' own settings file.
    os.environ["KERAS_BACKEND"] = name
    # Must be set before TensorFlow starts: its products of many small matrices are slow without it.
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
    """Multiplies float32 numbers as float32: by default JAX rounds them to 10 bits on a GPU.

    A chosen precision (`JAX_DEFAULT_MATMUL_PRECISION`) stays. Products of bfloat16 numbers are
    exact in any case.
    """
    import jax

    if jax.config.jax_default_matmul_precision is None:  # type: ignore[attr-defined]
        jax.config.update("jax_default_matmul_precision", "highest")


def _keep_freed_memory() -> None:
    """Lets glibc keep freed memory for the next allocation.

    A step allocates and frees gigabytes in blocks of megabytes. By default glibc returns each block
    to the system, which clears the pages of the next one: a fifth of the time of a step.
    """
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # names of <malloc.h>
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(trim_threshold, 2**31 - 1)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(arena_max, 1)


@contextlib.contextmanager
def without_notices() -> Iterator[None]:
    """Hides what libraries write to standard error while they are loaded.

    TensorFlow writes some notices before it reads TF_CPP_MIN_LOG_LEVEL. They are hidden only at
    level 3, which the command lines set (`dim_tf.cli.parser`).
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
