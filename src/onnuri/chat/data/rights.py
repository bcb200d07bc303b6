"""Source, licence and origin of a record: what it says of itself, else what the options say of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from onnuri.base.errors import nearest
from onnuri.chat.data.refusal import (
    BY_MODEL,
    NO_BASIS,
    NO_DERIVATIVES,
    NO_LICENCE,
    NONCOMMERCIAL,
    UNKNOWN_BASIS,
    Refused,
)
from onnuri.corpus import licences
from onnuri.corpus.reading.raw_text import storable
from onnuri.corpus.source import KINDS, LEGAL_BASES
from onnuri.tokens.config import PackConfig

MADE_BY = ("made_by_model", "made_by", "generated_by", "model")
"""Fields that name the model which wrote a record; "human", false and nothing mean none."""
NO_MODEL = ("", "false", "no", "none", "null", "human", "person", "사람", "없음")


class Rights(NamedTuple):
    """Where a record comes from and why it may be used."""

    source: str
    license: str
    legal_basis: str
    made_by: str
    """The model that wrote it; "" for a person, or where nothing states one."""
    kind: str = ""
    """One of KINDS; "" where the record states none of them."""


def rights(record: Mapping[str, Any], config: PackConfig) -> Rights:
    """Of a record. Raises Refused where something is missing or not allowed."""
    source = config.source or _said(record, "source") or config.kind
    licence = _licence(record) or config.license
    basis = _said(record, "legal_basis") or config.legal_basis
    if not basis and licences.is_open(licence):
        basis = "open-licence"
    if basis and basis not in LEGAL_BASES:
        raise Refused(UNKNOWN_BASIS, f"{basis[:60]!r}{nearest(basis, LEGAL_BASES)}")
    if not config.unverified and not licence:
        raise Refused(NO_LICENCE, f"source {source}")
    forbidden = licences.restrictions(licence) - set(config.allow)
    for what, reason in (
        (licences.NONCOMMERCIAL, NONCOMMERCIAL),
        (licences.NO_DERIVATIVES, NO_DERIVATIVES),
    ):
        if what in forbidden:
            raise Refused(reason, licence)
    if not config.unverified and not basis:
        raise Refused(NO_BASIS, f"licence {licence}")
    made_by = next((found for name in MADE_BY if (found := _model(record.get(name)))), config.made_by)
    if made_by and "model-made" not in config.allow:
        raise Refused(BY_MODEL, made_by[:60])
    kind = _said(record, "kind")
    kind = kind if kind in KINDS else "synthetic" if made_by else ""
    return Rights(source, licence, basis, made_by, kind)


def _licence(record: Mapping[str, Any]) -> str:
    said = _said(record, "license") or _said(record, "licence")
    return "" if said.lower() in licences.NOT_STATED else said


def _said(record: Mapping[str, Any], name: str) -> str:
    """What a field says as text; a list of texts says all of them."""
    value = record.get(name)
    texts = value if isinstance(value, list) else [value]
    return _line(" AND ".join(text for text in texts if isinstance(text, str)))


def _model(value: Any) -> str:
    """The model that a field names."""
    if isinstance(value, bool | None):
        return "a model" if value else ""
    text = _line(str(value))
    return "" if text.lower() in NO_MODEL else text


def _line(text: str) -> str:
    return storable(" ".join(text.split())[:200])
