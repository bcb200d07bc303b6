"""Pretraining on DeepSpeed ZeRO: `loop.py` is the whole step, top to bottom."""
