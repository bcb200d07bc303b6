"""Windows that are hardly meant are reported with figures."""

from __future__ import annotations

from pathlib import Path

from tests.tokens.shard_files import open_loader, write


def warned(folder: Path, length: int, batch: int, num_sources: int = 1, **options: object) -> list[str]:
    loader = open_loader(folder, num_sources, batch, sequence_length=length, **options)
    return loader.warnings(0)


def test_windows_longer_than_the_data(tmp_path: Path) -> None:
    write(tmp_path, [30] * 20, shard_tokens=1 << 20)
    assert warned(tmp_path, 100, 6) == []
    (line,) = warned(tmp_path, 2400, 8)
    assert "cuts the 600 tokens into 1 window(s): 7 of 8 rows of a step repeat another one, 75%" in line
    (line,) = warned(tmp_path, 100, 10)
    assert "into 6 window(s): 4 of 10 rows" in line
    (line,) = warned(tmp_path, 1000, 1)
    assert "0 of 1 rows of a step repeat another one, 40% of their positions are filler" in line
    (line,) = warned(tmp_path, 2400, 8, packing="best_fit")
    assert "7 of 8 rows" in line


def test_a_small_source_of_a_mixture_is_named(tmp_path: Path) -> None:
    write(tmp_path, [30, 900] * 10, shard_tokens=1 << 20, num_sources=2)
    found = warned(tmp_path, 300, 10, 2, mixture={"s0": 0.5, "s1": 0.5})
    assert len(found) == 1 and "300 tokens of s0 into 1 window(s): 4 of 5 rows" in found[0]
