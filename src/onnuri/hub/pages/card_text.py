"""A card as HTML: Markdown, of which only what can do no harm is kept.

Images are left out: a page of the hub loads nothing from elsewhere.
"""

from __future__ import annotations

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup

from onnuri.hub.card import FRONT

LONGEST = 1 << 18
"""Characters that are shown."""
TAGS = nh3.ALLOWED_TAGS - {"img", "map", "area"}
_MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def html_of(text: str) -> Markup:
    """The text of a card without its front matter."""
    body = FRONT.sub("", text, count=1)[:LONGEST]
    clean = nh3.clean(_MARKDOWN.render(body), tags=TAGS, url_schemes={"http", "https", "mailto"})
    return Markup(clean)
