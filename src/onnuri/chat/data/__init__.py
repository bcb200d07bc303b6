"""Conversations and preference pairs of one's own, to token shards."""
