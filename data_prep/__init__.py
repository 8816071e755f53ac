"""Raw dialogue files and word vectors in, one prepared folder out."""
