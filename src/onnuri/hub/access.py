"""Who may do what: the only module that decides it.

A repository that a caller may not see is answered as one that is not there. A content hash is never a
permission: what counts is the repository that the caller asks by.
"""

from __future__ import annotations

from sqlalchemy import Connection, select

from onnuri.hub import schema
from onnuri.hub.consent.grants import why_not
from onnuri.hub.errors import BAD_TOKEN, DISABLED, GATED, REPOSITORY, HubError
from onnuri.hub.records import Caller, Repository

ROLES = ("read", "write", "admin")
"""Each may do what those before it may."""


def role_at(connection: Connection, caller: Caller | None, account: int) -> str:
    """read, write or admin at a namespace, by the caller's account alone; "" for a stranger."""
    if caller is None:
        return ""
    if caller.id == account:
        return "admin"
    table = schema.members.c
    found = connection.execute(
        select(table.role).where(table.organisation == account, table.user == caller.id)
    ).scalar()
    return found or ""


def _allows(caller: Caller, repository: Repository | str, role: str) -> bool:
    """Whether the caller's token goes so far."""
    name = repository if isinstance(repository, str) else repository.full_name
    named = {each.casefold() for each in caller.repositories}
    return ROLES.index(caller.role) >= ROLES.index(role) and (
        not named or name.casefold() in named or name.partition("/")[0].casefold() in named
    )


def hidden(caller: Caller | None) -> HubError:
    """The one answer for what is not there and what the caller may not see."""
    if caller is None:
        return HubError(401, "the repository is not there, or needs a token", REPOSITORY)
    return HubError(404, "the repository is not there", REPOSITORY)


def may_see(connection: Connection, caller: Caller | None, repository: Repository, anonymous: bool) -> bool:
    """Whether it is shown in lists and answers: its name, card and settings, not its files."""
    if caller is None:
        return anonymous and not repository.private
    if caller.administrator and caller.role == "admin" and not caller.repositories:
        return True
    if not _allows(caller, repository, "read"):
        return False
    return not repository.private or bool(role_at(connection, caller, repository.owner))


def check_see(
    connection: Connection, caller: Caller | None, repository: Repository | None, anonymous: bool
) -> Repository:
    """The repository. Raises HubError if the caller must not know that it is there."""
    if repository is None or not may_see(connection, caller, repository, anonymous):
        raise hidden(caller)
    return repository


def has_role(connection: Connection, caller: Caller | None, repository: Repository, role: str) -> bool:
    """Whether the caller may write to or administer a repository, by account and token."""
    found = role_at(connection, caller, repository.owner)
    return bool(
        caller and found and ROLES.index(found) >= ROLES.index(role) and _allows(caller, repository, role)
    )


def check_role(connection: Connection, caller: Caller | None, repository: Repository, role: str) -> Caller:
    """The caller. Raises HubError if he must not write to, or administer, a repository that he sees."""
    if caller is None:
        raise HubError(401, "a token is needed")
    if repository.disabled:
        raise HubError(403, DISABLED)
    if not has_role(connection, caller, repository, role):
        raise HubError(
            403, f"{caller.name} may not do this: it needs the role {role} at {repository.namespace}"
        )
    return caller


def check_files(connection: Connection, caller: Caller | None, repository: Repository) -> None:
    """Raises HubError if a caller who sees a repository must not have its files, their names' hashes and
    sizes."""
    reason = why_no_files(connection, caller, repository)
    if reason:
        if reason == DISABLED:
            raise HubError(403, DISABLED)
        raise HubError(401 if caller is None else 403, reason, GATED)


def why_no_files(connection: Connection, caller: Caller | None, repository: Repository) -> str:
    """Why a caller who sees a repository must not have its files; "" if he may."""
    if repository.disabled:
        return DISABLED
    if caller and has_role(connection, caller, repository, "read"):
        return ""
    if repository.private:  # a hub administrator sees it, no more
        return "only members of its owner may have the files of a private repository"
    if not repository.gated:
        return ""
    return why_not(connection, caller, repository)


def check_scanned(
    connection: Connection, caller: Caller | None, repository: Repository, sha256: str, path: str = ""
) -> None:
    """Raises HubError if the owner's policy keeps a content that was not found safe from this caller: who
    may write to the repository gets it all the same. Without a path, under any name that it has."""
    if caller and has_role(connection, caller, repository, "write"):
        return
    from onnuri.hub.scan import policy, table

    for status in table.of_content(connection, repository.id, sha256, path):
        if reason := policy.why_withheld(connection, repository.owner, status):
            raise HubError(403, f"{path or sha256}: {reason}")


def check_namespace(
    connection: Connection, caller: Caller | None, account: int, name: str, role: str
) -> Caller:
    """The caller. Raises HubError if he must not do this in a namespace."""
    if caller is None:
        raise HubError(401, "a token is needed")
    found = role_at(connection, caller, account)
    if not found or ROLES.index(found) < ROLES.index(role) or not _allows(caller, name, role):
        raise HubError(403, f"{caller.name} may not do this in {name}: it needs the role {role} there")
    return caller


def check_administrator(caller: Caller | None) -> Caller:
    """The caller. Raises HubError if he does not administer the hub."""
    if caller is None:
        raise HubError(401, "sign in first")
    if not (caller.administrator and caller.role == "admin" and not caller.repositories):
        raise HubError(403, "this is for administrators of the hub")
    return caller


def bad_token() -> HubError:
    """The answer to a token that is wrong, expired or revoked."""
    return HubError(401, BAD_TOKEN)


def signed_in(caller: Caller | None) -> Caller:
    """The caller. Raises HubError if there is none."""
    if caller is None:
        raise HubError(401, "a token is needed")
    return caller
