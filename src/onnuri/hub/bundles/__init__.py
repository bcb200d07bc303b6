"""Repositories from one hub to another without a network between them, and backups of a hub."""
