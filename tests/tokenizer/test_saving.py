"""Files of a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from onnuri.tokenizer.huggingface import save
from tests.full_disk import files_of_at_most


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    """The library itself raises nothing that a command could tell from a fault of its own."""
    tokenizer = Tokenizer.from_str(json.dumps({"model": {"type": "BPE", "vocab": {}, "merges": []}}))
    with files_of_at_most(100), pytest.raises(OSError, match="File too large"):
        save(tokenizer, tmp_path)
