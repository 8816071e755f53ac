"""The models, one a file; `dim_tf.systems.registry` knows them by name."""
