"""Terms, consents and grants."""
