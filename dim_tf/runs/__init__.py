"""Run folders, the records of what is known of them, and the shipped models."""
