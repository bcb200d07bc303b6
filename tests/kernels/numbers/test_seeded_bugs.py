"""Bugs put into the real kernels on purpose: the gates must find them."""

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from onnuri.kernels.triton import attention as launches
from onnuri.kernels.triton import attention_kernels as kernels
from onnuri.kernels.triton.tiles import AttentionTiles, Tile
from onnuri.kernels.verification.cases import TOLERANCE, attention_case, errors

TILES = AttentionTiles(*(Tile(16, 16, 4, 1),) * 3)
NUMBER = itertools.count()
CASE = attention_case(1, 50, (4, 2), 16, [20], 0, seed=0)


def mutated(folder: Path, *changes: tuple[str, str]) -> ModuleType:
    """The modules of the attention kernels and their launches, pieces of their source text exchanged."""
    number = next(NUMBER)
    texts = [Path(module.__file__).read_text() for module in (kernels, launches)]
    for old, new in changes:
        assert old in "".join(texts), f"the kernels no longer have {old!r}: seed this bug another way"
        texts = [text.replace(old, new) for text in texts]
    texts[1] = texts[1].replace(kernels.__name__, f"mutated_kernels_{number}")
    texts[1] = texts[1].replace('"triton_attention"', f'"mutated_attention_{number}"')
    for name, text in zip((f"mutated_kernels_{number}", f"mutated_{number}"), texts, strict=True):
        path = folder / f"{name}.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location(name, path)
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def worst(module: ModuleType) -> float:
    def attention(query, key, value, mask):
        return module.attention_in_tiles(query, key, value, mask, TILES)

    return max(errors(CASE, attention, torch.float32).values())


def test_the_unchanged_text_passes(tmp_path: Path) -> None:
    assert worst(mutated(tmp_path)) <= TOLERANCE[torch.float32]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "rows = (start + tl.arange(0, ROWS) < num_rows)",
            "rows = (start + tl.arange(0, ROWS) <= num_rows)",
        ),
        ("last = tl.minimum(start + M, num_tokens) - 1", "last = tl.minimum(start + M, num_tokens)"),
        ("mask=inside, other=0.0)", "mask=rows <= num_tokens, other=0.0)"),
        ("edge = tl.maximum(start // N * N, whole)", "edge = tl.maximum(start // N * N + N, whole)"),
        ("tl.load(end_query + start) // M * M", "(tl.load(end_query + start) + M - 1) // M * M"),
        (
            "(triton.cdiv(tokens, tile.keys), keys.shape[1])",
            "(triton.cdiv(tokens, tile.keys), 1 + keys.shape[1])",
        ),
    ],
)
def test_a_bound_that_is_off_by_one(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(Exception, match="out-of-bounds"):
        worst(mutated(tmp_path, (old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    start = block * M\n", "    start = block * (M - 4)\n"),
        ("    start = tl.program_id(0) * N\n", "    start = tl.program_id(0) * (N - 1)\n"),
    ],
)
def test_programs_that_overlap(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(Exception, match="race: program"):
        worst(mutated(tmp_path, (old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(keys[None, :] >= first[:, None])", "(keys[None, :] > first[:, None])"),
        ("(rows[None, :] < end[:, None])", "(rows[None, :] <= end[:, None])"),
        ("begin = start // M * M", "begin = start // M * M + M"),
        ("(start + N + M - 1) // M * M, stop)", "(start + M - 1) // M * M, stop)"),
        ("key += (head // GROUP) * key_head_stride", "key += (head % 2) * key_head_stride"),
        ("weighted * shrink[:, None]", "weighted"),
    ],
)
def test_wrong_numbers(tmp_path: Path, old: str, new: str) -> None:
    assert not worst(mutated(tmp_path, (old, new))) <= TOLERANCE[torch.float32]
