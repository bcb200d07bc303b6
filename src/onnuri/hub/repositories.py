"""Repositories and their branches and tags."""

from __future__ import annotations

import secrets
import time
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from onnuri.hub import schema
from onnuri.hub.errors import HubError, bad_request, no_revision
from onnuri.hub.git import EMPTY_TREE, commit_id
from onnuri.hub.names import check_name, check_ref
from onnuri.hub.records import OWNER_KEY, REPOSITORY_ROWS, Repository, repository_of

MAIN = "main"
FIRST_COMMIT = "initial commit"
GATES = ("", "auto", "manual")


class Revision(NamedTuple):
    """A commit, found by the name of a branch or tag, or by its id."""

    commit: str
    tree: str
    branch: str
    """"" if it was not named by a branch."""


def create(
    connection: Connection, kind: str, owner: int, name: str, private: bool, author: str
) -> Repository:
    """A new repository with one commit, empty. Raises HubError 409 for a name that is taken."""
    number, now = add_row(connection, kind, owner, name, private), int(time.time())
    first = commit_id(EMPTY_TREE, "", author, now, FIRST_COMMIT)
    add_commit(connection, number, first, "", EMPTY_TREE, FIRST_COMMIT, "", author, now)
    connection.execute(
        insert(schema.refs).values(repository=number, kind="branch", name=MAIN, commit=first, message="")
    )
    return by_id(connection, number)


def add_row(connection: Connection, kind: str, owner: int, name: str, private: bool) -> int:
    """Id of a new repository without a commit or branch. Raises HubError 409 for a name that is taken."""
    now = time.time()
    values: dict[str, Any] = {
        "uid": secrets.token_hex(12),
        "type": kind,
        "owner": owner,
        "name": check_name(name),
        "name_key": name.casefold(),
        "private": private,
        "created": now,
        "modified": now,
    }
    table = schema.repositories
    try:
        with connection.begin_nested():
            row = connection.execute(insert(table).values(**values).returning(table.c.id))
            number = int(row.scalar_one())
    except IntegrityError:
        raise HubError(409, f"the {kind} {name} is there already") from None
    _forget_redirect(connection, kind, by_id(connection, number).full_name)
    return number


def add_commit(
    connection: Connection,
    repository: int,
    commit: str,
    parent: str,
    tree: str,
    title: str,
    message: str,
    author: str,
    date: int,
) -> None:
    """Put a commit on record; no branch points at it yet. One that is there already stays."""
    table = schema.commits
    known = select(table.c.id).where(table.c.repository == repository, table.c.id == commit)
    if connection.execute(known).first() is None:
        connection.execute(
            insert(table).values(
                repository=repository,
                id=commit,
                parent=parent,
                tree=tree,
                title=title,
                message=message,
                author=author,
                date=date,
            )
        )


def by_id(connection: Connection, number: int) -> Repository:
    """A repository that is known to be there."""
    rows = connection.execute(REPOSITORY_ROWS.where(schema.repositories.c.id == number))
    return repository_of(rows.one())


def by_uid(connection: Connection, uid: str) -> Repository | None:
    """A repository by the random name that it keeps; None once it was deleted."""
    row = connection.execute(REPOSITORY_ROWS.where(schema.repositories.c.uid == uid)).one_or_none()
    return repository_of(row) if row is not None else None


def named(connection: Connection, kind: str, namespace: str, name: str) -> Repository | None:
    """A repository by its present name, in any case."""
    table = schema.repositories.c
    row = connection.execute(
        REPOSITORY_ROWS.where(
            table.type == kind, OWNER_KEY.in_([namespace.casefold()]), table.name_key == name.casefold()
        )
    ).one_or_none()
    return repository_of(row) if row is not None else None


def find(connection: Connection, kind: str, namespace: str, name: str) -> Repository | None:
    """A repository by its name in any case, or by one that it had."""
    found = named(connection, kind, namespace, name)
    if found is not None:
        return found
    former = schema.redirects.c
    number = connection.execute(
        select(former.repository).where(
            former.type == kind, former.name_key == f"{namespace}/{name}".casefold()
        )
    ).scalar()
    return by_id(connection, number) if number is not None else None


def remove(connection: Connection, repository: Repository) -> None:
    """Forget a repository. Its contents are collected later."""
    connection.execute(delete(schema.repositories).where(schema.repositories.c.id == repository.id))


def move(connection: Connection, repository: Repository, owner: int, name: str) -> None:
    """Give it another name or owner; its former name still leads to it."""
    table = schema.repositories
    former = f"{repository.namespace}/{repository.name}".casefold()
    try:
        with connection.begin_nested():
            connection.execute(
                update(table)
                .where(table.c.id == repository.id)
                .values(owner=owner, name=check_name(name), name_key=name.casefold())
            )
    except IntegrityError:
        raise HubError(409, f"the {repository.type} {name} is there already") from None
    _forget_redirect(connection, repository.type, former)
    _forget_redirect(connection, repository.type, by_id(connection, repository.id).full_name)
    connection.execute(
        insert(schema.redirects).values(type=repository.type, name_key=former, repository=repository.id)
    )


def _forget_redirect(connection: Connection, kind: str, name: str) -> None:
    """A name that a repository has leads nowhere else."""
    table = schema.redirects
    connection.execute(delete(table).where(table.c.type == kind, table.c.name_key == name.casefold()))


def set_facts(connection: Connection, repository: int, **values: Any) -> None:
    """Change columns of a repository."""
    if values.get("gated", "") not in GATES:
        raise bad_request("gated is auto, manual or false")
    table = schema.repositories
    connection.execute(update(table).where(table.c.id == repository).values(**values))


def refs(connection: Connection, repository: int, kind: str) -> list[tuple[str, str]]:
    """Names and commits of all branches, or all tags; main first."""
    table = schema.refs.c
    rows = connection.execute(
        select(table.name, table.commit).where(table.repository == repository, table.kind == kind)
    )
    return sorted(((row.name, row.commit) for row in rows), key=lambda ref: (ref[0] != MAIN, ref[0]))


def resolve(connection: Connection, repository: int, name: str) -> Revision:
    """A branch, tag or commit id. Raises HubError if there is none of this name."""
    branch = name.removeprefix("refs/heads/")
    for kind, wanted in (("branch", branch), ("tag", name.removeprefix("refs/tags/"))):
        table = schema.refs.c
        commit = connection.execute(
            select(table.commit).where(
                table.repository == repository, table.kind == kind, table.name == wanted
            )
        ).scalar()
        if commit:
            return Revision(
                commit, tree_of(connection, repository, commit), wanted if kind == "branch" else ""
            )
    return Revision(name, tree_of(connection, repository, name), "")


def tree_of(connection: Connection, repository: int, commit: str) -> str:
    """The tree of a commit. Raises HubError if the repository has none of this id."""
    table = schema.commits.c
    tree = connection.execute(
        select(table.tree).where(table.repository == repository, table.id == commit)
    ).scalar()
    if tree is None:
        raise no_revision(commit[:200])
    return tree


def add_ref(
    connection: Connection, repository: int, kind: str, name: str, commit: str, message: str = ""
) -> None:
    """A new branch or tag. Raises HubError 409 if there is one."""
    row = {"repository": repository, "kind": kind, "name": check_ref(name), "commit": commit}
    try:
        with connection.begin_nested():
            connection.execute(insert(schema.refs).values(**row, message=message))
    except IntegrityError:
        raise HubError(409, f"the {kind} {name} is there already") from None


def remove_ref(connection: Connection, repository: int, kind: str, name: str) -> None:
    """End a branch or tag. Raises HubError if there is none, or it is main."""
    if kind == "branch" and name == MAIN:
        raise HubError(403, "the branch main stays")
    table = schema.refs
    changed = connection.execute(
        delete(table).where(table.c.repository == repository, table.c.kind == kind, table.c.name == name)
    )
    if not changed.rowcount:
        raise no_revision(name)


def move_branch(connection: Connection, repository: int, name: str, before: str, after: str) -> bool:
    """Have a branch point at another commit, if it still points at `before`."""
    table = schema.refs
    changed = connection.execute(
        update(table)
        .where(
            table.c.repository == repository,
            table.c.kind == "branch",
            table.c.name == name,
            table.c.commit == before,
        )
        .values(commit=after)
    )
    return bool(changed.rowcount)
