"""Files that are whole or not there, and text files line by line."""
