"""Repositories put straight into the folder of a hub, and keys: for tests of bundles and backups."""

from __future__ import annotations

import contextlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from onnuri.hub import accounts, facts, repositories
from onnuri.hub.blobs import FileStore, Incoming
from onnuri.hub.commits import DEFAULT_ATTRIBUTES, Proposal, commit, hold, is_large
from onnuri.hub.database import Database
from onnuri.hub.git import small_file
from onnuri.hub.records import Caller, Repository
from onnuri.hub.trees import Trees


def make_key(folder: Path, name: str) -> tuple[str, str]:
    """Paths of a private key and its public key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return str(private), str(public)


def put(
    data: Path,
    name: str,
    files: dict[str, bytes],
    kind: str = "model",
    branch: str = "main",
    private: bool = False,
    gated: str = "",
) -> str:
    """A commit of kim's, to a repository that is made where it is missing; returns its id."""
    namespace, _, short = name.partition("/")
    store, trees, tables = FileStore(data / "contents"), Trees(), Database(data)
    (data / "incoming").mkdir(exist_ok=True)
    try:
        wanted = Proposal(title=f"{len(files)} files")
        with tables.writing() as connection:
            kim = accounts.account_of(connection, "kim")
            caller = Caller(kim.id, kim.name)
            owner = accounts.find_account(connection, namespace)
            owner_id = (
                owner.id if owner else accounts.create_organisation(connection, namespace, "", kim.id)
            )
            found = repositories.find(connection, kind, namespace, short)
            if found is None:
                found = repositories.create(connection, kind, owner_id, short, private, "kim")
                repositories.set_facts(connection, found.id, gated=gated)
            if branch != "main":
                with contextlib.suppress(Exception):
                    head = repositories.resolve(connection, found.id, "main").commit
                    repositories.add_ref(connection, found.id, "branch", branch, head)
            for path, content in files.items():
                incoming = Incoming(data / "incoming")
                incoming.write(content)
                sha256 = incoming.finish()
                store.add(incoming.path, sha256)
                hold(connection, found, caller, sha256, len(content), committed=False)
                if is_large(len(content), path, DEFAULT_ATTRIBUTES):
                    wanted.large[path] = sha256
                else:
                    wanted.small[path] = small_file(content)
            new = commit(connection, trees, found, caller, branch, wanted)
            if branch == "main":
                facts.refresh(
                    connection, trees, lambda sha, size: b"".join(store.read(sha, 0, size)), found, new
                )
            return new
    finally:
        tables.close()


def look(data: Path, name: str, kind: str = "model") -> Repository | None:
    """A repository, as the tables have it."""
    tables = Database(data)
    try:
        with tables.reading() as connection:
            return repositories.find(connection, kind, *name.split("/"))
    finally:
        tables.close()


def stored(data: Path) -> set[str]:
    """Hashes of the contents of a hub."""
    return {sha256 for sha256, _ in FileStore(data / "contents").every()}
