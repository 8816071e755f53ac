"""Which words of a batch are there, packed so that only they cost: masks, plans and sizes."""
