"""The check of a GPU node: stages with a limit each, one file of results, and the report made of it."""
