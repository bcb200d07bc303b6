"""pii: personal data is masked."""
