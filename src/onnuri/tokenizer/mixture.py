"""How much each document counts in training: by its source and its language."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnuri.base.errors import UserError, nearest

UNIT = 256
"""Weight of a document that counts once, on average over the bytes of the corpus."""
USUAL_LANGUAGES = ("ko", "en")
"""Have shares by default, also where the corpus lacks one of them."""
Kind = tuple[str, str]
"""(source, language) of a document."""


def check_mixture(
    source_power: float, source_weights: Mapping[str, float], language_shares: Mapping[str, float]
) -> None:
    """Raise UserError for an option that makes no sense whatever the corpus."""
    if not 0 <= source_power <= 1:
        raise UserError(f"source_power={source_power} must be from 0 to 1")
    for option, table in (("source_weights", source_weights), ("language_shares", language_shares)):
        for name, value in table.items():
            if not 0 <= value < float("inf"):
                raise UserError(f"{option}: {name}={value} must be a number that is not negative")


def document_weights(
    sizes: Mapping[Kind, int],
    source_power: float,
    source_weights: Mapping[str, float],
    language_shares: Mapping[str, float],
) -> dict[Kind, int]:
    """Whole-number weight of every kind of document, UNIT on average.

    A source of n bytes gets n ** `source_power` of them, times its weight; then the languages named in
    `language_shares` that the corpus has are brought to those shares of the bytes that they have together.

    Args:
        sizes: bytes of each kind.

    Raises UserError for a source or language that does not exist, or when nothing has a weight.
    """
    by_source: dict[str, int] = {}
    for (source, _), size in sizes.items():
        by_source[source] = by_source.get(source, 0) + size
    for source in source_weights:
        if source not in by_source:
            raise UserError(
                f"source_weights names '{source}', which the corpus does not have"
                f"{nearest(source, by_source)}; it has {_some(sorted(by_source))}"
            )
    weights = {
        kind: source_weights.get(kind[0], 1.0) * max(1, by_source[kind[0]]) ** (source_power - 1)
        for kind in sizes
    }
    counted: dict[str, float] = {}
    for kind, size in sizes.items():
        counted[kind[1]] = counted.get(kind[1], 0.0) + size * weights[kind]
    for language in language_shares:
        if language not in counted and language not in USUAL_LANGUAGES:
            raise UserError(
                f"language_shares names '{language}', which the corpus does not have"
                f"{nearest(language, counted)}; it has {_some(sorted(counted))}"
            )
    shares = {name: share for name, share in language_shares.items() if counted.get(name)}
    together = sum(counted[name] for name in shares) / (sum(shares.values()) or 1)
    for kind in weights:
        if kind[1] in shares:
            weights[kind] *= shares[kind[1]] * together / counted[kind[1]]
    total = sum(size * weights[kind] for kind, size in sizes.items())
    if total <= 0:
        raise UserError("source_weights and language_shares leave nothing to train on")
    unit = UNIT * sum(sizes.values()) / total
    return {kind: max(1, round(weight * unit)) if weight else 0 for kind, weight in weights.items()}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
