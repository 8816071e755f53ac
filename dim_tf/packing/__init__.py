"""Packed sequences of the words of a batch, so that padding costs nothing."""
