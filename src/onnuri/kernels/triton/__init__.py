"""Fused kernels in Triton. Imported only when chosen: a run on a CPU never loads Triton."""
