"""Names of what reading does in English and Korean, and how numbers are written."""

from __future__ import annotations

import html
from collections.abc import Mapping

PASSED_OVER = {
    "hidden": "hidden · 숨은 파일",
    "of no known format": "of no known format · 모르는 형식",
    "empty": "empty · 빈 파일",
    "a README beside data": "a README beside data · 데이터 설명(README)",
    "read under another name": "read under another name · 다른 이름으로 읽음",
    "a link to a folder above it or read already": "a link to a folder above it or read already · "
    "위쪽이나 이미 읽은 폴더로 가는 링크",
    "a broken link": "a broken link · 끊어진 링크",
    "a folder (end the glob in /** to read it)": "a folder (end the glob in /** to read it) · "
    "폴더(읽으려면 /**로 끝내기)",
    "no regular file": "no regular file · 일반 파일 아님",
}
"""Why files were not read, as `reading.discovery` calls it."""
READ = "reading · 읽기"
READ_REASONS = {
    "too long": "too long · 너무 긺",
    "empty": "empty · 빈 글",
    "unreadable": "unreadable · 읽을 수 없음",
    "cut off": "rest of the file not read · 파일의 나머지를 읽지 못함",
    "mojibake": "broken encoding · 깨진 글자",
    "opted out": "opted out · 학습 거부",
}


def escape(text: str) -> str:
    """Text as HTML; what cannot be shown is replaced, nothing in it is markup."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t\u200d" else "\ufffd" for c in text))


def name(value: str, names: Mapping[str, str]) -> str:
    """A value's name, or the value itself, ready for HTML."""
    return escape(names.get(value) or value)


def size(count: int) -> str:
    """Bytes as kB, MB, GB or TB (powers of 1,000)."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"


def power(count: int) -> str:
    """A power of two of bytes as B, KiB or MiB."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count // factor} {unit}"
    return f"{count} B"


def percent(part: float, whole: float) -> str:
    """A share with one digit, or two significant ones below 1 %."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1f} %" if share >= 1 or not share else f"{share:.2g} %"
