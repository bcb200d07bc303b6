"""What lists and pages show of a repository, read from the files of main."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from onnuri.hub.card import read_facts
from onnuri.hub.git import FOLDER
from onnuri.hub.records import Repository
from onnuri.hub.repositories import set_facts, tree_of
from onnuri.hub.scan.table import parameters
from onnuri.hub.trees import Trees

README = "README.md"


def refresh(
    connection: Connection,
    trees: Trees,
    content: Callable[[str, int], bytes],
    repository: Repository,
    commit: str,
) -> None:
    """Read the card and other facts from a new commit of main.

    Args:
        content: a small content, by its sha256 and size.
    """
    tree = tree_of(connection, repository.id, commit)

    def read(path: str, most: int = 1 << 20) -> bytes | None:
        entry = trees.find(connection, repository.id, tree, path)
        if entry is None or entry.kind == FOLDER or (entry.size > most and path != README):
            return None
        return content(entry.sha256, min(entry.size, most))  # a card's fields are at its beginning

    paths = [path for path, entry in trees.walk(connection, repository.id, tree) if entry.kind != FOLDER]
    card, facts = read_facts(repository.type, paths, read)
    facts["safetensors"] = parameters(connection, trees, repository.id, tree)
    set_facts(connection, repository.id, card=card, facts=facts)
