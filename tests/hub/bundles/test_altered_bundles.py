"""Bundles that were altered, or are of a trusted hub that lies: each is refused by the fault."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from onnuri.hub.git import Entry, commit_id, small_file, tree_id
from tests.hub.bundling import Source, Value, copy_of, edit, export, first, refused
from tests.hub.carriers import put


def altered_json(folder: Path, _: Source) -> None:
    path = folder / "bundle.json"
    path.write_bytes(path.read_bytes().replace(b'"private":true', b'"private":false'))


def altered_signature(folder: Path, _: Source) -> None:
    path = folder / "bundle.json.sig"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def flipped_byte(folder: Path, _: Source) -> None:
    path = folder / "volume-00002"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)


def shorter_volume(folder: Path, _: Source) -> None:
    path = folder / "volume-00001"
    path.write_bytes(path.read_bytes()[:-1])


def missing_volume(folder: Path, _: Source) -> None:
    (folder / "volume-00003").unlink()


def extra_file(folder: Path, _: Source) -> None:
    (folder / "install.sh").write_text("x")


def extra_folder(folder: Path, _: Source) -> None:
    (folder / "more").mkdir()


def linked_volume(folder: Path, source: Source) -> None:
    (folder / "volume-00001").unlink()
    (folder / "volume-00001").symlink_to(source.bundle / "volume-00001")


def foreign_key(folder: Path, source: Source) -> None:
    edit(folder, source.foreign, lambda value: None)


def other_format(folder: Path, source: Source) -> None:
    edit(folder, source.key, lambda value: value.update(format="onnuri-hub-bundle/2"))


def other_receiver(folder: Path, source: Source) -> None:
    edit(folder, source.key, lambda value: value.update(receiver="0" * 32))


def gap(folder: Path, source: Source) -> None:
    edit(folder, source.key, lambda value: value.update(sequence=5))


def other_history(folder: Path, source: Source) -> None:
    edit(folder, source.key, lambda value: value.update(previous="0" * 64))


def volume_elsewhere(folder: Path, source: Source) -> None:
    edit(folder, source.key, lambda value: value["volumes"][0].update(name="../bundle/volume-00001"))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (altered_json, "bundle.json was changed, or was signed with none"),
        (altered_signature, "bundle.json was changed, or was signed with none"),
        (flipped_byte, "volume-00002 was changed or is damaged"),
        (shorter_volume, "volume-00001 has .* bytes and must have"),
        (missing_volume, "volume-00003: No such file"),
        (extra_file, "install.sh does not belong to the bundle"),
        (extra_folder, "more is no regular file"),
        (linked_volume, "volume-00001 is a link"),
        (foreign_key, "was signed with none of the keys"),
        (other_format, "has the format 'onnuri-hub-bundle/2'"),
        (other_receiver, "is for hub 00000000"),
        (gap, "is bundle 5, and bundle 1 is the next"),
        (other_history, "does not follow bundle 0"),
        (volume_elsewhere, "volume 1 has another name or size"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_altered_bundles(
    source: Source, unchanged: Path, tmp_path: Path, change: Callable[[Path, Source], None], why: str
) -> None:
    folder = copy_of(source.bundle, tmp_path)
    change(folder, source)
    refused(unchanged, folder, why, source.trust)


def climbing_path(value: Value) -> None:
    """All ids are good: only the name is wrong."""
    repository, entry = first(value), small_file(b"{}")
    tree = tree_id([("..", entry)])
    repository["trees"] = {tree: [["..", *entry]]}
    _only_commit(value, repository, tree)


def many_levels(value: Value) -> None:
    """A path of 41 folders."""
    _doubled(value, 40)


def doubled_folders(value: Value) -> None:
    """Folders that are each twice in the one above: a few kilobytes that stand for 33 million files."""
    _doubled(value, 25)


def _doubled(value: Value, levels: int) -> None:
    repository, rows = first(value), list[list[Any]]([["a", *small_file(b"{}")]])
    repository["trees"] = {}
    for _ in range(levels):
        oid = tree_id([(name, Entry(*rest)) for name, *rest in rows])
        repository["trees"][oid] = rows
        rows = [["a", "d", oid, 0, ""], ["b", "d", oid, 0, ""]]
    _only_commit(value, repository, oid)


def _only_commit(value: Value, repository: Value, tree: str) -> None:
    facts = {"parent": "", "tree": tree, "title": "x", "message": "", "author": "kim", "date": 1}
    commit = commit_id(tree, "", "kim", 1, "x")
    repository["commits"] = {commit: facts}
    repository["refs"] = [["branch", "main", commit, ""]]


def renamed_file(value: Value) -> None:
    rows = next(rows for rows in first(value)["trees"].values() if len(rows) > 3)
    next(row for row in rows if row[0] == "README.md")[0] = "LIESMICH.md"


def other_author(value: Value) -> None:
    next(iter(first(value)["commits"].values()))["author"] = "lee"


def missing_tree(value: Value) -> None:
    trees = first(value)["trees"]
    del trees[next(oid for oid, rows in trees.items() if len(rows) == 1)]


def ref_elsewhere(value: Value) -> None:
    first(value)["refs"][0][2] = "0" * 40


def hidden_namespace(value: Value) -> None:
    first(value)["namespace"] = "../x"


def other_size(value: Value) -> None:
    value["contents"][0][1] += 1


def swapped_contents(value: Value) -> None:
    """The bytes of one content under the hash of another of the same size."""
    value["contents"].reverse()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (climbing_path, "'..' is no path of a file"),
        (many_levels, "a path has more than 32 folders"),
        (doubled_folders, "1,000,000 files"),
        (renamed_file, "has another id than its files give"),
        (other_author, "has another id than its fields give"),
        (missing_tree, "the folder '[0-9a-f]{40}' is missing"),
        (ref_elsewhere, "which is missing"),
        (hidden_namespace, "is no name here"),
        (other_size, "of another size"),
        (swapped_contents, "have another sha256"),
    ],
    ids=lambda each: each.__name__ if callable(each) else "",
)
def test_a_trusted_hub_that_lies(
    source: Source, unchanged: Path, tmp_path: Path, change: Callable[[Value], None], why: str
) -> None:
    folder = copy_of(source.bundle, tmp_path)
    edit(folder, source.key, change)
    refused(unchanged, folder, why, source.trust)


def test_a_hash_gives_no_content(source: Source, receiver: Path, tmp_path: Path) -> None:
    """A hub that knows the hash of a private file of the receiver must not get the file by naming it."""
    secret = b"a secret of the receiver"
    put(receiver, "lab/secret", {"secret.bin": secret}, private=True)
    put(source.data, "lab/bait", {"secret.bin": secret})
    bundle = tmp_path / "bait"
    export(source.data, bundle, source.key, "lab/bait")
    names: Value = {"contents": [], "volumes": []}
    for path in bundle.glob("volume-*"):
        path.unlink()
    edit(bundle, source.key, lambda value: value.update(names))
    refused(receiver, bundle, "does not bring the content", source.trust, accept_gap=True)
    (bundle / "volume-00001").write_bytes(bytes(len(secret)))  # other bytes under that hash
    sha256 = hashlib.sha256(secret).hexdigest()
    volume = {"name": "volume-00001", "bytes": len(secret), "sha256": ""}
    volume["sha256"] = hashlib.sha256(bytes(len(secret))).hexdigest()
    edit(bundle, source.key, lambda value: value.update(contents=[[sha256, len(secret)]], volumes=[volume]))
    refused(receiver, bundle, "have another sha256", source.trust, accept_gap=True)
