"""A bundle that has arrived: all of it is checked before anything of it is taken over.

Order: kinds of files, signature, receiver, order of bundles, every id and path, then every byte.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from tqdm import tqdm

from onnuri.base.errors import UserError, system_error
from onnuri.hub.bundles import signed, state
from onnuri.hub.bundles.config import ImportConfig
from onnuri.hub.bundles.export import BUNDLE, FORMAT
from onnuri.hub.bundles.history import Content, Described, check, merged
from onnuri.hub.bundles.volumes import Reader
from onnuri.hub.errors import HubError


@dataclass(frozen=True)
class Bundle:
    """What a folder holds, once its signature and all ids are good."""

    folder: Path
    sha256: str
    """Of bundle.json."""
    key: str
    """sha256 of the public key that signed it."""
    source: str
    receiver: str
    sequence: int
    previous: str
    repositories: list[Described]
    contents: dict[str, Content]
    """Of all repositories, by sha256."""
    sent: dict[str, int]
    """Those that are in the volumes, in order; bytes."""
    reader: Reader


def read_bundle(config: ImportConfig) -> Bundle:
    """What is in the folder. Raises UserError for what is altered, foreign or cannot be."""
    folder = Path(config.input)
    try:
        names = {path.name for path in _regular_files(folder)}
        value, sha256, key = signed.read(folder / BUNDLE, config.trust, FORMAT)
        bundle = _parsed(folder, value, sha256, key)
        wanted = {BUNDLE, BUNDLE + signed.SUFFIX, *(each["name"] for each in bundle.reader.volumes)}
    except OSError as error:
        raise system_error(error, folder) from None
    except HubError as error:
        raise UserError(f"{folder / BUNDLE}: {error.message}") from None
    except UserError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise UserError(f"{folder / BUNDLE}: {what}") from None
    if extra := names - wanted:
        raise UserError(
            f"{folder / min(extra)} does not belong to the bundle: nothing is imported beside it"
        )
    return bundle


def _regular_files(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir())
    for path in paths:
        if path.is_symlink():
            raise UserError(f"{path} is a link: a bundle has none")
        if not path.is_file():
            raise UserError(f"{path} is no regular file: a bundle has nothing else")
    return paths


def _parsed(folder: Path, value: dict[str, Any], sha256: str, key: str) -> Bundle:
    for name in ("source", "receiver", "previous"):
        if not isinstance(value[name], str):
            raise TypeError(f"{name} is no text")
    if type(value["sequence"]) is not int or not 0 < value["sequence"] < 1 << 62:
        raise TypeError("sequence is no number")
    repositories: list[Described] = []
    contents: dict[str, Content] = {}
    for each in value["repositories"]:
        try:
            found = check(each)
        except (HubError, ValueError, TypeError) as error:
            reason = error.message if isinstance(error, HubError) else error
            raise ValueError(f"{each['namespace']!s:.96}/{each['name']!s:.96}: {reason}") from None
        if any(found.full_name.casefold() == other.full_name.casefold() for other in repositories):
            raise ValueError(f"{found.full_name} is there twice")
        repositories.append(found)
        for each_sha256, content in found.contents.items():
            old = contents.get(each_sha256, content)
            contents[each_sha256] = merged(each_sha256, old, content)
    reader = Reader(folder, value["volumes"])
    sent: dict[str, int] = {}
    for each_sha256, size in value["contents"]:
        if each_sha256 in sent or each_sha256 not in contents or contents[each_sha256].size != size:
            raise ValueError(
                f"the content {each_sha256!s:.64} is twice in it, of another size, or of no file"
            )
        sent[each_sha256] = size
    if sum(sent.values()) != reader.total:
        raise ValueError("its volumes hold more or fewer bytes than its contents have")
    facts = value["source"], value["receiver"], value["sequence"], value["previous"]
    return Bundle(folder, sha256, key, *facts, repositories, contents, sent, reader)


def check_order(connection: Connection, bundle: Bundle, own: str, config: ImportConfig) -> None:
    """Raises UserError unless this hub may take the bundle now."""
    if bundle.source == own:
        raise UserError(f"{bundle.folder} was exported by this hub itself")
    if bundle.receiver not in ("", own):
        raise UserError(
            f"{bundle.folder} is for hub {bundle.receiver}, and this is hub {own}: export it with this "
            "hub's list (onnuri hub have)"
        )
    table = state.received
    newest = select(table.c.key).where(table.c.source == bundle.source).order_by(table.c.time.desc())
    key = connection.execute(newest.limit(1)).scalar()
    if key not in (None, bundle.key) and not config.new_key:
        raise UserError(
            f"{bundle.folder} is signed with another key than the last bundle of hub {bundle.source}; if "
            "that hub has replaced its key, give new_key=true"
        )
    last = connection.execute(
        select(table).where(table.c.source == bundle.source, table.c.receiver == bundle.receiver)
    ).one_or_none()
    if last is not None and last.sha256 == bundle.sha256:
        raise UserError(f"{bundle.folder} has been imported already (bundle {bundle.sequence})")
    if last is not None and bundle.sequence <= last.sequence:
        raise UserError(
            f"{bundle.folder} is bundle {bundle.sequence} of its hub, and bundle {last.sequence} was "
            "imported already: an older one is refused; export anew"
        )
    expected = last.sequence + 1 if last is not None else 1
    before = last.sha256 if last is not None else ""
    if bundle.sequence == expected and bundle.previous != before:
        raise UserError(
            f"{bundle.folder} does not follow bundle {bundle.sequence - 1}, which was imported here: its "
            "hub has made two; ask there what happened before you trust it"
        )
    if bundle.sequence > expected and not config.accept_gap:
        raise UserError(
            f"{bundle.folder} is bundle {bundle.sequence}, and bundle {expected} is the next: import that "
            "one first, or give accept_gap=true if it is lost"
        )


def check_bytes(bundle: Bundle) -> None:
    """Read every volume once. Raises UserError for a volume or content with another hash.

    A content that this hub has is read all the same: who names a hash has to bring the bytes.
    """
    wrong = ""
    wanted = iter(bundle.sent.items())
    current: _Hashes | None = None
    with tqdm(
        total=bundle.reader.total, desc="checking", unit="B", unit_scale=True, disable=None, leave=False
    ) as bar:
        for piece in bundle.reader.scan():
            bar.update(len(piece))
            view = memoryview(piece)
            while view:
                if current is None:
                    sha256 = next((name for name, size in wanted if size), "")
                    if not sha256:
                        break  # the last volume has grown: its hash is wrong
                    current = _Hashes(sha256, bundle.contents[sha256])
                view = current.take(view)
                if not current.left:
                    wrong = wrong or current.wrong()
                    current = None
    for sha256, size in bundle.sent.items():
        if not size:
            wrong = wrong or _Hashes(sha256, bundle.contents[sha256]).wrong()
    if wrong:
        raise UserError(f"{bundle.folder}: {wrong}")


class _Hashes:
    """A content that is being read."""

    def __init__(self, sha256: str, content: Content) -> None:
        self.name, self.content, self.left = sha256, content, content.size
        self.sha256 = hashlib.sha256()
        self.blob = hashlib.sha1(f"blob {content.size}\0".encode(), usedforsecurity=False)

    def take(self, view: memoryview) -> memoryview:
        """Add what belongs to the content; returns the rest."""
        part = view[: self.left]
        self.sha256.update(part)
        if self.content.blob:
            self.blob.update(part)
        self.left -= len(part)
        return view[len(part) :]

    def wrong(self) -> str:
        """What is wrong with it; "" if nothing is."""
        if self.sha256.hexdigest() != self.name:
            return f"the bytes of the content {self.name} have another sha256"
        if self.content.blob and self.blob.hexdigest() != self.content.blob:
            return f"the content {self.name} has another git id than its file says"
        return ""


def check_held(content: Content, sha256: str, pieces: Any) -> None:
    """The same of a content that this hub has, and the bundle does not bring."""
    hashes = _Hashes(sha256, content)
    for piece in pieces:
        hashes.take(memoryview(piece))
    if wrong := hashes.wrong():
        raise UserError(wrong)
