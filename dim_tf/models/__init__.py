"""The models, one a file; `dim_tf.systems.registry` builds them by name.

Importing this package registers them with Keras, so that `keras.saving.load_model` opens what
`model.save` wrote.
"""

from dim_tf.models import (  # noqa: F401
    dim,
    imn,
    imn_ctx,
    imn_utr,
    ir,
    kv_profile_memory,
    profile_memory,
    starspace,
    transformer,
)
