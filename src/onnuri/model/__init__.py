"""Architectures: their options, their modules, and what the rest must know of each (`ModelSpec`)."""
