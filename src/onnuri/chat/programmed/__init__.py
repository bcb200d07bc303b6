"""Korean tasks made by program, each with an exact checker: to train by reward, to show, to evaluate.

A family is one module under `families/` that exports a `FAMILY`, and one line in `table.py`.
"""
