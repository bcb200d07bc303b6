"""What a client is answered when its request cannot be served.

Hugging Face clients read the header X-Error-Code, not the status: huggingface_hub, utils/_http.py.
"""

from __future__ import annotations

from typing import Any

REPOSITORY, REVISION, ENTRY, GATED = "RepoNotFound", "RevisionNotFound", "EntryNotFound", "GatedRepo"
BAD_TOKEN = "Invalid credentials in Authorization header"
"""A client knows a wrong token by these words."""
DISABLED = "Access to this resource is disabled."
"""And a repository that was closed by these."""


class HubError(Exception):
    """An error with a status and the code that clients know it by."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str = "",
        headers: dict[str, str] | None = None,
        **facts: Any,
    ) -> None:
        """`facts` go into the JSON beside the message."""
        super().__init__(message)
        self.status, self.message, self.code = status, message, code
        self.extra_headers, self.facts = headers or {}, facts

    def content(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": self.message, **self.facts}

    def headers(self) -> dict[str, str]:
        """Those that belong to it; headers hold no Korean, so that the text is in the body alone then."""
        found = dict(self.extra_headers)
        if self.code:
            found["X-Error-Code"] = self.code
        if self.message.isascii() and "\n" not in self.message:
            found["X-Error-Message"] = self.message
        if self.status == 401:
            found["WWW-Authenticate"] = "Bearer"
        return found


def bad_request(message: str) -> HubError:
    """The error of a request that makes no sense here."""
    return HubError(400, message)


def no_entry(path: str, commit: str = "") -> HubError:
    """The error of a path that a revision does not have; with its commit, clients remember that."""
    return HubError(404, f"{path!r} is not there", ENTRY, {"X-Repo-Commit": commit} if commit else None)


def no_revision(name: str) -> HubError:
    """The error of a branch, tag or commit that a repository does not have."""
    return HubError(404, f"no branch, tag or commit {name!r}", REVISION)
