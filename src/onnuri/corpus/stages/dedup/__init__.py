"""dedup: of texts that are equal or nearly so one stays."""
