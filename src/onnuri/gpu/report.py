"""Results as tables: the block of docs/gpu.md, and the summary at the end of a call."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.gpu import bars
from onnuri.gpu.results import Call, find, newest, spilled, split, version
from onnuri.gpu.stage import Result

BEGIN, END = "<!-- gpu-report: begin -->", "<!-- gpu-report: end -->"
REHEARSAL = "**A rehearsal on a CPU: no figure below is a measurement.**"


def write_block(path: Path, calls: list[Call]) -> None:
    """Replace what is between the markers of a file.

    Raises UserError if it has no markers.
    """
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UserError(f"{path} must have the lines {BEGIN} and {END} once each")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    path.write_text(f"{before}{BEGIN}\n{block(calls)}\n{END}{after}", encoding="utf-8")


def block(calls: list[Call]) -> str:
    """All tables; those without a result are left out, the goals never."""
    parts = [REHEARSAL] if rehearsed(calls) else []
    parts += [environment(calls), goals(calls)]
    tables = (
        attention(calls),
        loss(calls),
        row_operations(calls),
        training(calls),
        sweep(calls),
        incidents(calls),
    )
    return "\n\n".join([part for part in (*parts, *tables) if part])


def summary(results: Iterable[Result]) -> str:
    """The goals, the training runs and what did not run, for the end of a command's output."""
    calls = split(results)
    parts = [REHEARSAL] if rehearsed(calls) else []
    return "\n\n".join(["", *parts, goals(calls), training(calls), incidents(calls)])


def rehearsed(calls: list[Call]) -> bool:
    """Whether some of it ran on a CPU."""
    return any(call.header.get("rehearsal") for call in calls)


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table, empty without lines. A leading > in a name of `head` aligns its column right."""
    lines = list(lines)
    if not lines:
        return ""
    rule = ["--:" if name.startswith(">") else "---" for name in head]
    every = [[name.removeprefix(">") for name in head], rule, *lines]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in every)


def _cell(text: str) -> str:
    """Without what would end a cell or a row."""
    return " ".join(text.replace("|", "\\|").splitlines())


def _titled(title: str, text: str) -> str:
    return f"{title}\n\n{text}" if text else ""


def environment(calls: list[Call]) -> str:
    """Device, versions and ceilings of each call."""
    lines = []
    for call in calls:
        facts = call.environment
        if not facts:
            continue
        versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        ceilings = [
            f"{each['ceiling']}: "
            + (f"{each['tflops']:.0f} TFLOP/s" if "tflops" in each else f"{each['gbs']:,.0f} GB/s")
            for each in call.find(stage="environment")
            if "ceiling" in each
        ]
        changed = " and changes" if call.header["code"]["modified"] else ""
        commit = f"{version(call)[:10] or 'unknown'}{changed}"
        name = f"{call.header['call']}, {call.header['time'][:10]}, commit {commit}"
        lines.append((name, f"{facts['device']}, {facts['cores']} cores", versions, "; ".join(ceilings)))
    return table(("call", "device", "versions", "measured ceilings"), lines)


def goals(calls: list[Call]) -> str:
    """The bars; a rehearsal meets none."""
    rows = bars.rows(calls)
    if rehearsed(calls):
        rows = [
            row._replace(verdict=row.verdict if row.measured == row.verdict else "rehearsed")
            for row in rows
        ]
    return table(("goal", "bar", "measured", "verdict"), rows)


def attention(calls: list[Call]) -> str:
    """TFLOP/s, forward / backward, by shape and implementation."""
    found = [each for each in find(calls, measured="attention") if "forward_tflops" in each]
    names = list(dict.fromkeys(each["implementation"] for each in found))
    shapes: dict[tuple[int, int, int], dict[str, str]] = {}
    for each in found:
        key = each["head_dim"], each["documents"], each["length"]
        text = f"{each['forward_tflops']:.0f} / {each['backward_tflops']:.0f}"
        shapes.setdefault(key, {})[each["implementation"]] = text
    lines = [
        (
            str(size),
            f"{length:,}" + (f" in {documents} documents" if documents else ""),
            *(row.get(n, "") for n in names),
        )
        for (size, documents, length), row in sorted(shapes.items())
    ]
    head = ("head size", "tokens of a row", *(f">{name}" for name in names))
    return _titled(
        "Attention in bf16, 16 query heads over 8, TFLOP/s forward / backward:", table(head, lines)
    )


def loss(calls: list[Call]) -> str:
    """Milliseconds and rates, the ceiling first."""
    lines = [
        (f"{each['vocabulary']:,}", f"products alone, {each['rows']:,} rows", "", f"{each['tflops']:.0f}")
        for each in newest(find(calls, measured="loss ceiling"), "vocabulary")
    ]
    for each in newest(find(calls, measured="loss"), "vocabulary", "implementation", "chunk"):
        name = f"{each['implementation']}, chunk {each['chunk'] or 'as chosen'}"
        values = (
            (f"{each['ms']:.2f}", f"{each['tflops']:.0f}") if "ms" in each else (each["error"][:60], "")
        )
        lines.append((f"{each['vocabulary']:,}", name, *values))
    lines.sort(key=lambda line: -int(line[0].replace(",", "")))
    text = table(("vocabulary", "loss", ">ms", ">TFLOP/s"), lines)
    return _titled("Loss and its gradients in bf16, 16,384 tokens of 2,048:", text)


def row_operations(calls: list[Call]) -> str:
    """Milliseconds of norms, RoPE and SwiGLU."""
    lines = [
        (
            f"{each['function']} {each['shape']}",
            each["implementation"],
            *(f"{each[f'{way}_ms']:.3f}" for way in ("forward", "backward")),
            *(f"{each[f'{way}_gbs']:,.0f}" for way in ("forward", "backward")),
        )
        for each in newest(find(calls, measured="rows"), "function", "shape", "implementation")
        if "forward_ms" in each
    ]
    head = ("operation", "implementation", ">forward ms", ">backward ms", ">forward GB/s", ">backward GB/s")
    return _titled("Operations on rows in bf16:", table(head, lines))


def training(calls: list[Call]) -> str:
    """Our runs and the peers', with what was planned."""
    lines = []
    for each in newest((*find(calls, measured="training"), *find(calls, measured="peer")), "stage"):
        name = each["stage"].removeprefix("train-").replace("peer-", "Hugging Face, ")
        if "seconds" not in each:
            lines.append((name, each.get("error", "")[:80], *[""] * 5))
            continue
        peak = each.get("smi_peak_gib", each.get("memory_reserved_gib"))
        plan = bars.planned(each)
        speed, memory = (plan.tokens_per_second, plan.memory_gib) if plan else (None, None)
        lines.append(
            (
                name,
                f"{each['tokens_per_second']:,.0f}",
                _number(speed, ",.0f"),
                _number(100 * each["mfu"] if "mfu" in each else None, ".1f"),
                _number(peak, ".1f"),
                _number(memory, ".1f"),
                f"{each['steps']}",
            )
        )
    head = ("run", ">tokens/s", ">planned", ">MFU %", ">GiB", ">planned GiB", ">steps")
    return _titled("Training, one device:", table(head, lines))


def _number(value: float | None, shape: str) -> str:
    return "" if value is None else format(value, shape)


def sweep(calls: list[Call]) -> str:
    """Tiles by time, the three fastest of each kernel."""
    found = [each for each in find(calls, measured="sweep") if each.get("ms") and not spilled(each)]
    kernels: dict[tuple[str, int], list[Result]] = {}
    for each in sorted(found, key=lambda result: result["ms"]):
        kernels.setdefault((each["kernel"], each["head_dim"]), []).append(each)
    lines = [
        (kernel, str(size), ", ".join(f"{tuple(each['tile'])} {each['ms']:.3f}" for each in best[:3]))
        for (kernel, size), best in sorted(kernels.items())
    ]
    text = table(("kernel", "head size", "fastest tiles (queries, keys, warps, stages, TMA), ms"), lines)
    return _titled("Tile sweep:", text)


def incidents(calls: list[Call]) -> str:
    """What crashed, was cut, was skipped or cannot run here."""
    return "\n".join(_incidents(calls))


def _incidents(calls: list[Call]) -> Iterator[str]:
    for event, words in (
        ("crash", "Crashed"),
        ("cut", "Cut at its limit"),
        ("stopped", "Stopped with the command"),
        ("skipped", "Skipped"),
        ("not run", "Not run"),
    ):
        descriptions = dict.fromkeys(_describe(each) for each in find(calls, event=event))
        if descriptions:
            yield f"\n{words}:\n"
            yield from (f"- {line}" for line in descriptions)


def _describe(each: Result) -> str:
    detail = {
        "crash": lambda: f"{each['stage']}: {each['error']}",
        "cut": lambda: f"{each['stage']}, at {each['seconds']} s",
        "stopped": lambda: f"{each['stage']}, at {each['seconds']} s",
        "skipped": lambda: f"{each['stage']}: {each['why']}",
        "not run": lambda: f"{each['what']}: {each['why']}",
    }
    return str(detail[each["event"]]())
