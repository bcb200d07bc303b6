"""A quality score that learns from two heaps of texts: good ones, and what came off the web."""
