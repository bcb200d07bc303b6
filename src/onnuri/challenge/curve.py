"""The training curve of an entry, short enough for a page."""

from __future__ import annotations

from onnuri.challenge.record import Record
from onnuri.tokens.ramp import training_flops

POINTS = 60


def curve_of(record: Record) -> list[tuple[float, float]]:
    """[FLOPs, loss in nats]: means over stretches of equal length, at most POINTS of them."""
    known = [(step, loss) for step, loss in sorted(record.losses.items()) if isinstance(loss, float)]
    if not known:
        return []
    config = record.config
    batches, lengths = config.train.batches, config.data.lengths

    def flops(step: int) -> float:
        tokens = batches.before(step) * config.data.sequence_length
        return float(training_flops(config.model.flops_per_token, batches, lengths, step, tokens))

    size = -(-len(known) // POINTS)
    stretches = [known[start : start + size] for start in range(0, len(known), size)]
    return [(flops(part[-1][0]), sum(loss for _, loss in part) / len(part)) for part in stretches]
