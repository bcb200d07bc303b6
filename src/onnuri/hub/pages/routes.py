"""All pages. What is more special comes first."""

from __future__ import annotations

from onnuri.hub.pages import consent, sign_in, start

ROUTES = [
    *sign_in.ROUTES,
    *start.ROUTES,
    *consent.ROUTES,
]
