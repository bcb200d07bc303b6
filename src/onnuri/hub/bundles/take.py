"""`onnuri hub import`: what a bundle brings becomes visible in one transaction at the end.

Contents are taken over one by one before that, so that an import that was interrupted copies only the rest
when it is run again. Users, grants and tokens do not travel.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from itertools import islice
from pathlib import Path

from sqlalchemy import Connection, insert, select, update
from tqdm import tqdm

from onnuri.base.errors import UserError, system_error
from onnuri.hub import accounts, facts, quotas, schema
from onnuri.hub.blobs import BlobStore, Incoming
from onnuri.hub.bundles import consent, state
from onnuri.hub.bundles.check import Bundle, check_bytes, check_held, check_order, read_bundle
from onnuri.hub.bundles.config import ImportConfig
from onnuri.hub.bundles.export import may_be_named
from onnuri.hub.bundles.history import Described
from onnuri.hub.config import HubConfig
from onnuri.hub.errors import HubError
from onnuri.hub.hub import open_store
from onnuri.hub.records import Repository
from onnuri.hub.repositories import MAIN, add_commit, add_row, by_id, find, refs, set_facts
from onnuri.hub.trees import Trees

log = logging.getLogger(__name__)
AT_ONCE = 500
"""Hashes in one query."""
SPARE = 64 << 20
"""Bytes that stay free on the disk."""


def import_bundle(config: ImportConfig) -> None:
    """Check a bundle and take it over. Raises UserError, with every repository as it was, for one that is
    altered, foreign or out of order, or does not fit what is here."""
    data = Path(config.data)
    with state.opened(data, config.database) as database:
        with database.writing() as connection:
            own = state.hub_id(connection)
        bundle = read_bundle(config)
        blobs = open_store(data, config.blobs)
        with database.reading() as connection:
            check_order(connection, bundle, own, config)
            _check_fits(connection, config, bundle)
            _check_rest(connection, blobs, bundle)
        try:
            check_bytes(bundle)
            for sha256 in bundle.contents.keys() - bundle.sent.keys():
                content = bundle.contents[sha256]
                if content.blob:
                    check_held(content, sha256, blobs.read(sha256, 0, content.size))
            num_copied, copied_bytes = _copy(data, blobs, bundle)
            with database.writing() as connection:
                check_order(connection, bundle, own, config)
                _check_fits(connection, config, bundle)
                _check_rest(connection, blobs, bundle)
                if lost := [sha256 for sha256 in bundle.contents if not _keep(blobs, sha256)]:
                    raise UserError(
                        f"the content {lost[0]} was deleted meanwhile: run the same command again"
                    )
                for each in bundle.repositories:
                    _take(connection, config, blobs, bundle, each)
                _remember(connection, bundle)
                state.record(
                    data,
                    "import",
                    source=bundle.source,
                    sequence=bundle.sequence,
                    bundle=bundle.sha256,
                    key=bundle.key,
                    repositories=[each.full_name for each in bundle.repositories],
                    contents=len(bundle.contents),
                    copied=num_copied,
                    bytes=copied_bytes,
                )
        except OSError as error:
            raise system_error(error, data) from None
    log.info(
        "bundle %d of hub %s: %d repositories, %s contents, of which %s (%s bytes) were copied now",
        bundle.sequence,
        bundle.source,
        len(bundle.repositories),
        f"{len(bundle.contents):,}",
        f"{num_copied:,}",
        f"{copied_bytes:,}",
    )


def _existing(connection: Connection, each: Described) -> Repository | None:
    return find(connection, each.type, each.namespace, each.name)


def _check_fits(connection: Connection, config: ImportConfig, bundle: Bundle) -> None:
    """Raises UserError for a repository that cannot be made or updated."""
    found: dict[int, str] = {}
    for each in bundle.repositories:
        here = _existing(connection, each)
        if here is not None:
            if (other := found.setdefault(here.id, each.full_name)) != each.full_name:
                raise UserError(
                    f"{each.full_name} and {other} of the bundle are both {here.full_name} here, which was "
                    "renamed: export them in two bundles"
                )
            _check_forward(connection, here, each)
        elif accounts.find_account(connection, each.namespace) is None:
            owner = accounts.find_account(connection, config.owner) if config.owner else None
            if owner is None or owner.kind != "user" or owner.disabled:
                raise UserError(
                    f"{each.namespace} is not a user or organisation here: give owner=NAME, a user who "
                    f"will administer it (owner={config.owner})"
                )


def _check_forward(connection: Connection, here: Repository, each: Described) -> None:
    """Raises UserError unless every branch here is a beginning of the same branch there, and tags agree."""
    there = {(kind, name): commit for kind, name, commit, _ in each.refs}
    for kind in ("branch", "tag"):
        for name, commit in refs(connection, here.id, kind):
            wanted = there.get((kind, name), commit)
            if wanted == commit or (kind == "branch" and each.has_before(wanted, commit)):
                continue
            raise UserError(
                f"{each.full_name}: {kind} {name} is at {commit[:12]} here, which is not before "
                f"{wanted[:12]} of the bundle; rename the repository here, or delete it, and import again"
            )


def _check_rest(connection: Connection, blobs: BlobStore, bundle: Bundle) -> None:
    """Raises UserError for a content that the bundle names and does not bring, unless its source may."""
    rest = iter(sorted(bundle.contents.keys() - bundle.sent.keys()))
    table = schema.holdings.c
    while some := list(islice(rest, AT_ONCE)):
        rows = connection.execute(
            select(table.sha256, table.size)
            .join(schema.repositories, schema.repositories.c.id == table.repository)
            .where(table.sha256.in_(some), table.committed.is_(True), may_be_named(bundle.source))
        )
        known = {row.sha256: row.size for row in rows}
        for sha256 in some:
            if known.get(sha256) != bundle.contents[sha256].size or not blobs.has(sha256):
                raise UserError(
                    f"{bundle.folder} does not bring the content {sha256}, and this hub does not have it "
                    "for everyone: make a new list (onnuri hub have) and export again"
                )


def _copy(data: Path, blobs: BlobStore, bundle: Bundle) -> tuple[int, int]:
    """Take over the contents that are not here; returns how many, and their bytes."""
    for sha256 in bundle.contents:
        _keep(blobs, sha256)
    missing = {sha256: size for sha256, size in bundle.sent.items() if not blobs.has(sha256)}
    total, free = sum(missing.values()), shutil.disk_usage(data).free
    if blobs.local("0" * 64) is not None and total + SPARE > free:
        raise UserError(f"{data} has {free:,} bytes free, and {total + SPARE:,} are needed")
    incoming_folder = data / "incoming"
    incoming_folder.mkdir(exist_ok=True, mode=0o700)
    start = 0
    with tqdm(total=total, desc="importing", unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for sha256, size in bundle.sent.items():
            if sha256 in missing:
                incoming = Incoming(incoming_folder)
                try:
                    for piece in bundle.reader.read(start, size):
                        incoming.write(piece)
                        bar.update(len(piece))
                    if incoming.finish() != sha256:
                        raise UserError(f"{bundle.folder} changed while it was imported: copy it again")
                    blobs.add(incoming.path, sha256)
                finally:
                    incoming.drop()
            start += size
    return len(missing), total


def _keep(blobs: BlobStore, sha256: str) -> bool:
    """Whether a content is here. Its grace, after which it is deleted if nothing names it, begins anew."""
    path = blobs.local(sha256)
    if path is not None:
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
    return blobs.has(sha256)


def _take(
    connection: Connection, config: ImportConfig, blobs: BlobStore, bundle: Bundle, each: Described
) -> None:
    """Make or update a repository. What is gated at its source is closed here until its owner opens it."""
    gated = "manual" if each.gated else ""
    here = _existing(connection, each)
    if here is None:
        number = add_row(
            connection, each.type, _namespace(connection, config, each), each.name, each.private
        )
        set_facts(connection, number, gated=gated)
    else:  # only ever narrower than it was here
        number = here.id
        set_facts(connection, number, private=here.private or each.private, gated=here.gated or gated)
    trees = Trees()
    for tree in each.trees.values():
        trees.write(connection, number, tree)
    for commit, row in each.commits.items():
        order = (row[name] for name in ("parent", "tree", "title", "message", "author", "date"))
        add_commit(connection, number, commit, *order)
    _hold(connection, number, each)
    for kind, name, commit, message in each.refs:
        table = schema.refs
        this = (table.c.repository == number, table.c.kind == kind, table.c.name == name)
        connection.execute(table.delete().where(*this))
        row = {"repository": number, "kind": kind, "name": name, "commit": commit, "message": message}
        connection.execute(insert(table).values(row))
    repository = by_id(connection, number)
    (head,) = (commit for kind, name, commit, _ in each.refs if (kind, name) == ("branch", MAIN))
    facts.refresh(connection, trees, lambda sha, size: b"".join(blobs.read(sha, 0, size)), repository, head)
    set_facts(connection, number, modified=time.time())
    repository = by_id(connection, number)
    if reason := consent.state(connection, repository, each.sources, f"hub {bundle.source}"):
        log.info("%s is private here: %s", each.full_name, reason)
        set_facts(connection, number, private=True)
    for _, _, commit, _ in each.refs:
        files = dict(trees.walk(connection, number, each.commits[commit]["tree"]))
        consent.scan(connection, blobs, repository, files)
    earlier = {f"{oid}/{name}": entry for oid, tree in each.trees.items() for name, entry in tree.items()}
    consent.scan(connection, blobs, repository, earlier)
    quotas.check(connection, HubConfig(data=config.data, database=config.database), repository)


def _remember(connection: Connection, bundle: Bundle) -> None:
    """Put the bundle on record, and which contents came from its source."""
    state.set_last(
        connection,
        state.received,
        source=bundle.source,
        receiver=bundle.receiver,
        sequence=bundle.sequence,
        sha256=bundle.sha256,
        key=bundle.key,
        time=time.time(),
    )
    table = state.arrivals
    every = iter(sorted(bundle.contents))
    while some := list(islice(every, AT_ONCE)):
        known = select(table.c.sha256).where(table.c.source == bundle.source, table.c.sha256.in_(some))
        new = set(some) - set(connection.execute(known).scalars())
        if new:
            rows = [{"source": bundle.source, "sha256": sha256} for sha256 in sorted(new)]
            connection.execute(insert(table), rows)


def _namespace(connection: Connection, config: ImportConfig, each: Described) -> int:
    """Id of the account that owns the repository, made where it is missing."""
    found = accounts.find_account(connection, each.namespace)
    if found is not None:
        return int(found.id)
    owner = accounts.account_of(connection, config.owner, "user")
    try:
        return accounts.create_organisation(connection, each.namespace, "", owner.id)
    except HubError as error:
        raise UserError(f"{each.full_name}: {error.message}") from None


def _hold(connection: Connection, number: int, each: Described) -> None:
    """Put its contents on record; 0 stands for nobody who uploaded them."""
    table = schema.holdings
    held = set(
        connection.execute(select(table.c.sha256).where(table.c.repository == number)).scalars().all()
    )
    row = {"repository": number, "user": 0, "uploaded": time.time(), "committed": True}
    new = [
        row | {"sha256": sha256, "size": content.size}
        for sha256, content in each.contents.items()
        if sha256 not in held
    ]
    if new:
        connection.execute(insert(table), new)
    again = iter(sorted(held & each.contents.keys()))
    while some := list(islice(again, AT_ONCE)):
        connection.execute(
            update(table)
            .where(table.c.repository == number, table.c.sha256.in_(some))
            .values(committed=True)
        )
