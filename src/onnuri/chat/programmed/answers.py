"""Reading the final answer of a text, and the guards that hold for every family."""

from __future__ import annotations

import re

from onnuri.corpus.text.composition import nfc

FORM = "마지막 줄에 '정답:'을 쓰고 그 뒤에 답만 적으세요."
"""How a prompt asks for the final form."""
LONGEST = 300
"""Characters of a final answer."""
_MARK = re.compile(r"정답\s*[::]")
_FINAL_LINE = re.compile(r"[*_#>\s]*정답\s*[::](?P<value>.*)")
_AROUND = "*_`'\"‘’“” \t"


def final_line(value: str, working: str = "") -> str:
    """An answer in the final form, after a line of working."""
    return f"{working}\n정답: {value}" if working else f"정답: {value}"


def final_value(answer: str) -> str | None:
    """What stands after the only "정답:" of a text, on its last line; None where there is none or two.

    Marks of emphasis, quotes and one full stop around it are not a part of it.
    """
    lines = answer.strip().splitlines()
    if not lines or len(_MARK.findall(answer)) != 1:
        return None
    match = _FINAL_LINE.fullmatch(lines[-1])
    if match is None:
        return None
    value = match["value"].strip(_AROUND).removesuffix(".").strip(_AROUND)
    return value if 0 < len(value) <= LONGEST else None


def squeezed(text: str) -> str:
    """Without white space."""
    return "".join(text.split())


def normalised(answer: str) -> str:
    """Normalization Form C, as a model may write decomposed Hangul; lone surrogates become "?"."""
    return nfc(answer.encode("utf-8", "replace").decode())


def copies_prompt(prompt: str, answer: str) -> bool:
    """True if the answer holds the whole prompt, however it is spaced."""
    return squeezed(prompt) in squeezed(answer)
