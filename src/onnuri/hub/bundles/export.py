"""`onnuri hub export` and `have`: repositories in a signed folder for another hub.

The state of all repositories is read in one transaction; contents never change, so that the hub may run.
The folder is built beside its final path and gets its name when all of it is on disk and on record.
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, or_, select
from tqdm import tqdm

from onnuri.base.errors import UserError, system_error
from onnuri.base.manifest import hash_file, sync
from onnuri.hub import schema
from onnuri.hub.bundles import consent, signed, state
from onnuri.hub.bundles.config import ExportConfig, HaveConfig
from onnuri.hub.bundles.folder import built, name_it, partial_of
from onnuri.hub.bundles.history import contents_of, describe
from onnuri.hub.bundles.volumes import Writer
from onnuri.hub.hub import open_store
from onnuri.hub.records import Repository
from onnuri.hub.repositories import find
from onnuri.hub.trees import Trees
from onnuri.ledger.keys import load_private_key

log = logging.getLogger(__name__)
BUNDLE, FORMAT, HAVE_FORMAT = "bundle.json", "onnuri-hub-bundle/1", "onnuri-hub-have/1"


def may_be_named(source: str) -> Any:
    """Which contents of this hub another hub may name without sending them: those that everyone here may
    have, and those that came from there. For others, a hash would be enough to get a content (access)."""
    table, came = schema.repositories.c, state.arrivals.c
    from_there = select(came.sha256).where(came.source == source)
    open_to_all = table.private.is_(False) & (table.gated == "") & table.disabled.is_(False)
    return or_(open_to_all, schema.holdings.c.sha256.in_(from_there))


def write_have(config: HaveConfig) -> None:
    """Write and sign the list of what this hub has: contents that everyone here may have, and for each hub,
    those that came from it. Raises UserError for a folder, file or key that cannot be used."""
    output, data = Path(config.output), Path(config.data)
    with state.opened(data, config.database) as database:
        with database.writing() as connection:
            receiver = state.hub_id(connection)
        with database.reading() as connection:
            sources = connection.execute(select(state.arrivals.c.source).distinct()).scalars().all()
            everyone = set(_held(connection, ""))
            contents = {"": sorted(everyone)}
            for source in sorted(sources):
                contents[source] = sorted(set(_held(connection, source)) - everyone)
    value = {"format": HAVE_FORMAT, "receiver": receiver, "time": int(time.time()), "contents": contents}
    try:
        signed.write(output, value, Path(config.key))
    except OSError as error:
        raise system_error(error, output) from None
    log.info("%s: %s contents of hub %s", output, f"{sum(map(len, contents.values())):,}", receiver)


def _held(connection: Connection, source: str) -> list[str]:
    table = schema.holdings.c
    rows = connection.execute(
        select(table.sha256)
        .distinct()
        .join(schema.repositories, schema.repositories.c.id == table.repository)
        .where(table.committed.is_(True), may_be_named(source))
    )
    return list(rows.scalars())


def export_bundle(config: ExportConfig) -> None:
    """Write a bundle. Raises UserError for a repository that is not there or must not leave, a list or key
    that cannot be used, and a content that is damaged."""
    output, data = Path(config.output), Path(config.data)
    load_private_key(Path(config.key))  # for its errors, before hours of copying
    with state.opened(data, config.database) as database:
        with database.writing() as connection:
            source = state.hub_id(connection)
            if _finish(connection, output):
                return
        receiver, had = _receiver(config, source)
        trees = Trees()
        with database.reading() as connection:
            found = [_repository(connection, each) for each in config.repositories]
            once = {each.id: each for each in found}.values()
            described = [
                describe(connection, trees, each) | consent.stated(connection, each) for each in once
            ]
            sizes = {sha256: size for each in described for sha256, size in contents_of(each)}
        sizes = {sha256: size for sha256, size in sizes.items() if sha256 not in had}
        with built("output", output) as partial:
            volumes = _write_volumes(config, partial, sizes)
            table = state.sent
            with database.writing() as connection:
                last = connection.execute(select(table).where(table.c.receiver == receiver)).one_or_none()
                sequence = last.sequence + 1 if last else 1
                value = {
                    "format": FORMAT,
                    "source": source,
                    "receiver": receiver,
                    "sequence": sequence,
                    "previous": last.sha256 if last else "",
                    "time": int(time.time()),
                    "repositories": described,
                    "contents": [list(each) for each in sizes.items()],
                    "volumes": volumes,
                }
                sha256 = signed.write(partial / BUNDLE, value, Path(config.key))
                sync(partial)
                state.record(
                    data,
                    "export",
                    receiver=receiver,
                    sequence=sequence,
                    bundle=sha256,
                    repositories=config.repositories,
                    contents=len(sizes),
                    bytes=sum(sizes.values()),
                )
                facts = {"sequence": sequence, "sha256": sha256, "time": time.time()}
                state.set_last(connection, table, receiver=receiver, **facts)
    log.info(
        "%s: bundle %d of hub %s for %s, %d repositories, %s bytes in %d volumes",
        output,
        sequence,
        source,
        f"hub {receiver}" if receiver else "any hub",
        len(described),
        f"{sum(sizes.values()):,}",
        len(volumes),
    )


def _finish(connection: Connection, output: Path) -> bool:
    """Give an export its name that was complete and on record when it was interrupted, if there is one."""
    path = partial_of(output) / BUNDLE
    if output.exists() or not path.is_file():
        return False
    same = select(state.sent).where(state.sent.c.sha256 == hash_file(path))
    if connection.execute(same).first() is None:
        return False
    name_it(output)
    log.info("%s: was complete when its export was interrupted", output)
    return True


def _receiver(config: ExportConfig, source: str) -> tuple[str, set[str]]:
    """The hub that the bundle is for, and the contents that it has."""
    if not config.have:
        return "", set()
    value, _, _ = signed.read(Path(config.have), config.trust, HAVE_FORMAT)
    try:
        receiver, contents = str(value["receiver"]), value["contents"]
        return receiver, {*contents[""], *contents.get(source, [])}
    except (KeyError, TypeError, AttributeError):
        raise UserError(f"have={config.have} lacks the receiver or its contents") from None


def _repository(connection: Connection, wanted: str) -> Repository:
    kind = "dataset" if wanted.startswith("datasets/") else "model"
    namespace, _, name = wanted.removeprefix("datasets/").removeprefix("models/").partition("/")
    found = find(connection, kind, namespace, name)
    if found is None:
        raise UserError(f"repositories: there is no {kind} {namespace}/{name}")
    if found.disabled:
        raise UserError(f"repositories: {wanted} was closed by an administrator and is not exported")
    if reason := consent.why_it_stays(connection, found):
        raise UserError(f"repositories: {wanted} must not leave this hub: {reason}")
    return found


def _write_volumes(config: ExportConfig, folder: Path, sizes: dict[str, int]) -> list[dict[str, Any]]:
    blobs, writer = open_store(Path(config.data), config.blobs), Writer(folder, config.volume_bytes)
    total = sum(sizes.values())
    with tqdm(total=total, desc="exporting", unit="B", unit_scale=True, disable=None, leave=False) as bar:
        for sha256, size in sizes.items():
            if not blobs.has(sha256):
                raise UserError(f"the content {sha256} is missing: restore it from a backup")
            digest, written = hashlib.sha256(), 0
            for piece in blobs.read(sha256, 0, size):
                digest.update(piece)
                writer.write(piece)
                written += len(piece)
                bar.update(len(piece))
            if written != size or digest.hexdigest() != sha256:
                raise UserError(f"the content {sha256} is damaged: restore it from a backup")
    writer.finish()
    return writer.volumes
