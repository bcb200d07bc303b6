"""Why a record is refused. The names are the keys of the manifest's counts and of refused.jsonl."""

from __future__ import annotations

BROKEN_JSON = "broken JSON"
UNREADABLE = "unreadable"
CUT_OFF = "rest of the file not read"
TOO_LONG = "record too long"
MISSING = "missing columns"
TWO_LAYOUTS = "two layouts in one record"
NO_LIST = "turns are no list"
UNKNOWN_ROLE = "unknown role"
NO_ASSISTANT = "no assistant turn"
NOT_LAST = "last turn not the assistant's"
NOT_ALTERNATING = "turns not alternating"
EMPTY = "empty turn"
NOT_TEXT = "content not text"
BAD_CALL = "bad tool call"
BAD_WEIGHT = "bad weight"
NO_PROMPT = "no common prompt"
EQUAL = "chosen equal to rejected"
OVER = "over max_tokens"
DUPLICATE = "duplicate"
NO_LICENCE = "no licence"
NO_BASIS = "no legal basis"
UNKNOWN_BASIS = "unknown legal basis"
NONCOMMERCIAL = "non-commercial licence"
NO_DERIVATIVES = "no-derivatives licence"
BY_MODEL = "made by a model"

WAYS_OUT = {
    MISSING: "docs/chat.md shows the three layouts",
    NO_LICENCE: "state license= and legal_basis=, or unverified=true",
    NO_BASIS: "state legal_basis=, or unverified=true",
    NONCOMMERCIAL: "allow=[noncommercial] takes them",
    NO_DERIVATIVES: "allow=[no-derivatives] takes them",
    BY_MODEL: "allow=[model-made] takes them",
    UNREADABLE: "state encoding= if the files are neither UTF-8 nor CP949",
    OVER: "raise max_tokens=",
    CUT_OFF: "most_refused=1 packs what stands before it",
}
"""What to do about a reason, where that is one line."""


class Refused(ValueError):
    """A record that is not packed: one of the reasons above, and what was found."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail
