"""From the texts of a conversation to ranked replies, and what they looked at."""
