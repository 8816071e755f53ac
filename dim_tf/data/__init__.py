"""Text to ids: text rules, prepared folders, batches of inputs, word vectors."""
