"""Everything that touches the internals of DeepSpeed and torch.distributed."""
