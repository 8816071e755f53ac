"""Command lines: parsers and flags, one-line errors, the one name of all commands, progress."""
