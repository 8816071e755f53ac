"""The weights that a training starts with: scaled fresh ones, or those of another run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dim_tf.cli.flags import DATA_FIELDS
from dim_tf.data.dataset import PreparedData
from dim_tf.errors import UsageError
from dim_tf.runs.run import Run

if TYPE_CHECKING:
    import keras


def check(initial: Run, run: Run, data: PreparedData) -> None:
    """Raises `UsageError` if the weights of `initial` would mean something else in `run`."""
    words, settings = initial.differences_from(data), []
    if initial.model != run.model:
        settings.append(f"the model ({initial.model} there, {run.model} here)")
    there, here = initial.model_config.to_dict(), run.model_config.to_dict()
    # How much of a turn is read is nothing to the weights.
    for name in sorted(there.keys() - {"dropout", "precision", *DATA_FIELDS}):
        if not name.startswith("max_") and there[name] != here[name]:
            settings.append(f"{name} ({there[name]} there, {here[name]} here)")
    if words or settings:
        remedies = [f"prepare the data with --like {initial.path}"] * bool(words)
        remedies += ["train with the settings of that run"] * bool(settings)
        raise UsageError(
            f"--init-from {initial.path}: its weights would mean nothing here, since these differ: "
            f"{', '.join([*words, *settings])}; {', and '.join(remedies)}"
        )


def described(initial: Run) -> dict[str, Any]:
    """What the new run says of them: whose they are, and what that run began with itself."""
    return {"run": initial.name, "prepared": initial.prepared, "initial": initial.initial}


def scale_encoder_inputs(model: keras.Model, scale: float) -> None:
    """Multiplies the part of the encoder's kernels that meets the word vectors.

    Glorot's rule keeps the variance of a layer whose inputs have variance 1 a component. Those of
    the encoder have less: about 0.4 root mean square, GloVe 0.5 and Word2Vec 0.1. So its states and
    their dot products (equation 7) are near 0, attention is uniform, and training waits on a
    plateau until the kernels have grown. A factor of 3 brings the inputs to about variance 1.
    """
    if scale == 1.0:
        return
    encoder = model.get_layer("encoder")
    for kernel, _ in encoder.directions:
        values = np.asarray(kernel.value).copy()
        values[: encoder.input_dim] *= scale
        kernel.assign(values)


def copy(initial: Run, model: keras.Model) -> None:
    """Gives a model of the new run the best weights of `initial`."""
    trained = initial.load_model().trainable_variables
    for variable, source in zip(model.trainable_variables, trained, strict=True):
        variable.assign(source.value)
