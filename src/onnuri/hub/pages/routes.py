"""All pages. What is more special comes first."""

from __future__ import annotations

from onnuri.hub.pages import account, administration, consent, manage, oidc, repository, sign_in, start

ROUTES = [
    *sign_in.ROUTES,
    *oidc.ROUTES,
    *account.ROUTES,
    *administration.ROUTES,
    *manage.NEW,
    *start.ROUTES,
    *consent.ROUTES,
    *repository.both("GET", "/settings", manage.show),
    *repository.both("POST", "/settings", manage.change),
    *(route for below, handler in repository.PAGES for route in repository.both("GET", below, handler)),
    *administration.NAMESPACES,
]
