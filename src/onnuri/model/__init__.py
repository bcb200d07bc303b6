"""A decoder-only transformer whose every config has a stock Hugging Face twin."""
