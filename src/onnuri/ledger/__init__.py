"""The record of a run that proves itself: every line carries the hash of the one before."""
