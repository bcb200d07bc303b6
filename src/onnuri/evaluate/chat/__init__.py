"""Answers of chat models, written by the model and graded by programs: `onnuri evaluate tasks=[chat]`."""
