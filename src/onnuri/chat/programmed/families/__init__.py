"""One module a family of tasks."""
