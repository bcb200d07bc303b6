"""An entry: the hashes of a finished run, published before the held-out text is."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, optional_package
from onnuri.base.manifest import hash_json
from onnuri.challenge.intake import read_json
from onnuri.ledger.keys import load_private_key

FORMAT = 2
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
JOINER = "\u200d"
"""Zero-width joiner, in the middle of some emoji."""
HASH = re.compile(r"[0-9a-f]{64}")
MOST_TITLE = 80


@dataclass(frozen=True)
class Entry:
    """What an entrant publishes. Its hash covers the whole run: the ledger is a chain that ends in
    `ledger`, and it names every checkpoint by the hash of its files."""

    format: int
    challenge: str
    """Identity of the challenge."""
    name: str
    title: str
    step: int
    """Of the final checkpoint."""
    weights: str
    """Identity of the final checkpoint's manifest, which has the sha256 of each of its files."""
    ledger: str
    """Hash of the ledger's last line."""
    checkpoints: tuple[int, ...]
    """Steps whose checkpoints the run keeps, in order; the last is `step`. Which intervals are replayed
    hangs on them, so they are settled before the nonce is known."""
    public_key: str = ""
    """PEM; empty: not signed."""
    signature: str = ""
    """ECDSA with SHA-256 over the hash of all other fields, in base64."""

    @property
    def identity(self) -> str:
        """The hash of the entry."""
        return hash_json(asdict(self))

    @property
    def signed_part(self) -> bytes:
        """What a signature is over."""
        return hash_json(asdict(replace(self, signature=""))).encode()

    @property
    def fingerprint(self) -> str:
        """Twelve characters of the public key's hash, "" without one."""
        return hashlib.sha256(self.public_key.encode()).hexdigest()[:12] if self.public_key else ""


def check_name(name: str) -> None:
    """Raise UserError for a name that is no name of an entry."""
    if not NAME.fullmatch(name):
        raise UserError(f"name={name[:60]} must be 1 to 40 of a-z, 0-9, - and _, a letter or digit first")


def from_content(content: Mapping[str, Any], where: str) -> Entry:
    """An entry out of JSON of anybody's. Raises UserError for anything that is none."""
    types = {"format": int, "step": int, "checkpoints": list} | dict.fromkeys(
        ("challenge", "name", "title", "weights", "ledger", "public_key", "signature"), str
    )
    if type(content.get("format")) is int and content["format"] != FORMAT:
        raise UserError(f"{where} has format {content['format']}, this version reads {FORMAT}")
    wrong = [name for name in types if type(content.get(name)) is not types[name]]
    if wrong or len(content) != len(types):
        raise UserError(f"{where} is no entry: {wrong[0] if wrong else 'unknown keys'}")
    found = Entry(**{**content, "checkpoints": tuple(content["checkpoints"])})
    check_name(found.name)
    if len(found.title) > MOST_TITLE or not found.title.replace(JOINER, "").isprintable():
        raise UserError(f"{where}: title must be one line of at most {MOST_TITLE} characters")
    if not all(map(HASH.fullmatch, (found.challenge, found.weights, found.ledger))) or found.step < 1:
        raise UserError(f"{where} is no entry: challenge, weights and ledger are hashes, step is above 0")
    steps = (0, *found.checkpoints)
    whole = all(type(step) is int for step in steps) and all(one < other for one, other in pairwise(steps))
    if not whole or steps[-1] != found.step:
        raise UserError(f"{where} is no entry: checkpoints are steps that rise from above 0 to its step")
    return found


def read_entry(path: Path) -> Entry:
    """The entry in a file. Raises UserError as `from_content` does."""
    return from_content(read_json(path, "entry"), str(path))


def sign(entry: Entry, key: Path) -> Entry:
    """The entry with a signature. Raises UserError if the key cannot be used."""
    private = load_private_key(key)
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    named = replace(entry, public_key=public.decode())
    signature = private.sign(named.signed_part, ec.ECDSA(hashes.SHA256()))
    return replace(named, signature=base64.b64encode(signature).decode())


def signature_is_good(entry: Entry) -> bool:
    """Whether the signature was made with the key that the entry names; True for one without either."""
    if not entry.public_key and not entry.signature:
        return True
    with optional_package("sign", "a signed entry"):
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    try:
        key = load_pem_public_key(entry.public_key.encode())
        if not isinstance(key, ec.EllipticCurvePublicKey):
            return False
        signature = base64.b64decode(entry.signature, validate=True)
        key.verify(signature, entry.signed_part, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True
