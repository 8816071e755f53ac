"""Ranking texts with a trained run: turns, candidates, chat, attention."""
