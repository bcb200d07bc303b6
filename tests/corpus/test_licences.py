"""Licences by name: what they forbid, and which let everybody use a text."""

from __future__ import annotations

import pytest

from onnuri.corpus.licences import OPEN, is_open, restrictions


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("CC-BY-NC-4.0", {"noncommercial"}),
        ("cc by-nc-sa 4.0", {"noncommercial"}),
        ("CC-BY-ND-4.0", {"no-derivatives"}),
        ("cc-by-nc-nd-4.0", {"noncommercial", "no-derivatives"}),
        ("PolyForm-Noncommercial-1.0.0", {"noncommercial"}),
        ("LicenseRef-우리-비영리", {"noncommercial"}),
        ("KOGL-2", {"noncommercial"}),
        ("KOGL-3.0", {"no-derivatives"}),
        ("공공누리 제4유형", {"noncommercial", "no-derivatives"}),
        ("LicenseRef-KOGL-Type2", {"noncommercial"}),
        ("MIT OR CC-BY-NC-4.0", set()),
        ("MIT AND CC-BY-NC-4.0", {"noncommercial"}),
        ("(MIT OR CC-BY-NC-4.0)", {"noncommercial"}),
        ("MIT", set()),
        ("LicenseRef-NCSOFT", set()),
        ("Unlicense-Handel", set()),
        ("", set()),
    ],
)
def test_what_is_forbidden(licence: str, forbidden: set[str]) -> None:
    assert restrictions(licence) == forbidden
    assert not (forbidden and is_open(licence))


@pytest.mark.parametrize(
    "licence", [*OPEN, "kogl-0", "KOGL-AI", "공공누리 1유형", "MIT OR Apache-2.0", "cc by 4.0"]
)
def test_open_licences_forbid_nothing(licence: str) -> None:
    assert is_open(licence) and not restrictions(licence)


@pytest.mark.parametrize(
    "licence", ["", "LicenseRef-AIHub", "proprietary", "MIT AND LicenseRef-x", "KOGL-4"]
)
def test_others_are_not_open(licence: str) -> None:
    assert not is_open(licence)
