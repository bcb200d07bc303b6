"""The sharing hub: models and datasets of institutions, for stock Hugging Face clients, with consent."""
