"""All routes. What is more special comes first."""

from __future__ import annotations

from onnuri import __version__
from onnuri.hub.api import commit, files, lfs, repos, users, xet
from onnuri.hub.api.call import Call, answer
from onnuri.hub.api.router import Route, Router
from onnuri.hub.hub import Hub


def health(call: Call) -> object:
    """GET /health."""
    return answer({"status": "ok", "version": __version__})


def application(hub: Hub) -> Router:
    """The ASGI application of a hub."""
    routes = [
        Route("GET", "/health", health, anyone=True),
        *users.ROUTES,
        *files.ROUTES,
        *commit.ROUTES,
        *lfs.ROUTES,
        *xet.ROUTES,
        *repos.ROUTES,
    ]
    return Router(hub, routes)
