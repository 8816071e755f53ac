"""The systems of the paper's comparison, known by name."""
