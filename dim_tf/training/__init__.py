"""Training a run: its start, updates and losses, checkpoints, TensorBoard."""
