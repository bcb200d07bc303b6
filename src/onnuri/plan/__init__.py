"""What a run needs, worked out before anything starts: memory, time, network, storage. No torch in here."""
