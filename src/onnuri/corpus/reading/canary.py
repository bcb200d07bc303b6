"""Benchmarks that must not be trained on say so: their files begin with a canary, and are refused."""

from __future__ import annotations

from typing import BinaryIO

from onnuri.base.errors import UserError
from onnuri.corpus.reading import compression

CANARIES = {
    "5b0f6a3e-8c1d-4f27-9a64-d2e7b1c93f58": "KoPairs",
}
LOOKED_INTO = 1 << 13


class BenchmarkFile(UserError):
    """An input that is a benchmark."""


def refuse_benchmark(stream: BinaryIO, name: str) -> None:
    """Raise BenchmarkFile if a seekable stream, packed or not, begins as a known benchmark's file does."""
    try:
        head = compression.unpacked(stream).read(LOOKED_INTO)
    except Exception:  # damaged: the reader says how
        head = b""
    finally:
        stream.seek(0)
    for canary, benchmark in CANARIES.items():
        if canary.encode() in head:
            raise BenchmarkFile(
                f"{name} is the benchmark {benchmark}, not text to train on; take it out of the input "
                "(benchmarks=FILE keeps its items out of the corpus)"
            )
