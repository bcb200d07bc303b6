"""A run directory: the names of its files, its lock, ledger chain, metrics file and list of checkpoints."""
