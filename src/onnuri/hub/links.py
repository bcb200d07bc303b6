"""Addresses that carry their own permission: clients send no token to where large contents go.

One is good for one method, path, repository and user, and for an hour.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from onnuri.hub.errors import HubError

LAST = 3600.0
"""Seconds; who loses the right to a repository must not read on for longer."""


class Signer:
    """Signs facts with a secret of the hub."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, purpose: str, facts: dict[str, Any], seconds: float = LAST) -> str:
        """Facts and a signature, as a word for an address."""
        content = json.dumps(facts | {"until": int(time.time() + seconds)}, sort_keys=True).encode()
        return f"{_text(content)}.{_text(self._mac(purpose, content))}"

    def check(self, purpose: str, signed: str) -> dict[str, Any]:
        """The facts. Raises HubError for a word that was not signed for this purpose, or is too old."""
        content, _, mac = signed.partition(".")
        try:
            raw, given = urlsafe_b64decode(content + "=="), urlsafe_b64decode(mac + "==")
        except ValueError:
            raise HubError(403, "the address is not one that the hub gave out") from None
        if not hmac.compare_digest(self._mac(purpose, raw), given):
            raise HubError(403, "the address is not one that the hub gave out")
        facts: dict[str, Any] = json.loads(raw)
        if facts.pop("until") < time.time():
            raise HubError(403, "the address has expired: ask for a new one")
        return facts

    def pseudonym(self, user: int) -> str:
        """What stands for a user where his name must not be kept: nobody without the secret can tell."""
        return self._mac("subject", str(user).encode()).hex()[:32]

    def _mac(self, purpose: str, content: bytes) -> bytes:
        return hmac.new(self._secret, purpose.encode() + b"\0" + content, hashlib.sha256).digest()


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
