"""Onnuri: raw Korean and English text to a language model that anyone can load, check and share."""

__version__ = "0.1.0"
