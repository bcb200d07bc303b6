"""Find personal data in a text: numbers, e-mail addresses, passports.

personal_candidates names the positions to look at, about one in a thousand characters of prose; there the
shapes of personal_shapes are tried, and personal_rules decide. The alternative, one substitution per kind,
scans the text ten times and cannot see context. Cost: a few microseconds for each candidate.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from onnuri.corpus.stages.pii import layout, shapes, words
from onnuri.corpus.stages.pii.address import addresses
from onnuri.corpus.stages.pii.candidates import Candidates, candidates
from onnuri.corpus.stages.pii.rules import (
    RULES,
    Span,
    accepted,
    context_of,
    names_a_thing,
    stands_alone,
    whole_start,
)
from onnuri.corpus.text.joined import SEPARATOR


class Urls:
    """The URLs of a text: which one a position is in, by bisection."""

    def __init__(self, text: str, starts: list[int]) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.queries: list[int] = []
        """Position of the first question mark of each, or its end."""
        end = 0
        for start in starts:
            if start >= end:
                match = shapes.URL_BODY.match(text, start)
                assert match is not None, "URL_BODY matches the empty text"
                end = match.end()
                query = text.find("?", start, end)
                self.starts.append(start)
                self.ends.append(end)
                self.queries.append(end if query < 0 else query)

    def around(self, position: int) -> int | None:
        """Number of the URL that continues at `position`, None if there is none."""
        number = bisect_left(self.starts, position) - 1
        return number if number >= 0 and position <= self.ends[number] else None


# The first item is a bare class so that sre skips to the next digit in its fast loop; the look-behind then
# steps back over that digit and tries the shapes from it.
_SHAPES = "|".join(shapes.ROUGH_CARD if pattern is shapes.CARD else pattern.pattern for pattern, _ in RULES)
_NUMBER = re.compile(rf"[0-9](?<=(?<![0-9])(?<![0-9][-._])(?={_SHAPES})[0-9])")


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
    for found, kind, context in accepted(text, start, lambda end: context_of(text, start, end, last)):
        if kind == "ip" or not in_url:
            return Span(whole_start(start, found, kind, context), start + len(found), kind)
    return None


def _split_numbers(text: str, hits: Candidates, spans: list[Span], urls: Urls) -> Iterator[Span]:
    """What layout splits or disguises (see personal_layout), where `spans` have left room."""
    ends = [span.end for span in spans]
    done = previous = failures = 0
    found: Span | None = None
    for start in sorted({*hits.split, *layout.labelled(text, hits.rows), *layout.starts(text, hits.odd)}):
        if start - previous > layout.DENSE or SEPARATOR in text[previous:start]:
            failures = 0
        number, previous = bisect_right(ends, start), start
        limit = spans[number].start if number < len(spans) else len(text)
        # A long row of what could begin a number and does not is a table.
        if (
            start < done
            or start >= limit
            or failures > layout.MOST_FAILURES
            or urls.around(start) is not None
        ):
            continue
        last = spans[number - 1] if number else None
        if found is not None and (last is None or last.end < found.end):
            last = found
        span = layout.classify(text, start, limit, last)
        failures += 1
        if span is not None and (last is None or span.start >= last.end):
            found, done, failures = span, span.end, 0
            yield span


def _emails(text: str, hits: Candidates, urls: Urls) -> Iterator[Span]:
    matches = [shapes.EMAIL_DOMAIN.match(text, at) for at in hits.at_signs]
    for at in hits.hidden:
        before = text[max(0, at - 6) : at]
        start = at - len(before) + len(before.rstrip(" \t\n>" if text[at] in "@([{<" else " \t\n([{<"))
        matches.append(shapes.HIDDEN_EMAIL_DOMAIN.match(text, start))
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
    """The end of a hidden host name, None if too little speaks for one.

    After a mere ' @ ' or ' at ', and after a dot that could end a sentence, only a usual top level counts;
    with a blank on one side of the at-sign or a line end, only the host of a mail service.
    """
    sign, domain = match["sign"], match["domain"]
    bare = sign.strip(" \t\n>") if "\n" in sign else sign.strip(" \t")
    if bare == "@" and sign not in ("@", " @ ") and not shapes.MAIL_HOST.match(domain):
        return None
    usual = sign.startswith(" ") and bare.strip("()[]{}< >") in ("a", "A", "@", "at", "AT")
    labels = list(shapes.HOST_LABEL.finditer(domain))
    end, done = None, labels[0].end()
    for label in labels[1:]:
        if label.start() < done or shapes.DOT_WORD.fullmatch(label.group()):
            continue
        tight = shapes.TIGHT_DOT.fullmatch(domain, done, label.start()) is not None
        done = label.end()
        if not tight and end is not None:
            break
        top = (shapes.TOP_LEVEL if tight and not usual else shapes.USUAL_TOP_LEVEL).match(label.group())
        if top and top.group().lower() not in shapes.FILE_SUFFIXES:
            end = match.start("domain") + label.start() + top.end()
        elif not tight:
            break
    return end


def _passports(text: str, digits: list[int], urls: Urls) -> Iterator[Span]:
    last: Span | None = None
    for position in digits:
        match = shapes.PASSPORT.search(text, max(last.end if last else 0, position - 4), position + 12)
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


def _split_passports(text: str, labels: list[int], spans: list[Span]) -> Iterator[Span]:
    done = 0
    for position in labels:
        span = layout.passport(text, max(position, done))
        if span is not None and not any(
            other.start < span.end and span.start < other.end for other in spans
        ):
            done = span.end
            yield span


def _with_addresses(text: str, spans: list[Span]) -> list[Span]:
    """Addresses too; what overlaps one becomes a part of it."""
    merged: list[Span] = []
    for span in sorted((*spans, *addresses(text))):
        if merged and span.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end), "address")
        else:
            merged.append(span)
    return merged


def find(text: str, with_addresses: bool = False) -> list[Span]:
    """All personal values of `text`, of every kind in personal_data.KINDS, in order, without overlaps.

    Addresses only `with_addresses`. `text` may be a batch joined by `joined.join`: no span and no context
    crosses a boundary.
    """
    text, units = shapes.plain_units(text)
    hits = candidates(text, units)
    urls = Urls(text, hits.urls)
    others = sorted((*_emails(text, hits, urls), *_passports(text, hits.letters, urls)))
    spans: list[Span] = []
    # An address such as 01012345678@naver.com starts where a number starts: sorting is stable, e-mail wins.
    for span in sorted((*others, *_numbers(text, hits.numbers, others, urls)), key=lambda span: span.start):
        if not spans or span.start >= spans[-1].end:
            spans.append(span)
    if hits.split or hits.rows or hits.odd:
        spans = sorted((*spans, *_split_numbers(text, hits, spans, urls)))
    spans = sorted((*spans, *_split_passports(text, hits.passports, spans)))
    return _with_addresses(text, spans) if with_addresses else spans
