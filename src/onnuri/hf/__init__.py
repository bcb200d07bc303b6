"""A Hugging Face folder: loading it, its weights in both directions, its embeddings, its model card."""
