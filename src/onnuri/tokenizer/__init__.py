"""Byte-level tokenizers for Korean and English that lose nothing."""
