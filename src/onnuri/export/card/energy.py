"""Energy of training: estimated from nominal power and time, as no run reads a power counter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from onnuri.base.devices import nominal_watts_of

JOULES_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Energy:
    """Kilowatt hours of the devices, or why there is no figure."""

    kwh: float | None
    """None where nothing was measured and nothing can be estimated."""
    basis: str
    """How the figure came about, in words for the card."""


def energy(segments: Sequence[dict[str, Any]], watts: float) -> Energy:
    """Devices x nominal power x wall time, summed over the segments of a run.

    Args:
        watts: nominal power of a device; 0: by its name, where its data sheet is known.
    """
    if not segments:
        return Energy(None, "not measured: the run has no ledger that gives its time")
    joules, powers = 0.0, []
    for segment in segments:
        name = segment["environment"]["processor"]
        power = watts or nominal_watts_of(name)
        if not power:
            return Energy(None, f"not measured: no nominal power is known for the device '{name}'")
        joules += power * segment["device_seconds"]
        powers.append(f"{power:g}")
    return Energy(
        joules / JOULES_PER_KWH,
        f"estimated, not measured: devices x nominal power ({', '.join(dict.fromkeys(powers))} W each) x "
        "wall time; hosts, cooling and other runs are not in it",
    )
