"""filter: rules for prose, and spam."""
