"""From raw text to documents: read, normalise, drop exact duplicates, hold some out, count everything."""
