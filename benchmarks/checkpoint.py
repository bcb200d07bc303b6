"""What does a checkpoint cost: bandwidth beside dd, the share of hashing, and how long a step waits for it?

    python benchmarks/checkpoint.py --folder DISK_DIR --megabytes 1000

One rank, interleaved rounds in changing order, medians. dd writes as many bytes with conv=fsync.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist

from onnuri.base.allocator import keep_freed_memory
from onnuri.checkpoint import shard_file
from onnuri.checkpoint.shard_file import TensorSlice, write_shard
from onnuri.checkpoint.store import Saver


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("build"))
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between writes: disks burst")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()
    state = {f"weight/{n}": torch.randn(options.megabytes * 2500) for n in range(100)}
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        root = Path(scratch)
        dist.init_process_group("gloo", init_method=f"file://{root / 'meeting'}", rank=0, world_size=1)
        saver = Saver(root / "run", keep=1)
        pieces = {name: TensorSlice(values, 0) for name, values in state.items()}
        hashing = shard_file._hash
        write_shard(root / "source", pieces)
        files = {name: root / name for name in ("dd", "plain", "hashed")}

        def dd() -> None:
            words = [f"if={root / 'source'}", f"of={files['dd']}", "bs=4M", "conv=fsync", "status=none"]
            subprocess.run(["dd", *words], check=True)

        def plain() -> None:
            shard_file._hash = lambda blocks: "0" * 64
            write_shard(files["plain"], pieces)
            shard_file._hash = hashing

        def background() -> None:
            copies = {name: TensorSlice(values.clone(), 0) for name, values in state.items()}
            saver.save(len(times["stall of a background save"]) + 1, copies, {})

        kinds: dict[str, Callable[[], object]] = {
            "dd with fsync": dd,
            "one file, no hash": plain,
            "one file, hashed": lambda: write_shard(files["hashed"], pieces),
            "stall of a background save": background,
        }
        times |= {name: [] for name in (*kinds, "the rest of it")}
        for number in range(options.rounds):
            names = list(kinds)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                times[name].append(seconds(kinds[name]))
                if kinds[name] is background:
                    times["the rest of it"].append(seconds(saver.wait))
                for path in files.values():
                    path.unlink(missing_ok=True)
                time.sleep(options.pause)
        dist.destroy_process_group()
        shutil.rmtree(root / "run")
    for name, values in times.items():
        print(f"{name:28}{median(values):8.3f} s{options.megabytes / 1e3 / median(values):8.2f} GB/s")


if __name__ == "__main__":
    main()
