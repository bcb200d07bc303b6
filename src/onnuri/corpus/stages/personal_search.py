"""Find personal data in a text: numbers, e-mail addresses, passports.

personal_candidates names the places to look at, about one in a thousand characters of prose; there the
shapes of personal_shapes are tried, and personal_rules decide. The alternative, one substitution per kind,
scans the text ten times and cannot see context. Cost: a few microseconds for each candidate.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from onnuri.corpus.stages import personal_shapes as shapes
from onnuri.corpus.stages import personal_words as words
from onnuri.corpus.stages.personal_candidates import Candidates, candidates
from onnuri.corpus.stages.personal_rules import (
    RULES,
    Context,
    Span,
    context_of,
    digits_of,
    names_a_thing,
    stands_alone,
)


class Urls:
    """The URLs of a text: which one a position is in, by bisection."""

    def __init__(self, text: str, places: list[int]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.queries: list[int] = []
        """Position of the first question mark of each, or its end."""
        end = 0
        for start in places:
            if start >= end:
                match = shapes.URL_BODY.match(text, start)
                assert match is not None, "URL_BODY matches the empty text"
                end = match.end()
                query = text.find("?", start, end)
                self.starts.append(start)
                self.ends.append(end)
                self.queries.append(end if query < 0 else query)

    def around(self, position: int) -> int | None:
        """Number of the URL that goes on at `position`, None if there is none."""
        number = bisect_left(self.starts, position) - 1
        return number if number >= 0 and position <= self.ends[number] else None


# The first item is a bare class so that sre skips to the next digit in its fast loop; the look-behind then
# steps back over that digit and tries the shapes from it.
_SHAPES = "|".join(shapes.ROUGH_CARD if pattern is shapes.CARD else pattern.pattern for pattern, _ in RULES)
_NUMBER = re.compile(rf"[0-9](?<=(?<![0-9])(?<![0-9][-._])(?={_SHAPES})[0-9])")
_SHAPE = re.compile("|".join(f"({pattern.pattern})" for pattern, _ in RULES))
_GROUPS = list(accumulate((1 + pattern.groups for pattern, _ in RULES), initial=1))
_RULE_OF_GROUP = {group: rule for rule, group in enumerate(_GROUPS[:-1])}


def _number_starts(text: str, rows: list[tuple[int, int]]) -> Iterator[int]:
    for start, end in rows:
        for match in _NUMBER.finditer(text, start, end):
            yield match.start()


def _numbers(text: str, rows: list[tuple[int, int]], others: list[Span], urls: Urls) -> Iterator[Span]:
    """Everything that begins with a digit, left to right, without overlaps. `others` are context."""
    last: Span | None = None
    upcoming = 0
    for start in _number_starts(text, rows):
        while upcoming < len(others) and others[upcoming].end <= start:
            if last is None or others[upcoming].end > last.end:
                last = others[upcoming]
            upcoming += 1
        if last is not None and start < last.end:
            continue
        span = _classify(text, start, last, urls)
        if span is not None:
            last = span
            yield span


def _classify(text: str, start: int, last: Span | None, urls: Urls) -> Span | None:
    """The value that begins at `start`, by the first rule that accepts it."""
    in_url = urls.around(start) is not None
    if in_url and not text.endswith(("://", "@"), 0, start):
        return None
    match = _SHAPE.match(text, start)
    rule = _RULE_OF_GROUP[match.lastindex or 1] if match else len(RULES)
    while match is not None:
        end = match.end()
        context = context_of(text, start, end, last)
        kind = RULES[rule][1](match.group(), context) if stands_alone(context) else None
        if kind is not None and (kind == "ip" or not in_url):
            return Span(_whole_start(start, match.group(), kind, context), end, kind)
        match = None
        while match is None and rule + 1 < len(RULES):
            rule += 1
            match = RULES[rule][0].match(text, start)
    return None


def _whole_start(start: int, found: str, kind: str, context: Context) -> int:
    """The start with '+' and '(' of '(+82) 10-...' or '(02) 123-...', or the region of a licence."""
    left = context.left
    if kind == "phone":
        if found.startswith("82") and left.endswith("+"):
            start, left = start - 1, left[:-1]
        # In '문의(02)123-4567)' it opens the remark; in '(문의 (02)123-4567)' it is the number's.
        if left.endswith("(") and found.count(")") > found.count("("):
            closes_a_remark = context.right.startswith(")") and left[:-1].count("(") <= left.count(")")
            start -= not closes_a_remark
    if kind == "driver_licence" and len(digits_of(found)) == 10:
        region = words.REGION_BEFORE.search(left[-8:])
        start -= len(region.group()) if region else 0
    return start


def _emails(text: str, places: Candidates, urls: Urls) -> Iterator[Span]:
    matches = [shapes.EMAIL_DOMAIN.match(text, at) for at in places.at_signs]
    for at in places.hidden:
        matches.append(shapes.HIDDEN_EMAIL_DOMAIN.match(text, at - (at > 0 and text[at - 1] == " ")))
    done = 0
    for match in sorted(filter(None, matches), key=lambda match: match.start()):
        at = match.start()
        # 256 characters bound the step back; the longest local part allowed is 64.
        before = text[max(done, at - 256) : max(done, at)]
        local = before[len(before.rstrip(shapes.LOCAL_PART)) :].lstrip("._%+-")
        if at < done or not local or local[-1] in ".%":
            continue
        start = at - len(local)
        hidden = match.re is shapes.HIDDEN_EMAIL_DOMAIN
        end = _hidden_end(match) if hidden else _domain_end(text, at + 1, match.end())
        if end is None or (local == "git" and text.startswith(":", end)):
            continue
        url = urls.around(start)
        if url is not None and start <= urls.queries[url]:
            continue
        done = end
        yield Span(start, end, "email")


def _domain_end(text: str, start: int, end: int) -> int | None:
    """Where a host name ends, with letters glued to it cut off; None if there is no top level."""
    labels = text[start:end].split(".")
    while len(labels) > 1:
        match = shapes.TOP_LEVEL.match(labels[-1])
        if match:
            whole = sum(len(label) + 1 for label in labels[:-1]) + match.end()
            return None if match.group().lower() in shapes.FILE_SUFFIXES else start + whole
        labels.pop()
    return None


def _hidden_end(match: re.Match[str]) -> int | None:
    """The end of a hidden host name; after a mere ' @ ' or ' at ' it needs a usual top level."""
    name = "domain" if match["domain"] else "words"
    sign = match["sign"] or match["spelt"]
    usual = sign.startswith(" ") and sign.strip(" ()[]{}<>") in ("a", "A", "@", "at")
    for label in reversed(list(re.finditer("[A-Za-z0-9가-힣-]+", match[name]))[1:]):
        top = (shapes.USUAL_TOP_LEVEL if usual else shapes.TOP_LEVEL).match(label.group())
        if top and top.group().lower() not in shapes.FILE_SUFFIXES:
            return match.start(name) + label.start() + top.end()
    return None


def _passports(text: str, digits: list[int], urls: Urls) -> Iterator[Span]:
    last: Span | None = None
    for place in digits:
        match = shapes.PASSPORT.search(text, max(last.end if last else 0, place - 4), place + 12)
        if match is None:
            continue
        start, end = match.span()
        context = context_of(text, start, end, last)
        if not stands_alone(context) or names_a_thing(context) or urls.around(start) is not None:
            continue
        label = words.PASSPORT_WORDS
        named = context.before(label, 40) or context.after(label, 16) or context.follows("passport")
        if named or shapes.NEW_PASSPORT.fullmatch(match.group()):
            last = Span(start, end, "passport")
            yield last


def find(text: str) -> list[Span]:
    """All personal values of `text`, of every kind in personal_data.KINDS, in order, without overlaps.

    `text` may be a batch joined by `joined.join`: no span and no context crosses a border.
    """
    text = shapes.plain(text)
    places = candidates(text)
    urls = Urls(text, places.urls)
    others = sorted((*_emails(text, places, urls), *_passports(text, places.letters, urls)))
    spans: list[Span] = []
    # An address such as 01012345678@naver.com starts where a number starts: sorting is stable, e-mail wins.
    for span in sorted(
        (*others, *_numbers(text, places.numbers, others, urls)), key=lambda span: span.start
    ):
        if not spans or span.start >= spans[-1].end:
            spans.append(span)
    return spans
