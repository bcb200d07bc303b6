"""What committed files would do to those who load them: looked at after each commit, never run."""
