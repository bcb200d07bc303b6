"""Signed heads of the audit: who changes a day, cuts off its end or leaves one out would have to sign anew.

`audit/heads.jsonl` has a line for each finished day and each shutdown: the day, how many lines it had, the
hash of the last, and an ECDSA signature over them. Copy it to another medium: it is what shows that the
audit there is the one that was.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnuri.base.errors import UserError, optional_package
from onnuri.base.manifest import sync
from onnuri.run.chain import LEDGER_FILE, read
from onnuri.run.daily_chain import AUDIT, DAYS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

HEADS_FILE = "heads.jsonl"
SIGNED = ("day", "lines", "hash", "time")


class Heads:
    """Signs, if there is a key. Raises UserError for one that cannot be used."""

    def __init__(self, data: Path, key: str) -> None:
        self.folder, self._key = data / AUDIT, None
        if key:
            with optional_package("sign", "signing_key="):
                from onnuri.ledger.keys import load_private_key
            self._key = load_private_key(Path(key))

    def sign_missing(self, today: str) -> None:
        """Sign the last line of every day before `today` that has no signature yet, as after a crash."""
        if self._key:
            signed = {each["day"]: each["lines"] for each in heads(self.folder)}
            newest = max(signed, default="")
            for folder in sorted(self.folder.glob(DAYS)):
                if newest <= folder.name < today and (folder / LEDGER_FILE).is_file():
                    lines = read(folder)
                    if len(lines) > signed.get(folder.name, 0):
                        self._add(folder.name, lines)

    def sign(self, day: str) -> None:
        """Sign the last line of a day so far."""
        if self._key:
            self._add(day, read(self.folder / day))

    def _add(self, day: str, lines: list[dict[str, Any]]) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.hashes import SHA256

        assert self._key is not None
        head = {"day": day, "lines": len(lines), "hash": lines[-1]["hash"], "time": round(time.time(), 3)}
        signature = self._key.sign(_content(head), ec.ECDSA(SHA256()))
        line = head | {"key": _fingerprint(self._key.public_key()), "signature": _text(signature)}
        path = self.folder / HEADS_FILE
        whole = path.read_bytes() if path.exists() else b""
        with path.open("r+b" if whole else "wb") as stream:
            stream.truncate(whole.rfind(b"\n") + 1)  # a line that a crash has cut
            stream.seek(0, 2)
            stream.write(json.dumps(line).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        sync(self.folder)


def heads(folder: Path) -> list[dict[str, Any]]:
    """All signed heads. Raises UserError for a line that is none."""
    path = folder / HEADS_FILE
    *lines, _ = path.read_bytes().split(b"\n") if path.is_file() else [b""]
    found = []
    for number, text in enumerate(lines, start=1):
        try:
            line = json.loads(text)
            known = isinstance(line, dict) and set(line) == {*SIGNED, "key", "signature"}
        except (ValueError, RecursionError):
            known = False
        if not known:
            raise UserError(f"{path} line {number} is damaged")
        found.append(line)
    return found


def check(folder: Path, public_key: str) -> Iterator[str]:
    """What does not match, a line each. Raises UserError for a key that cannot be read."""
    signed, key = heads(folder), _public_key(Path(public_key)) if public_key else None
    path = folder / HEADS_FILE
    if key and not signed:
        yield f"{path} has no signed head: start the hub with signing_key="
    days = {each.name: each for each in sorted(folder.glob(DAYS))}
    hashes = {name: [line["hash"] for line in read(each)] for name, each in days.items()}
    covered: dict[str, int] = {}
    for number, head in enumerate(signed, start=1):
        lines = hashes.get(head["day"], [])
        if key and not _is_signed(key, head):
            yield f"{path} line {number} was not signed with {public_key}"
        if not isinstance(head["lines"], int) or not 0 < head["lines"] <= len(lines):
            yield f"{folder / str(head['day'])} has {len(lines):,} lines; {head['lines']} were signed"
        elif lines[head["lines"] - 1] != head["hash"]:
            yield f"{folder / head['day']} line {head['lines']} is not the one that was signed"
        else:
            covered[head["day"]] = head["lines"]
    if key:
        for day in sorted(days)[:-1]:
            if day >= min(covered, default="") and covered.get(day) != len(hashes[day]):
                yield f"{folder / day}: the last line of this day was not signed"


def _content(head: dict[str, Any]) -> bytes:
    return json.dumps({name: head[name] for name in SIGNED}, sort_keys=True).encode()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _fingerprint(key: EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    raw = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(raw).hexdigest()[:16]


def _is_signed(key: EllipticCurvePublicKey, head: dict[str, Any]) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(base64.b64decode(str(head["signature"])), _content(head), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _public_key(path: Path) -> EllipticCurvePublicKey:
    with optional_package("sign", "public_key="):
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UserError(f"public_key={path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UserError(f"public_key={path} is no public key in PEM of an elliptic curve")
    return key
