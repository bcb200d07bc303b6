"""What happens to text between reading and writing: one module a stage, each a pure function on a batch."""
