"""Uploads by the xet protocol: formats, and what takes them in."""
