"""All routes. What is more special comes first."""

from __future__ import annotations

from onnuri import __version__
from onnuri.hub.api import commit, consent, files, lfs, repos, safety, users, xet
from onnuri.hub.api.call import Call, answer
from onnuri.hub.api.router import Route, Router
from onnuri.hub.hub import Hub
from onnuri.hub.pages.routes import ROUTES as PAGES
from onnuri.hub.pages.view import error_page


def health(call: Call) -> object:
    """GET /health."""
    return answer({"status": "ok", "version": __version__})


def application(hub: Hub) -> Router:
    """The ASGI application of a hub."""
    routes = [
        Route("GET", "/health", health, anyone=True),
        *users.ROUTES,
        *safety.ROUTES,
        *files.ROUTES,
        *commit.ROUTES,
        *lfs.ROUTES,
        *xet.ROUTES,
        *consent.ROUTES,
        *repos.ROUTES,
        *PAGES,
    ]
    return Router(hub, routes, error_page)
