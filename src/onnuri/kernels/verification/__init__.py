"""What proves the kernels: cases against float64, an interpreter that checks memory, compiled budgets."""
