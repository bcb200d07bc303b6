"""One loader over the same random tokens, for benchmarks/loader.py: prints million tokens a second.

    benchmarks/peers/loader.py numpy|datasets|litdata|datatrove FOLDER NUM_ROWS BATCHES

Batches of 8 x 1024 tokens, shuffled, as int64 tensors, one process. The set is written first, untimed.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

ROWS, LENGTH = 8, 1024


def random_tokens(num_rows: int) -> np.ndarray:
    """[num_rows, LENGTH] of a vocabulary of 32,000."""
    return np.random.default_rng(0).integers(0, 32000, (num_rows, LENGTH), dtype=np.uint16)


def numpy_batches(folder: Path, num_rows: int) -> Iterator[Any]:
    """A bare memory map and an index in memory: the floor, without boundaries of documents."""
    random_tokens(num_rows).tofile(folder / "tokens.bin")
    tokens = np.memmap(folder / "tokens.bin", np.uint16, "r").reshape(-1, LENGTH)
    order = np.random.default_rng(1).permutation(num_rows)
    for start in itertools.count(0, ROWS):
        chosen = np.take(order, range(start, start + ROWS), mode="wrap")
        yield torch.from_numpy(tokens[chosen].astype(np.int64))


def datasets_batches(folder: Path, num_rows: int) -> Iterator[Any]:
    """Hugging Face datasets in Arrow, torch format."""
    import pyarrow as pa
    from datasets import Dataset, load_from_disk

    column = pa.FixedSizeListArray.from_arrays(pa.array(random_tokens(num_rows).reshape(-1)), LENGTH)
    Dataset(pa.table({"input_ids": column})).save_to_disk(str(folder / "set"))
    rows = load_from_disk(str(folder / "set")).with_format("torch").shuffle(seed=1)
    loader = torch.utils.data.DataLoader(rows, batch_size=ROWS)
    for batch in itertools.chain.from_iterable(itertools.repeat(loader)):
        yield batch["input_ids"].long()


def litdata_batches(folder: Path, num_rows: int) -> Iterator[Any]:
    """litdata's streaming chunks."""
    from litdata import StreamingDataLoader, StreamingDataset, TokensLoader
    from litdata.streaming import Cache

    tokens = TokensLoader(block_size=LENGTH)
    cache = Cache(str(folder / "set"), chunk_size=LENGTH * 8192 + 8192, item_loader=tokens)
    for index, row in enumerate(random_tokens(num_rows)):
        cache[index] = torch.from_numpy(row.astype(np.int32))
    cache.done()
    cache.merge()
    rows = StreamingDataset(str(folder / "set"), item_loader=tokens, shuffle=True, drop_last=True)
    for batch in itertools.chain.from_iterable(
        itertools.repeat(StreamingDataLoader(rows, batch_size=ROWS, num_workers=0))
    ):
        yield batch.long()


def datatrove_batches(folder: Path, num_rows: int) -> Iterator[Any]:
    """datatrove's tokenised files."""
    from datatrove.utils.dataset import DatatroveFolderDataset

    rows = np.random.default_rng(0).integers(0, 32000, (num_rows, LENGTH + 1), dtype=np.uint16)
    (folder / "set").mkdir()
    rows.tofile(folder / "set" / "tokens.ds")
    ends = np.arange(1, num_rows + 1, dtype=np.uint64) * (LENGTH + 1)
    (folder / "set" / "tokens.ds.index").write_bytes(ends.tobytes())
    data = DatatroveFolderDataset(
        str(folder / "set"), seq_len=LENGTH, token_size=2, shuffle=True, seed=1, return_positions=False
    )
    loader = torch.utils.data.DataLoader(data, batch_size=ROWS)
    for batch in itertools.chain.from_iterable(itertools.repeat(loader)):
        yield batch["input_ids"][:, :LENGTH]


def million_tokens_a_second(batches: Iterator[Any], count: int) -> float:
    """Median of five stretches of `count` batches, after a warm-up."""
    for _ in itertools.islice(batches, 200):
        pass
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in itertools.islice(batches, count):
            pass
        rates.append(count * ROWS * LENGTH / (time.perf_counter() - started) / 1e6)
    return median(rates)


if __name__ == "__main__":
    torch.set_num_threads(1)
    kinds = {
        "numpy": numpy_batches,
        "datasets": datasets_batches,
        "litdata": litdata_batches,
        "datatrove": datatrove_batches,
    }
    made = kinds[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
    print(f"PEER {million_tokens_a_second(made, int(sys.argv[4])):.1f}", flush=True)
