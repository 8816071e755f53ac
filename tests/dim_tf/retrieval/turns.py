"""The replies of the tests' pool, and a turn."""

from __future__ import annotations

LINES = [
    {"text": "i like dogs", "id": "dogs", "topic": "animals"},
    {"text": "fine", "id": 7, "topic": "mood"},
    {"text": "tea"},
    {"text": "you like tea", "topic": "drinks"},
    {"text": " tea "},
    {"text": "hello i'm fine", "topic": "mood"},
]
CONTEXT, PERSONA = ["hello you", "you like tea ?"], ["i like dogs ."]
