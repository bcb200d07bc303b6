"""From a checkpoint of a run to a Hugging Face folder."""
