"""The start page: models and datasets, searched as the API searches them."""

from __future__ import annotations

from itertools import islice
from urllib.parse import urlencode

from starlette.responses import Response

from onnuri.hub.api.call import Call
from onnuri.hub.api.describe import tags_of
from onnuri.hub.api.router import Route
from onnuri.hub.api.search import matching
from onnuri.hub.names import TYPES
from onnuri.hub.pages.view import page, visible

PAGE = 30
FILTERS = ("search", "type", "sort", "filter", "author")


def start(call: Call) -> Response:
    """GET /."""
    visible(call)
    asked = {name: call.query(name)[:200] for name in FILTERS}
    kinds = [TYPES[asked["type"]]] if asked["type"] in TYPES else list(TYPES.values())
    with call.hub.database.reading() as connection:
        rows = list(islice(matching(call, connection, kinds), PAGE + 1))
    following = ""
    if len(rows) > PAGE:
        kept = {name: value for name, value in asked.items() if value}
        following = "/?" + urlencode(kept | {"cursor": str(rows[PAGE][0])})
    found = [(repository, tags_of(repository)) for _, repository in rows[:PAGE]]
    return page(call, "start.html", asked=asked, found=found, following=following)


ROUTES = [Route("GET", "/", start)]
