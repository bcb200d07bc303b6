"""From files, packages and datasets to raw rows."""
