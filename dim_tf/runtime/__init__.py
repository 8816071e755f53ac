"""Keras at work: the backend, compiled programs of a model, and scoring."""
