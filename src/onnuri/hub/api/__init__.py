"""What clients call: one module a subject, each with its routes."""
