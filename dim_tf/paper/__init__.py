"""The published numbers, the runs that reproduce them, and the comparison of both."""
