"""Chat: programmed tasks with checkers."""
