"""The main content of an HTML page, its title and its language, in the encoding that the page is really in.

Content is found by resiliparse: rules over tag names, classes, link density and depth, in Rust on a lexbor
tree. Measured on one core: 23 MB of Korean help pages a second. trafilatura 2.3.1 finds as much but is 11
times slower and kept menus or advertisements of four hand-made Korean pages in five; selectolax 1.0.2 is a
parser only. A known gap: a <ul> less than four levels below <body> is taken for a menu.

Parsing in lexbor takes time by the square of the nesting, and of the attributes of a tag; `<font>` that is
never closed is copied into every later paragraph. So a linear scan estimates the work first and refuses
what no page needs: 100,000 nested <div> would take minutes. The scan looks at the page as text, and who
knows it can hide tags from it in quotes and comments; sizes still bound what such a page can cost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from onnuri.corpus.reading.encoding import decode_most

MOST_BYTES = 8 << 20
MOST_STEPS = 12_000_000
"""Of parsing, each some 40 ns: half a second."""
MOST_ATTRIBUTES = 8_000
"""Of a tag; 10,000 cost 0.13 s, 100,000 13 s."""
STEPS_A_TAG = 30
"""What a tag costs by itself, and each time an open formatting element is copied into it."""

_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]{0,99}|!--)")
_RAW = {
    "!--": re.compile("-->"),
    "script": re.compile("</script", re.IGNORECASE),
    "style": re.compile("</style", re.IGNORECASE),
}
"""What begins text in which "<" begins no tag (but in SVG and MathML), and what ends it."""
_LONG_TAG = re.compile(r"""<[a-zA-Z](?:[^>"']++|"[^"]*+"|'[^']*+')++""")
_VALUE = re.compile(r"""\"[^"]*+\"|'[^']*+'""")
_SEPARATOR = re.compile(r"[\s/\"']+")
_FORMATTING = frozenset(re.findall("[a-z]+", "b big code em font i s small strike strong tt u"))
_NEVER_NESTED = frozenset(
    re.findall(
        "[a-z!-]+",
        "!-- script style area base br col embed hr img input link meta param source track wbr html head "
        "body p li dt dd tr td th thead tbody tfoot option optgroup colgroup rp rt a nobr",
    )
)
"""Void, or closed by the next of the same: open tags of these do not add up."""

_KEEP = "\ufdd0"
_ALONE = re.compile(r">(\s*+(?:[\u0800-\ud7ff\uf900-\ufffd]|&#(?:\d{4,5}|[xX][0-9a-fA-F]{3,4});))(?=\s*+<)")
"""Text of one character between two tags. resiliparse 2.0.1 means to drop icons from the private use area
there, but compares the three bytes in the wrong order, and drops 은 in <a>서울</a>은 <b>..., every particle
after a link. Not so with _KEEP beside it, a code point that no text may hold."""


class Page(NamedTuple):
    text: str
    """Paragraphs apart by a blank line, table cells by tabs, list items after a bullet."""
    title: str
    language: str
    """As the <html> tag says (ko, ko-KR), "" where it does not."""
    note: str = ""
    """The damage of its encoding, as `decode_most` says it."""


def extract(raw: bytes, declared: str = "", most_bad: float = 0) -> Page:
    """The main content of a page. `declared` is the charset of its Content-Type header, "" for none;
    `most_bad` the share of bad characters that is let pass.

    Raises ValueError with the cause in one line for what is no text and for what is too costly to parse.
    """
    if len(raw) > MOST_BYTES:
        raise ValueError(f"a page of more than {MOST_BYTES:,} bytes")
    html, note = decode_most(raw, declared, most_bad)
    _refuse_costly(html)
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.html import HTMLTree

    try:
        tree = HTMLTree.parse(_ALONE.sub(rf">\1{_KEEP}", html))
        text = extract_plain_text(tree, main_content=True, preserve_formatting=True, alt_texts=False)
        root = tree.document.query_selector("html") if tree.document else None
        language = (root.getattr("lang") or "").strip() if root else ""
        title = " ".join((tree.title or "").split())
        return Page(text.replace(_KEEP, ""), title.replace(_KEEP, ""), language, note)
    except Exception as error:
        raise ValueError(f"the page does not parse: {error}") from None


def _refuse_costly(html: str) -> None:
    tags = html.count("<")
    if tags * (STEPS_A_TAG + tags + STEPS_A_TAG * tags) > MOST_STEPS:
        tags, depth, formatting = _shape(html)
        if tags * (STEPS_A_TAG + depth + STEPS_A_TAG * formatting) > MOST_STEPS:
            raise ValueError(
                f"a page too costly to parse: {tags:,} tags, {depth:,} deep, {formatting:,} formatting ones"
            )
    for tag in _LONG_TAG.finditer(html):
        if tag.end() - tag.start() > 2 * MOST_ATTRIBUTES:
            attributes = len(_SEPARATOR.findall(_VALUE.sub("''", tag[0])))
            if attributes > MOST_ATTRIBUTES and any(
                position == tag.start() for position, _, _ in _tags(html)
            ):
                raise ValueError(f"a page too costly to parse: a tag with some {attributes:,} attributes")


def _tags(html: str) -> Iterator[tuple[int, bool, str]]:
    """Position, whether it closes, and name of each tag not inside a script, a style or a comment."""
    position = foreign = 0
    while found := _TAG.search(html, position):
        closing, name = bool(found[1]), found[2].lower()
        position = found.end()
        foreign += (name in ("svg", "math")) * (-1 if closing and foreign else 1)
        yield found.start(), closing, name
        if name in _RAW and not closing and not foreign:
            end = _RAW[name].search(html, position)
            if not end:
                return
            position = end.end()


def _shape(html: str) -> tuple[int, int, int]:
    """Number of tags, most tags open at once, most formatting tags open at once; no more than need be."""
    opened: Counter[str] = Counter()
    tags = depth = deepest = formatting = most_formatting = 0
    for _, closing, name in _tags(html):
        tags += 1
        if tags * STEPS_A_TAG > MOST_STEPS:
            break
        if name in _NEVER_NESTED or (closing and not opened[name]):
            continue
        step = -1 if closing else 1
        opened[name] += step
        depth += step
        formatting += step * (name in _FORMATTING)
        deepest = max(deepest, depth)
        most_formatting = max(most_formatting, formatting)
    return tags, deepest, most_formatting
