"""Attention for CPUs in C++, compiled when the package is installed; its matrix products are oneDNN's."""
