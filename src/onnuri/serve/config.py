"""Options of scripts/serve.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from onnuri.base.errors import UserError, check_choice
from onnuri.config.paths import path_option
from onnuri.web.config import WebConfig


@dataclass
class ServeConfig(WebConfig):
    """Which models, at which address, within which limits."""

    model: str = path_option("")
    """Hugging Face model folder, or ORG/NAME of a hub; needed unless backend=vllm."""
    hub: str = ""
    """Address of the hub that has model=ORG/NAME; empty: HF_ENDPOINT. Never the public hub."""
    name: str = ""
    """What requests call it; empty: the folder's name."""
    models: list[str] = field(default_factory=list)
    """Further models, each a folder, ORG/NAME of the hub, or NAME= and one of them."""
    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 takes requests from other machines, and then needs keys."""
    allow_no_keys: bool = False
    """Listen at a public address though no key exists: whoever reaches it may use it."""
    state: str = path_option("")
    """Folder of keys, audit and masked log; empty: no keys, and nothing is written."""
    log: str = "none"
    """none: no text is written to disk; masked: requests and answers, after personal data was masked."""
    mark: bool = False
    """An answer copied from the chat page ends with a line: its model, that AI made it, the date."""
    log_days: int = 30
    """Days after which a masked log is deleted."""
    slots: int = 8
    """Texts of a model in progress at a time."""
    queue: int = 64
    """Texts of a model that may wait for a slot; one more is answered with 503."""
    context: int = 0
    """Most tokens of a prompt and its text; 0: as many as the model reads."""
    cache_tokens: int = 0
    """Tokens of all texts of a model whose keys and values are kept in memory; 0: slots times context."""
    max_body_bytes: int = 4 << 20
    """Largest body of a request."""
    body_seconds: float = 30.0
    """A body that has not come by then ends the request."""
    request_seconds: float = 600.0
    """An answer that has not ended by then is cut off."""
    requests_per_minute: int = 0
    """Of one key, or of all clients where there are no keys; 0: no limit."""
    heartbeat_seconds: float = 15.0
    """A stream that has nothing to send for so long sends a comment."""
    backend: str = "native"
    """native: Onnuri's generator; vllm: an unmodified vLLM server at `url`."""
    url: str = ""
    """Address of vLLM, for example http://127.0.0.1:8001."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("log", self.log, ("none", "masked"))
        check_choice("backend", self.backend, ("native", "vllm"))
        if (self.backend == "vllm") != bool(self.url) or (self.backend == "vllm") == bool(self.model):
            raise UserError("give model=DIR, or backend=vllm url=http://HOST:PORT without model=")
        if self.log == "masked" and not self.state:
            raise UserError("log=masked needs state=DIR, the folder to write to")
        for option in ("slots", "max_body_bytes", "log_days"):
            if getattr(self, option) < 1:
                raise UserError(f"{option}={getattr(self, option)} must be at least 1")
        for option in ("queue", "context", "cache_tokens", "requests_per_minute"):
            if getattr(self, option) < 0:
                raise UserError(f"{option}={getattr(self, option)} must be at least 0")
        for option in ("body_seconds", "request_seconds", "heartbeat_seconds"):
            if getattr(self, option) <= 0:
                raise UserError(f"{option}={getattr(self, option)} must be above 0")

    def folders(self) -> dict[str, str]:
        """Model folders by name. Raises UserError for a name that two of them have."""
        found: dict[str, str] = {}
        for number, each in enumerate([self.model, *self.models] if self.model else self.models):
            name, equals, folder = each.rpartition("=")
            if not equals or number == 0 or "/" in name:
                name, folder = (self.name if number == 0 else "") or Path(each).resolve().name, each
            if name in found:
                raise UserError(f"two models have the name {name}; write models=[OTHER_NAME={folder}]")
            found[name] = folder
        return found


@dataclass
class CreateKeyConfig:
    """For whom."""

    state: str = path_option()
    """Folder that `onnuri serve state=` has."""
    name: str = "???"
    """Whom the key is for; shown in lists and metrics."""
    requests_per_minute: int = 0
    """Limit of this key; 0: that of the server."""


@dataclass
class ListKeysConfig:
    """Where."""

    state: str = path_option()
    """Folder that `onnuri serve state=` has."""


@dataclass
class RevokeKeyConfig:
    """Which."""

    state: str = path_option()
    """Folder that `onnuri serve state=` has."""
    id: str = "???"
    """Id of the key, from `onnuri serve keys list`."""


@dataclass
class EraseConfig:
    """Whose record."""

    state: str = path_option()
    """Folder that `onnuri serve state=` has."""
    request: str = "???"
    """Id of the request, from the header x-request-id of its answer."""
