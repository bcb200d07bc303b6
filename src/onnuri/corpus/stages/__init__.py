"""What happens to text between reading and writing: a package or a module a stage, functions on a batch."""
