"""From text to ids: the rules of words, prepared folders, batches of inputs, word vectors."""
