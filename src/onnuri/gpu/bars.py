"""What was set out to be reached on one H100, and how far a results file gets: one row for each goal.

Ratios to a peer are taken within one call: the same device, minutes apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from onnuri.gpu.attention import DOCUMENTS, HEAD_DIMS, LENGTHS
from onnuri.gpu.planned import Planned, plan
from onnuri.gpu.results import Call, find, training
from onnuri.gpu.stage import Result
from onnuri.kernels.verification.cases import TOLERANCE

NOT_MEASURED = "not measured"
MET, MISSED, INCOMPLETE = "met", "missed", "incomplete"
DTYPES = ("bfloat16", "float16", "float32")
TRAINED = ("300m", "1b", "300m-stage3", "1b-stage3")
"""Variants whose memory is held against the plan."""


class Row(NamedTuple):
    """One goal."""

    goal: str
    bar: str
    measured: str
    verdict: str


def rows(calls: list[Call]) -> list[Row]:
    """All goals. Without results: what is to be measured."""
    found = [_numbers(calls, dtype) for dtype in DTYPES]
    for direction, least in (("forward", 1.0), ("backward", 0.8)):
        found += [_attention(calls, size, direction, least) for size in HEAD_DIMS]
    found.append(_documents(calls))
    found.append(_loss(calls))
    found += [_mfu(calls, "300m", "2k", 42), _mfu(calls, "1b", "4k", 45)]
    found += [_peer(calls, "300m"), _peer(calls, "1b")]
    found.append(_stage3(calls))
    found.append(_memory(calls))
    found += [_resume(calls, attention) for attention in ("triton", "varlen")]
    return found


def _judge(goal: str, bar: str, value: float | None, least: float, show: Callable[[float], str]) -> Row:
    if value is None:
        return Row(goal, bar, NOT_MEASURED, NOT_MEASURED)
    return Row(goal, bar, show(value), MET if value >= least else MISSED)


def _times(value: float) -> str:
    return f"{value:.2f}x"


def _numbers(calls: list[Call], dtype: str) -> Row:
    allowed = next(value for kind, value in TOLERANCE.items() if str(kind) == f"torch.{dtype}")
    goal, bar = f"kernels correct in {dtype}", f"error at most {allowed:.0e} of the largest magnitude"
    found = find(calls, check="numbers", ours=True, dtype=dtype)
    if not found:
        return Row(goal, bar, NOT_MEASURED, NOT_MEASURED)
    over = [each for each in found if each["over"]]
    if broken := [each for each in over if each["worst"] is None]:
        return Row(goal, bar, f"{broken[0]['function']} fails: {broken[0]['where'][:120]}", MISSED)
    worst = max(found, key=lambda each: each["worst"])
    share = worst["worst"] / allowed
    text = f"{worst['worst']:.2e} in {worst['function']}, {sum(each['cases'] for each in found)} cases"
    if over:
        text += f"; {len(over)} of {len(found)} slices over, by {100 * (share - 1):.1f} % at most"
    if cut := [call for call in calls if call.find(stage="numbers", event="cut")]:
        return Row(goal, bar, text, MISSED if over else f"{INCOMPLETE} ({len(cut)} cut)")
    return Row(goal, bar, text, MISSED if over else MET)


def rate(call: Call, direction: str, **wanted: object) -> float | None:
    """TFLOP/s of attention."""
    found = [each for each in call.find(measured="attention", **wanted) if f"{direction}_tflops" in each]
    return float(found[-1][f"{direction}_tflops"]) if found else None


def _attention(calls: list[Call], size: int, direction: str, least: float) -> Row:
    goal = f"attention {direction}, head size {size}, 2k to 16k, to FlashAttention 2's"
    bar, ratios = f"at least {least:g}x", {}
    for call in calls:
        for length in LENGTHS:
            facts = {"head_dim": size, "length": length, "documents": 0}
            ours = rate(call, direction, implementation="triton", **facts)
            peer = rate(call, direction, implementation="SDPA flash", **facts)
            if ours and peer:
                ratios[length] = ours / peer
    if not ratios:
        return Row(goal, bar, NOT_MEASURED, NOT_MEASURED)
    text = ", ".join(f"{length // 1024}k {ratio:.2f}x" for length, ratio in sorted(ratios.items()))
    if min(ratios.values()) < least:
        return Row(goal, bar, text, MISSED)
    return Row(goal, bar, text, MET if len(ratios) == len(LENGTHS) else INCOMPLETE)


def _documents(calls: list[Call]) -> Row:
    ratios = {}
    for call in calls:
        for size in HEAD_DIMS:
            facts = {"head_dim": size, "length": LENGTHS[-1], "documents": DOCUMENTS}
            ours = rate(call, "forward", implementation="triton", **facts)
            peers = [
                rate(call, "forward", implementation=name, **facts)
                for name in ("varlen", "torch varlen_attn")
            ]
            if ours and (known := [peer for peer in peers if peer]):
                ratios[size] = ours / max(known)
    goal, bar = "attention forward on 16 packed documents in 16k, to varlen's", "at least 1.30x"
    if not ratios:
        return Row(goal, bar, NOT_MEASURED, NOT_MEASURED)
    text = ", ".join(f"head size {size} {ratio:.2f}x" for size, ratio in sorted(ratios.items()))
    complete = MET if len(ratios) == len(HEAD_DIMS) else INCOMPLETE
    return Row(goal, bar, text, complete if min(ratios.values()) >= 1.3 else MISSED)


def _loss(calls: list[Call]) -> Row:
    found = None
    for call in calls:
        ceiling = call.find(measured="loss ceiling", vocabulary=131072)
        ours = [
            each
            for each in call.find(measured="loss", implementation="triton", vocabulary=131072, chunk=0)
            if "tflops" in each
        ]
        if ceiling and ours:
            found = ours[-1]["tflops"] / ceiling[-1]["tflops"]
    goal = "loss at vocabulary 131,072, to the rate of its matrix products"
    return _judge(goal, "at least 0.85x", found, 0.85, _times)


def _mfu(calls: list[Call], model: str, length: str, least: float) -> Row:
    found = training(calls, model).get("mfu")
    value = None if found is None else 100 * found
    return _judge(
        f"MFU of {model} at {length}", f"at least {least:g} %", value, least, lambda x: f"{x:.1f} %"
    )


def _peer(calls: list[Call], model: str) -> Row:
    value = None
    for call in calls:
        ours = training([call], model)
        peers = [each for each in call.find(stage=f"peer-plain-{model}") if "tokens_per_second" in each]
        if ours and peers:
            value = ours["tokens_per_second"] / peers[-1]["tokens_per_second"]
    goal = f"training {model}, to the plain compiled Hugging Face loop in the same call"
    return _judge(goal, "at least 1.15x", value, 1.15, _times)


def _stage3(calls: list[Call]) -> Row:
    ratios = {}
    for call in calls:
        for model in ("300m", "1b"):
            first, third = training([call], model), training([call], f"{model}-stage3")
            if first and third:
                ratios[model] = third["tokens_per_second"] / first["tokens_per_second"]
    goal, bar = "ZeRO stage 3 on one GPU, to stage 1", "at least 0.95x"
    if not ratios:
        return Row(goal, bar, NOT_MEASURED, NOT_MEASURED)
    text = ", ".join(f"{model} {ratio:.3f}x" for model, ratio in ratios.items())
    return Row(goal, bar, text, MET if min(ratios.values()) >= 0.95 else MISSED)


def memory_of(result: Result) -> float | None:
    """GiB that a run took of the device: what nvidia-smi saw at most, less what was in use before."""
    return result.get("smi_peak_gib")


def planned(result: Result) -> Planned | None:
    """What the planner says of it today."""
    return plan(result["words"], result["cluster"]) if result.get("cluster") else None


def _memory(calls: list[Call]) -> Row:
    apart = {}
    for variant in TRAINED:
        result = training(calls, variant)
        used, expected = (memory_of(result), planned(result)) if result else (None, None)
        if used and expected:
            apart[variant] = used / expected.memory_gib - 1
    goal, bar = "memory of a run, to the plan", "within 5 %"
    if not apart:
        return Row(goal, bar, NOT_MEASURED, NOT_MEASURED)
    text = ", ".join(f"{variant} {100 * value:+.1f} %" for variant, value in apart.items())
    return Row(goal, bar, text, MET if max(map(abs, apart.values())) <= 0.05 else MISSED)


def _resume(calls: list[Call], attention: str) -> Row:
    goal, bar = f"killed and resumed with attention={attention}", "the same bits"
    found = find(calls, check="resume", attention=attention)
    if not found:
        return Row(goal, bar, NOT_MEASURED, NOT_MEASURED)
    last = found[-1]
    if "same_bits" not in last:
        return Row(goal, bar, f"failed: {last.get('error', '')[:120]}", MISSED)
    text = f"{len(last['losses'][1])} steps, resumed after step {last['resumed_after']}"
    text += ": the same bits" if last["same_bits"] else ": DIFFERENT"
    return Row(goal, bar, text, MET if last["same_bits"] else MISSED)
