"""Connections to a hub of one's own. The public hub is refused: nothing goes there, nothing comes from it.

A hub is named by `hub=URL` or HF_ENDPOINT; without either there is no connection and no lookup of a name.
huggingface_hub speaks to it. While it does, each request, also one that follows a redirect or an upload
link of the hub, must go to the address that was named; telemetry is off, and so is the xet protocol, whose
requests leave by a library of its own and cannot be held to one address.
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from onnuri.base.errors import UserError, optional_package, system_error

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PUBLIC = ("huggingface.co", "hf.co", "huggingface.cloud", "hf.space")
"""Domains of the public hub; their subdomains count too."""
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+")
PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
NAME = re.compile(rf"({PART}/{PART})(?:@([^\s@\\:?*\[~^]{{1,200}}))?")
LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class HubName:
    """ORG/NAME or ORG/NAME@REVISION on a hub."""

    endpoint: str
    """http(s)://HOST[:PORT], without a slash at the end."""
    repository: str
    revision: str = "main"
    """Branch, tag or commit."""
    kind: str = "model"
    """model or dataset."""

    @property
    def page(self) -> str:
        """Its address for a browser."""
        return f"{self.endpoint}/{'datasets/' if self.kind == 'dataset' else ''}{self.repository}"


def looks_like_a_name(text: str) -> bool:
    """Whether a text could be ORG/NAME."""
    return bool(NAME.fullmatch(text))


def hub_name(option: str, text: str, hub: str, kind: str = "model") -> HubName:
    """What `option=text` means on the hub that `hub=` or HF_ENDPOINT names. Connects to nothing.

    Raises UserError for a text that is no name, and without a hub, or with the public one.
    """
    found = NAME.fullmatch(text)
    if not found or "--" in found[1] or ".." in text:
        raise UserError(f"{option}={text} is no name on a hub: ORG/NAME or ORG/NAME@BRANCH is needed")
    return HubName(endpoint(hub, f"{option}={text}"), found[1], found[2] or "main", kind)


def endpoint(hub: str, needed_by: str) -> str:
    """The address of the hub. Raises UserError where none is named, or the public one is."""
    named, where = (hub, "hub") if hub else (os.environ.get("HF_ENDPOINT", ""), "HF_ENDPOINT")
    if not named:
        raise UserError(f"{needed_by}: no hub is named; give hub=URL, or set HF_ENDPOINT")
    try:
        parts = urlsplit(named.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or not HOST.fullmatch(host) or extra:
        raise UserError(f"{where}={named} must be http://HOST[:PORT] or https://HOST[:PORT]")
    if any(host == domain or host.endswith(f".{domain}") for domain in PUBLIC):
        raise UserError(
            f"{where}={named} is the public hub, where Onnuri's commands send nothing and fetch nothing; "
            "name a hub of your own"
        )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


@contextmanager
def connected(name: HubName) -> Iterator[HfApi]:
    """huggingface_hub, for this hub alone, also where HF_HUB_OFFLINE=1 keeps everything else from trying.

    Its token is that of HF_TOKEN or of `hf auth login`. What goes wrong becomes a UserError of one line.
    Not for several threads of one process at a time: the settings of huggingface_hub are the process's.
    """
    with optional_package("hf", "a hub"):
        from huggingface_hub import HfApi, constants, get_token
        from huggingface_hub.utils import (
            are_progress_bars_disabled,
            disable_progress_bars,
            enable_progress_bars,
            set_client_factory,
        )
        from huggingface_hub.utils._http import default_client_factory

    own = {"HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_TELEMETRY": True, "HF_HUB_DISABLE_XET": True}
    before = {key: getattr(constants, key) for key in own}
    address = _address(name.endpoint)

    def stay(request: Any) -> None:
        if _address(str(request.url)) != address:
            to = urlsplit(str(request.url))
            raise UserError(
                f"the hub {name.endpoint} sends this client to {to.scheme}://{to.netloc}, which is another "
                "address; the hub's option url= must be the address that clients use"
            )

    def client() -> Any:
        made = default_client_factory()
        hooks = made.event_hooks
        made.event_hooks = {**hooks, "request": [stay, *hooks["request"]]}
        return made

    silenced = not sys.stderr.isatty() and not are_progress_bars_disabled()
    for key, value in own.items():
        setattr(constants, key, value)
    if silenced:
        disable_progress_bars()
    set_client_factory(client)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of huggingface_hub, about what a card lacks
            yield HfApi(endpoint=name.endpoint, token=get_token() or False, library_name="onnuri")
    except UserError:
        raise
    except Exception as error:
        raise _explained(error, name) from None
    finally:
        set_client_factory(default_client_factory)
        for key, value in before.items():
            setattr(constants, key, value)
        if silenced:
            enable_progress_bars()


def _address(url: str) -> tuple[str, str, int]:
    """Scheme, host and port."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").rstrip("."),
        parts.port or (443 if parts.scheme == "https" else 80),
    )


def has_token() -> bool:
    """Whether HF_TOKEN or a token file has one."""
    with optional_package("hf", "a hub"):
        from huggingface_hub import get_token
    return bool(get_token())


def _explained(error: Exception, name: HubName) -> UserError:
    """One line with the way out, for whatever huggingface_hub raises."""
    from huggingface_hub import errors

    reason = getattr(error, "server_message", None) or str(error)
    reason = " ".join(reason.split())[:LONGEST_MESSAGE]
    status = getattr(getattr(error, "response", None), "status_code", 0)
    what = f"{name.kind} {name.repository}"
    token = "" if has_token() else "; there is no token: set HF_TOKEN, or run hf auth login --token TOKEN"
    if isinstance(error, errors.GatedRepoError):
        return UserError(f"{what} asks for consent first: {reason}; open {name.page}{token}")
    if isinstance(error, errors.RevisionNotFoundError):
        return UserError(f"{what} has no branch, tag or commit {name.revision} on {name.endpoint}")
    if isinstance(error, errors.RepositoryNotFoundError):
        return UserError(f"{name.endpoint} has no {what}, or not for this token{token}")
    if status == 401:
        return UserError(f"{name.endpoint} takes no request without a valid token: {reason}{token}")
    if status == 403:
        return UserError(f"{what} on {name.endpoint}: this token may not do that: {reason}")
    if status:
        return UserError(f"{what} on {name.endpoint}: status {status}: {reason}")
    if isinstance(error, OSError) and error.errno:
        return system_error(error, name.repository)
    if type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore", "httpcore2"):
        return UserError(f"the hub {name.endpoint} cannot be reached: {reason or type(error).__name__}")
    return UserError(f"{what} on {name.endpoint}: {reason or type(error).__name__}")
