"""decontaminate: benchmark items are kept out of the documents."""
