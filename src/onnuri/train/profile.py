"""Where the time and the memory of a few steps go: a trace, a table and a picture in RUN_DIR/profile.

The trace opens in Perfetto (ui.perfetto.dev, which works offline once loaded) or chrome://tracing.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import torch

FOLDER = "profile"
STEPS_BEFORE, STEPS = 3, 3
"""Steps of a start that are not traced, as things are compiled and mapped in them, and that are."""
RANKS = 8
"""Only the first ranks write."""
ROWS = 40


class Profiler:
    """Traces STEPS steps of this start; off where it is not wanted."""

    def __init__(self, wanted: bool, run_dir: Path, rank: int) -> None:
        self.folder, self.rank = run_dir / FOLDER, rank
        self._profile: Any = None
        if not wanted or rank >= RANKS:
            return
        self.folder.mkdir(exist_ok=True)
        self._profile = torch.profiler.profile(
            schedule=torch.profiler.schedule(wait=STEPS_BEFORE - 1, warmup=1, active=STEPS, repeat=1),
            on_trace_ready=self._write,
            profile_memory=True,
            with_flops=True,
        )
        self._profile.start()

    def end_step(self) -> None:
        """A step is over."""
        if self._profile:
            self._profile.step()

    def close(self) -> None:
        """Stop, whether or not all steps were traced."""
        if self._profile:
            self._profile.stop()

    def _write(self, profile: Any) -> None:
        name = f"rank-{self.rank:05d}"
        trace = self.folder / f"trace-{name}.json.gz"
        profile.export_chrome_trace(str(trace))
        order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        table = profile.key_averages().table(sort_by=order, row_limit=ROWS, max_name_column_width=70)
        (self.folder / f"operators-{name}.txt").write_text(table + "\n", encoding="utf-8")
        draw_memory(trace, self.folder / f"memory-{name}.png")


def draw_memory(trace: Path, picture: Path) -> None:
    """What each step allocates, over its time: one curve a step and device, each from 0.

    (The profiler does not see all that is freed, so sums over several steps would drift.)
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    with gzip.open(trace, "rt", encoding="utf-8") as stream:
        events = json.load(stream)["traceEvents"]
    figure, axes = pyplot.subplots(figsize=(9, 4))
    for step in (event for event in events if str(event.get("name", "")).startswith("ProfilerStep#")):
        curves: dict[str, list[tuple[float, float]]] = {}
        for event in events:
            if event.get("name") == "[memory]" and 0 <= event["ts"] - step["ts"] <= step["dur"]:
                device = "host" if event["args"]["Device Type"] == 0 else "GPU"
                point = ((event["ts"] - step["ts"]) / 1e6, event["args"]["Total Allocated"] / 2**20)
                curves.setdefault(device, []).append(point)
        for device, points in curves.items():
            seconds, sizes = zip(*sorted(points), strict=True)
            label = f"step {int(step['name'].split('#')[1]) + 1} of this start, {device}"
            axes.plot(seconds, [size - sizes[0] for size in sizes], label=label, drawstyle="steps-post")
    axes.set_xlabel("seconds since the step began")
    axes.set_ylabel("MiB allocated since then")
    axes.legend()
    figure.tight_layout()
    figure.savefig(picture, dpi=120)
    pyplot.close(figure)
