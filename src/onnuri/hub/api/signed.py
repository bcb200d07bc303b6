"""Requests that come with a word the hub signed instead of a token: whom they come from, as of now.

A word says what may be done, not that its user may still do it: that is looked up at every request.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from onnuri.hub import access, accounts, repositories
from onnuri.hub.api.call import Call
from onnuri.hub.errors import HubError
from onnuri.hub.records import Caller, Repository


class Signed(NamedTuple):
    """What a word says, and whom and which repository it is about."""

    facts: dict[str, Any]
    repository: Repository
    caller: Caller


def sign(call: Call, repository: Repository, purpose: str, **facts: Any) -> str:
    """A word for the caller of this request. Raises HubError if he has no token to ask for it with."""
    caller = call.caller
    if caller is None or not caller.method.startswith("token:"):
        raise HubError(401 if caller is None else 403, "large files are transferred with a token")
    return call.hub.signer.sign(purpose, {"uid": repository.uid, "method": caller.method, **facts})


def check(call: Call, purpose: str, word: str) -> Signed:
    """What a word stands for. Raises HubError if it is no longer good, or its user has lost the right."""
    facts = call.hub.signer.check(purpose, word)
    with call.hub.database.reading() as connection:
        call.caller = caller = accounts.caller_again(connection, facts["method"])
        repository = access.check_see(
            connection, caller, repositories.by_uid(connection, facts["uid"]), anonymous=False
        )
        if facts["role"] == "read":
            access.check_files(connection, caller, repository)
        else:
            access.check_role(connection, caller, repository, facts["role"])
    return Signed(facts, repository, caller)
