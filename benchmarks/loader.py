"""How fast does one core read shuffled training batches from the page cache, beside the peers?

    python benchmarks/loader.py --peer PEER/bin/python

PEER is an environment with torch, datasets, litdata and datatrove[io,processing]. Ours reads documents of
log-normal length and gives their boundaries with every batch; the peers read rows without boundaries.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers.loader import LENGTH, ROWS, million_tokens_a_second  # type: ignore[import-not-found]

from onnuri.base.manifest import Manifest
from onnuri.tokens.config import DataConfig
from onnuri.tokens.loader import Loader
from onnuri.tokens.shards import DOCUMENT, SplitWriter

OURS: dict[str, dict[str, Any]] = {
    "concatenate": {},
    "mixture of three": {"mixture": {"s0": 0.5, "s1": 0.3, "s2": 0.2}},
    "best fit": {"packing": "best_fit"},
}


def write_shards(folder: Path, num_tokens: int) -> Manifest:
    """Documents of four sources, 770 tokens on average."""
    generator = np.random.default_rng(0)
    writer = SplitWriter(folder, "train", np.dtype("<u2"), 1 << 27)
    for portion in itertools.count():
        lengths = np.maximum(2, generator.lognormal(6.0, 1.2, 2000).astype(np.int64))
        rows = np.zeros(len(lengths), dtype=DOCUMENT)
        rows["length"], rows["offset"], rows["source"] = lengths, lengths.cumsum() - lengths, portion % 4
        tokens = generator.integers(1, 32000, lengths.sum()).astype(np.uint16)
        tokens[lengths.cumsum() - 1] = 0
        writer.add(tokens, rows)
        if writer.totals()["tokens"] > num_tokens:
            break
    writer.close()
    sources = [{"name": f"s{number}"} for number in range(4)]
    return Manifest("tokens", {}, {}, {"separator": 0, "sources": sources})


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--peer", default=sys.executable, help="python with the peers installed")
    parser.add_argument("--rows", type=int, default=120_000, help=f"of {LENGTH} tokens")
    parser.add_argument(
        "--batches", type=int, default=2000, help=f"of {ROWS} rows, in each of five stretches"
    )
    parser.add_argument("--peers", nargs="*", default=["numpy", "datatrove", "litdata", "datasets"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    with tempfile.TemporaryDirectory() as scratch:
        shards = Path(scratch) / "shards"
        shards.mkdir()
        data = write_shards(shards, options.rows * LENGTH)
        for name, settings in OURS.items():
            config = DataConfig(path=str(shards), sequence_length=LENGTH, **settings)
            loader = Loader(config, data, ROWS, shards / "layouts")
            batches = (
                [torch.from_numpy(part) for part in loader.micro_batch(step, 0, 0, 1, ROWS)]
                for step in itertools.count()
            )
            print(
                f"{f'onnuri, {name}':26}{million_tokens_a_second(batches, options.batches):8.1f} M tokens/s"
            )
            seeks = []
            for step in (10, 10**6):
                started = time.perf_counter()
                loader._blocks.cache_clear()
                loader.micro_batch(step, 0, 0, 1, ROWS)
                seeks.append(1e3 * (time.perf_counter() - started))
            print(f"{'':26}first batch at step 10 {seeks[0]:.2f} ms, at step 1,000,000 {seeks[1]:.2f} ms")
        for peer in options.peers:
            folder = Path(scratch) / peer
            folder.mkdir()
            script = Path(__file__).with_name("peers") / "loader.py"
            words = [peer, str(folder), str(options.rows), str(options.batches)]
            result = subprocess.run(
                [options.peer, str(script), *words], capture_output=True, text=True, check=False
            )
            shown = [line[5:] for line in result.stdout.splitlines() if line.startswith("PEER ")]
            print(
                f"{peer:26}{float(shown[0]):8.1f} M tokens/s"
                if shown
                else f"{peer} failed: {result.stderr}"
            )


if __name__ == "__main__":
    main()
