"""Files that are complete or absent, JSON into typed classes, text line by line, templates."""
