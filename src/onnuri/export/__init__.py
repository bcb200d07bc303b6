"""From a checkpoint of a run to a Hugging Face folder, and from such a folder to weights to start from."""
