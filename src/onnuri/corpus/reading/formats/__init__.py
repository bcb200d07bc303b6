"""Readers of single file formats: bytes in, text out, a one-line ValueError for what cannot be read."""
