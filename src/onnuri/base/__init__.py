"""What every package stands on: errors, manifests, provenance, processes. It imports no other package."""
