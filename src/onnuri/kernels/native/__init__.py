"""What CPUs compute in C++, compiled when the package is installed; matrix products are oneDNN's."""
