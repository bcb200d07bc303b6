"""An OpenID Connect provider: authorization code flow with PKCE, state and nonce.

Sources: OpenID Connect Core 1.0 (3.1), Discovery 1.0 (4), RFC 7636 (PKCE), RFC 9207 (iss of an answer).
Only the provider is asked: its discovery document, its keys, and one token for each sign-in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import ssl
import threading
import time
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from onnuri.base.errors import UserError
from onnuri.hub.config import HubConfig, origin
from onnuri.hub.oidc import Identity, Refused, identity_of

log = logging.getLogger(__name__)
PATH = "/.well-known/openid-configuration"
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Public keys alone: with none or HS256, whoever knows the client could write tokens."""
LARGEST_ANSWER = 1 << 20
"""Bytes."""
SECONDS = 10.0
"""For one answer, and between two tries to reach a provider that was down."""
AT_ONCE = 4
"""Sign-ins that wait for the provider: threads are left for everything else while it hangs."""
LEEWAY = 60
"""Seconds by which clocks may differ."""


class Provider:
    """Raises UserError for a secret that cannot be read and a provider that answers what does not fit;
    one that cannot be reached is asked again at the next sign-in."""

    def __init__(self, config: HubConfig) -> None:
        self.issuer, self.client = config.oidc_issuer, config.oidc_client
        self.create = config.oidc_create
        self._origins = {origin(each) for each in [self.issuer, *config.oidc_origins]}
        self._secret = _read_secret(config.oidc_secret) if config.oidc_secret else ""
        self._waiting = threading.BoundedSemaphore(AT_ONCE)
        self._http = httpx.Client(timeout=SECONDS, trust_env=False, verify=ssl.create_default_context())
        self._document: dict[str, Any] = {}
        self._next_try = 0.0
        try:
            self._endpoints()
        except Refused as refused:
            if refused.reason != "unreachable":
                raise UserError(f"oidc_issuer={self.issuer} cannot be used: {refused.detail}") from None
            log.warning(
                "oidc_issuer=%s cannot be reached: only passwords work (%s)",
                self.issuer,
                refused.detail,
            )

    def address(self, redirect: str, state: str, nonce: str, verifier: str) -> str:
        """Where the browser goes to sign in. Raises Refused if the provider cannot be reached."""
        digest = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        words = {
            "response_type": "code",
            "client_id": self.client,
            "redirect_uri": redirect,
            "scope": "openid email profile",
            "state": state,
            "nonce": nonce,
            "code_challenge": digest,
            "code_challenge_method": "S256",
        }
        endpoint = self._endpoints()["authorization_endpoint"]
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(words)}"

    def identify(self, code: str, redirect: str, nonce: str, verifier: str) -> Identity:
        """Whom a code stands for. Raises Refused if it or the ID token is not good."""
        if not self._waiting.acquire(blocking=False):
            raise Refused("unreachable", "too many sign-ins wait for the provider")
        try:
            document = self._endpoints()
            token = self._token(document, code, redirect, verifier)
            keys = self._ask("GET", document["jwks_uri"])
        finally:
            self._waiting.release()
        return self._check(token, keys, nonce)

    def close(self) -> None:
        """End its connections."""
        self._http.close()

    def _token(self, document: dict[str, Any], code: str, redirect: str, verifier: str) -> str:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect,
            "code_verifier": verifier,
        }
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        auth = None
        if self._secret and "client_secret_basic" in methods:  # RFC 6749, 2.3.1: encoded as in a form
            auth = httpx.BasicAuth(quote_plus(self.client), quote_plus(self._secret))
        else:
            fields["client_id"] = self.client
            if self._secret:
                fields["client_secret"] = self._secret
        answer = self._ask("POST", document["token_endpoint"], data=fields, auth=auth)
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Refused("untrusted", "the provider sent no ID token")
        return token

    def _check(self, token: str, keys: dict[str, Any], nonce: str) -> Identity:
        try:
            claims = jwt.decode(token, KeySet.import_key_set(keys), ALGORITHMS).claims  # type: ignore[arg-type]
            jwt.JWTClaimsRegistry(
                leeway=LEEWAY,
                iss={"essential": True, "value": self.issuer},
                aud={"essential": True, "value": self.client},
                sub={"essential": True},
                exp={"essential": True},
                iat={"essential": True},
            ).validate(claims)
        except (JoseError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise Refused("untrusted", f"the ID token is not good: {error}"[:300]) from None
        given = str(claims.get("nonce")).encode(errors="replace")
        if not hmac.compare_digest(given, nonce.encode()):
            raise Refused("untrusted", "the ID token is of another sign-in: its nonce differs")
        if claims.get("azp", self.client) != self.client:
            raise Refused("untrusted", "the ID token is for another client: its azp differs")
        return identity_of(self.issuer, claims)

    def _endpoints(self) -> dict[str, Any]:
        """The discovery document, kept once it was fetched."""
        if self._document:
            return self._document
        if time.monotonic() < self._next_try:
            raise Refused("unreachable", "the provider was not there a moment ago")
        self._next_try = time.monotonic() + SECONDS
        url = self.issuer.rstrip("/") + PATH
        try:
            document = self._ask("GET", url)
        except Refused as refused:
            reason = "unreachable" if refused.reason == "refused" else refused.reason
            raise Refused(reason, f"{url}: {refused.detail}") from None
        if document.get("issuer") != self.issuer:
            raise Refused("untrusted", f"its document names issuer {str(document.get('issuer'))[:200]!r}")
        for name in ENDPOINTS:
            if origin(document.get(name)) not in self._origins:
                raise Refused(
                    "untrusted",
                    f"its {name} is {str(document.get(name))[:200]!r}; oidc_origins=[https://HOST] allows "
                    "another host",
                )
        self._document = document
        return document

    def _ask(self, method: str, url: str, **words: Any) -> dict[str, Any]:
        """A JSON object. Raises Refused: `refused` for an error of the client, else `unreachable`."""
        content, deadline = b"", time.monotonic() + SECONDS
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            with self._http.stream(method, url, headers=headers, **words) as answer:
                for piece in answer.iter_raw():
                    content += piece
                    if len(content) > LARGEST_ANSWER or time.monotonic() > deadline:
                        raise Refused("unreachable", "its answer is too large or too slow")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Refused("unreachable", str(error)[:200] or type(error).__name__) from None
        if answer.status_code != 200:
            reason = "refused" if 400 <= answer.status_code < 500 else "unreachable"
            raise Refused(reason, f"the provider answered with status {answer.status_code}")
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Refused("untrusted", "its answer is no JSON object")
        return found


def _read_secret(path: str) -> str:
    try:
        with Path(path).open(encoding="utf-8") as file:
            secret = file.read(4097).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UserError(f"oidc_secret={path} cannot be read: {reason}") from None
    if not secret or len(secret) > 4096:
        raise UserError(f"oidc_secret={path} must hold the client's secret, at most 4,096 characters")
    return secret
