"""The training curve of an entry, short enough for a page."""

from __future__ import annotations

from onnuri.challenge.record import Record

POINTS = 60


def curve_of(record: Record) -> list[tuple[float, float]]:
    """[FLOPs, loss in nats]: means over stretches of equal length, at most POINTS of them."""
    known = [(step, loss) for step, loss in sorted(record.losses.items()) if isinstance(loss, float)]
    if not known:
        return []
    config = record.config
    length = config.data.sequence_length
    per_step = config.train.global_batch_size * length * config.model.flops_per_token(length)
    size = -(-len(known) // POINTS)
    stretches = [known[start : start + size] for start in range(0, len(known), size)]
    return [
        (float(part[-1][0] * per_step), sum(loss for _, loss in part) / len(part)) for part in stretches
    ]
