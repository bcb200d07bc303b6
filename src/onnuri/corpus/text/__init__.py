"""Text as arrays: many documents joined into one, words, n-grams, normalization form C."""
