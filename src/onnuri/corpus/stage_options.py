"""What a recipe can set for each stage. A key that it leaves out has the value shown here."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from onnuri.base.errors import UserError, check_choice, nearest
from onnuri.config.paths import path_option


@dataclass
class NoOptions:
    """normalise, describe: nothing to set."""


@dataclass
class FilterOptions:
    """filter: thresholds other than `KOREAN` and `ENGLISH` of stages/filter.py, by the names in `Rules`."""

    ko: dict[str, Any] = field(default_factory=dict)
    """Thresholds for Korean, e.g. {min_words: 30}."""
    en: dict[str, Any] = field(default_factory=dict)
    """Thresholds for English."""

    def __post_init__(self) -> None:
        from onnuri.corpus.stages.filter.rules import RULES

        for lang, rules in RULES.items():
            names = vars(rules)
            for key, value in getattr(self, lang).items():
                if key not in names:
                    raise UserError(f"{lang} has no threshold '{key}'{nearest(key, names)}")
                if not _alike(value, names[key]):
                    raise UserError(f"{lang}.{key} must be like {names[key]!r}, found {value!r}")


@dataclass
class PiiOptions:
    """pii: what is masked, and how."""

    kinds: list[str] | None = None
    """Any of rrn, frn, phone, card, account, passport, driver_licence, email, ip, business_number. Not
    given: all but business_number, which is public by law."""
    style: str = "placeholder"
    """placeholder: <|phone|> and so on; surrogate: a fake that nobody can hold."""

    def __post_init__(self) -> None:
        from onnuri.corpus.stages.pii.mask import KINDS, STYLES

        for kind in self.kinds or ():
            check_choice("kinds", kind, KINDS)
        check_choice("style", self.style, STYLES)


@dataclass
class DedupOptions:
    """dedup: what already counts as a copy."""

    against: list[str] = path_option(default_factory=list)
    """Finished corpus folders (against=...)."""


@dataclass
class DecontaminateOptions:
    """decontaminate: which benchmarks are kept out, and how."""

    benchmarks: list[str] = path_option(default_factory=list)
    """Benchmark files or folders (benchmarks=...)."""
    action: str = "cut"
    """cut: take the item out of the document; drop: reject the document."""

    def __post_init__(self) -> None:
        check_choice("action", self.action, ("cut", "drop"))
        if not self.benchmarks:
            raise UserError("benchmarks=... is missing (benchmark files or folders)")


@dataclass
class QualityOptions:
    """quality: the model that scores, and the score that a document needs."""

    model: str = path_option("")
    """Folder made by onnuri quality (quality_model=...)."""
    threshold: int | float = 0
    """Documents that score lower are rejected, from 0 (keeps all) to 1 (quality_threshold=...)."""

    def __post_init__(self) -> None:
        if not self.model:
            raise UserError("quality_model=... is missing (a folder made by onnuri quality)")
        if not 0 <= self.threshold <= 1:
            raise UserError(f"threshold={self.threshold} must be from 0 to 1")


STAGES: dict[str, type] = {
    "normalise": NoOptions,
    "describe": NoOptions,
    "filter": FilterOptions,
    "pii": PiiOptions,
    "dedup": DedupOptions,
    "decontaminate": DecontaminateOptions,
    "quality": QualityOptions,
}
"""Stages in the order they run, and what can be set."""


def _alike(value: Any, known: Any) -> bool:
    """Whether a value of a recipe has the shape of a known threshold.

    Not left to OmegaConf: it knows no tuples of fixed length (`top_ngrams`), and takes nan.
    """
    if isinstance(known, bool | str):
        return type(value) is type(known)
    if not isinstance(known, tuple):
        return type(value) in (int, float) and math.isfinite(value)
    pair = len(known) == 2 and not isinstance(known[0], tuple | str)
    return (
        isinstance(value, list)
        and (not pair or len(value) == 2)
        and all(_alike(each, known[0]) for each in value)
    )
