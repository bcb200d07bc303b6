"""Conversations: their format, and tasks with programmed answers."""
