"""How the C library keeps memory that was freed."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST = (1 << 31) - 1


def keep_freed_memory(limit: int = LARGEST, ahead: int = 256 << 20) -> None:
    """Tell glibc to keep what is freed instead of giving it back to the kernel.

    Page faults on freshly mapped memory double the time of a training step on a CPU, and of scoring many
    short texts (LAB.md). For a process that ends with its work: it keeps what it once held. No effect where
    the C library has no mallopt.

    Args:
        limit: bytes that may lie free at the end.
        ahead: bytes to ask for beyond what is needed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(M_MMAP_THRESHOLD, min(limit, 1 << 30))
    mallopt(M_TRIM_THRESHOLD, limit)
    mallopt(M_TOP_PAD, ahead)
