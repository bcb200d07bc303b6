"""How often a user may ask, in the headers that Hugging Face clients wait by.

Fields: IETF draft RateLimit header fields for HTTP; read in huggingface_hub, utils/_http.py.
"""

from __future__ import annotations

import threading
import time

from onnuri.hub.config import HubConfig
from onnuri.hub.errors import HubError
from onnuri.hub.records import Caller

WINDOW = 60
"""Seconds."""
MOST_COUNTED = 100_000
"""Users and addresses; beyond, counting begins anew."""


class Limits:
    """Requests within the present minute, by user; of those without a token, by address."""

    def __init__(self, config: HubConfig) -> None:
        self.config = config
        self._lock = threading.Lock()
        self._window = 0
        self._counts: dict[str, int] = {}

    def count(self, caller: Caller | None, address: str) -> dict[str, str]:
        """Headers that say how many are left. Raises HubError 429 if none was."""
        most = self.config.requests_per_minute
        if not most:
            return {}
        return self._count("api", f"user {caller.id}" if caller else f"address {address}", most)

    def count_sign_in(self, address: str) -> None:
        """Raises HubError 429 after too many attempts from an address."""
        if self.config.sign_ins_per_minute:
            self._count("sign-in", f"sign-in {address}", self.config.sign_ins_per_minute)

    def _count(self, policy: str, who: str, most: int) -> dict[str, str]:
        now = time.time()
        window = int(now // WINDOW)
        with self._lock:
            if window != self._window or len(self._counts) > MOST_COUNTED:
                self._window, self._counts = window, {}
            used = self._counts[who] = self._counts.get(who, 0) + 1
        wait = int((window + 1) * WINDOW - now) + 1
        headers = {
            "RateLimit": f'"{policy}";r={max(0, most - used)};t={wait}',
            "RateLimit-Policy": f'"fixed window";"{policy}";q={most};w={WINDOW}',
        }
        if used > most:
            headers["Retry-After"] = str(wait)
            raise HubError(429, f"more than {most} requests a minute; wait {wait} seconds", headers=headers)
        return headers
