"""Everything that an installation without a network needs, in one folder."""
