"""KoPairs: a benchmark of Korean grammar made by program (see generate.py)."""
