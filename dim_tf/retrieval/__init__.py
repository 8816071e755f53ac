"""Pools of replies on disk, a first stage that searches them, and the ranker behind it."""
