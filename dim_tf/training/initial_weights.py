"""The initial weights of a training: fresh and scaled, or those of another run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.config import DATA_FIELDS
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError
from dim_tf.runs.run import Run
from dim_tf.systems import registry

if TYPE_CHECKING:
    import keras


def check(initial: Run, run: Run, data: PreparedData) -> None:
    """Raises `UsageError` if `run` cannot start from the weights of `initial`."""
    words, settings = initial.differences_from(data), []
    if initial.model not in (run.model, registry.get(run.model).starts_from):
        settings.append(f"the model ({initial.model} instead of {run.model})")
    if not registry.get(run.model).trained and initial.persona != run.persona:
        settings.append(f"the persona ({initial.persona} instead of {run.persona})")
    theirs, ours = initial.model_config.to_dict(), run.model_config.to_dict()
    # No weight depends on how much of a turn is read (`max_...`).
    for name in sorted(theirs.keys() - {"dropout", "precision", *DATA_FIELDS}):
        if not name.startswith("max_") and theirs[name] != ours[name]:
            settings.append(f"{name} ({theirs[name]} instead of {ours[name]})")
    if words or settings:
        remedies = [f"prepare the data with --like {initial.path}"] * bool(words)
        remedies += ["train with the settings of that run"] * bool(settings)
        raise UsageError(
            f"--init-from {initial.path}: its weights do not fit, since these differ: "
            f"{', '.join([*words, *settings])}; {', and '.join(remedies)}"
        )


def description(initial: Run) -> dict[str, Any]:
    """The entry `initial` in the config of a run that starts from these weights."""
    return {"run": initial.name, "prepared": initial.prepared, "initial": initial.initial}


def scale_encoder_inputs(model: keras.Model, scale: float) -> None:
    """Multiplies the input part of the encoder's kernels by `scale`.

    Glorot initialisation assumes inputs of variance 1. The word vectors have a root mean square of
    about 0.4 (GloVe 0.5, Word2Vec 0.1). So the states of the encoder and their dot products
    (equation 7) start near 0, attention is uniform, and training stays on a plateau until the
    kernels have grown. A factor of 3 has the effect of inputs of about variance 1; IMN needs 6.
    """
    if scale == 1.0:
        return
    encoder = model.get_layer("encoder")
    for kernel, _ in encoder.directions:
        values = np.asarray(kernel.value).copy()
        values[: encoder.input_dim] *= scale
        kernel.assign(values)


def copy(initial: Run, run: Run, model: keras.Model) -> None:
    """Copies the best weights of `initial` into the model of a new run.

    Trained word vectors are copied by word. New words keep those of the data, in the axes of
    `initial`, since the principal components of two folders differ; without enough known words
    to tell these, as they are.
    """
    trained = initial.load_model()
    for variable, source in zip(
        model.trainable_variables, trained.trainable_variables, strict=True
    ):
        values = np.asarray(source.value)
        if variable.path.endswith("words/embeddings") and initial.words != run.words:
            rows = {word: row for row, word in enumerate(initial.words)}
            known = [row for row, word in enumerate(run.words) if word in rows]
            table = np.asarray(variable.value).copy()
            theirs = values[[rows[run.words[row]] for row in known]]
            axes, _, rank, _ = np.linalg.lstsq(table[known], theirs, rcond=None)
            values = table @ axes if rank == len(axes) else table
            values[known] = theirs
        variable.assign(values)
