"""All pages. What is more special comes first."""

from __future__ import annotations

from onnuri.hub.pages import sign_in, start

ROUTES = [
    *sign_in.ROUTES,
    *start.ROUTES,
]
