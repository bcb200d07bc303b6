"""Text from a model, as it comes."""
