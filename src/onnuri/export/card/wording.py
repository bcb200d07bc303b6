"""Words that several forms of the card share."""

from __future__ import annotations

import re

from onnuri.export.card.facts import Facts

TO_COMPLETE = "To be completed by the provider"
NOT_STATED = "not stated"
LICENCE_ID = r"\(*[A-Za-z0-9.-]+\+?\)*"
EXPRESSION = re.compile(rf"{LICENCE_ID}( (AND|OR|WITH) {LICENCE_ID})*")


def stated(text: str, what: str) -> str:
    """The provider's words, or the line that says what is missing."""
    return " ".join(text.split()) or f"{TO_COMPLETE}: {what}."


def is_expression(licence: str) -> bool:
    """True for what has the form of an SPDX licence expression."""
    return bool(EXPRESSION.fullmatch(licence)) and licence.count("(") == licence.count(")")


def figure(value: float) -> str:
    """A result with four decimals."""
    return f"{value:.4f}"


def interval(low: float | None, high: float | None) -> str:
    """ "0.5200 to 0.5800", "" where there is no interval."""
    return "" if low is None or high is None else f"{figure(low)} to {figure(high)}"


def compute(facts: Facts) -> str:
    """FLOPs of training, and how far that is from the threshold."""
    text = f"{facts.flops:.3e} FLOPs"
    if facts.flops_run and facts.flops_run != facts.flops:
        text += f" behind the weights, {facts.flops_run:.3e} in the {facts.steps_run:,} steps that were run"
    return f"{text}; {facts.compute_share:.1e} of 1e26"


def hardware(facts: Facts) -> str:
    """Devices and time."""
    if not facts.segments:
        return "not recorded: the run has no ledger"
    return (
        f"{', '.join(facts.devices)}; {facts.wall_hours:.4g} hours, {facts.device_hours:.4g} device hours, "
        f"in {len(facts.segments)} start(s){_without_record(facts)}"
    )


def _without_record(facts: Facts) -> str:
    number = facts.steps_without_record
    return f"; the first {number:,} steps are not on record" if number else ""


def energy(facts: Facts) -> str:
    """Kilowatt hours with how they were found."""
    if facts.energy.kwh is None:
        return facts.energy.basis
    return f"{facts.energy.kwh:.4g} kWh, {facts.energy.basis}{_without_record(facts)}"


def personal_data(facts: Facts) -> str:
    """What the corpus did about personal data, by its own counts."""
    if "pii" not in stages(facts):
        return "No stage of the corpus that masks personal data is on record."
    masked = facts.corpus.get("personal_data", {})
    found = ", ".join(f"{kind} {number:,}" for kind, number in sorted(masked.items()) if number)
    return f"Personal data was searched for by rules and masked: {found or 'none found'}."


def stages(facts: Facts) -> dict[str, dict[str, object]]:
    """Stages of the corpus with the options that were given; empty where the shards do not say."""
    listed = facts.corpus.get("stages", [])
    return {name: options for entry in listed for name, options in entry.items()}


def opt_outs(facts: Facts) -> str:
    """Lists of opt-outs and what they removed."""
    if all(source.opt_out is None for source in facts.sources):
        return "Whether lists of opt-outs were applied is not on record."
    applied = [source for source in facts.sources if source.opt_out]
    if not applied:
        return "No list of opt-outs was applied."
    counts = ", ".join(f"{source.name} {source.opted_out:,}" for source in applied)
    return f"Documents removed by lists of opt-outs: {counts}."


def decontamination(facts: Facts) -> str:
    """Whether benchmark items were removed from the training data."""
    if not facts.corpus:
        return "Whether benchmark items were removed from the training data is not on record."
    if "decontaminate" not in stages(facts):
        return "Benchmark items were not searched for in the training data."
    found = facts.corpus.get("contamination", {})
    counts = ", ".join(f"{name} {number:,}" for name, number in sorted(found.items()))
    return f"Documents in which benchmark items were found and removed: {counts or 'none'}."


def size_band(tokens: int) -> str:
    """The band of the EU's template for text: below 1 billion, to 10 trillion, or above."""
    if tokens < 10**9:
        return "less than 1 billion tokens"
    return "1 billion to 10 trillion tokens" if tokens <= 10**13 else "more than 10 trillion tokens"
