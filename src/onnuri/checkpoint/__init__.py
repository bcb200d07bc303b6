"""Checkpoints that any world size and any ZeRO stage can load, with no conversion."""
