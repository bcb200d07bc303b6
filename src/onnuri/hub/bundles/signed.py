"""JSON files with a signature beside them, which openssl checks too.

    openssl dgst -sha256 -verify KEY.pub.pem -signature bundle.json.sig bundle.json

The signature is checked before a byte of the JSON is parsed.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import typing
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, optional_package, system_error
from onnuri.base.manifest import sync
from onnuri.ledger.keys import load_private_key

if typing.TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

SUFFIX = ".sig"
LARGEST, LARGEST_SIGNATURE = 64 << 20, 1024
"""Bytes: about 400,000 files of a bundle."""


def canonical(value: Any) -> bytes:
    """The one way to write a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode()


def write(path: Path, value: Any, key: Path) -> str:
    """Write and sign; returns the sha256. Raises UserError if it would be too large, or for the key."""
    with optional_package("sign", "signing"):
        from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
        from cryptography.hazmat.primitives.hashes import SHA256
    content = canonical(value)
    if len(content) > LARGEST:
        raise UserError(
            f"{path.name} would have {len(content):,} bytes, and may have {LARGEST:,}: name fewer "
            "repositories"
        )
    signature = load_private_key(key).sign(content, ECDSA(SHA256()))
    for target, written in ((path, content), (path.with_name(path.name + SUFFIX), signature)):
        target.write_bytes(written)
        sync(target)
    return hashlib.sha256(content).hexdigest()


def read(path: Path, trust: list[str], wanted: str) -> tuple[dict[str, Any], str, str]:
    """The value, the sha256 of its file, and the key that signed it.

    Raises UserError if no trusted key has signed it, or its `format` is not `wanted`.
    """
    keys = {name: _public_key(Path(name)) for name in trust}
    content = read_regular(path, LARGEST)
    signature = read_regular(path.with_name(path.name + SUFFIX), LARGEST_SIGNATURE)
    signer = next((name for name, key in keys.items() if _is_signed(key, content, signature)), "")
    if not signer:
        raise UserError(
            f"{path} was changed, or was signed with none of the keys trust=[{','.join(trust)}]; "
            "fetch it again, or add its signer's public key once you have checked whose it is"
        )
    try:
        value = json.loads(content)
        unambiguous = canonical(value) == content
    except (ValueError, RecursionError):
        value, unambiguous = None, False
    if not isinstance(value, dict) or not unambiguous:
        raise UserError(f"{path} is no canonical JSON object, although it is signed")
    if value.get("format") != wanted:
        raise UserError(f"{path} has the format {value.get('format')!r:.80}; this Onnuri reads {wanted!r}")
    return value, hashlib.sha256(content).hexdigest(), _fingerprint(keys[signer])


def read_regular(path: Path, most: int) -> bytes:
    """A file that is no link. Raises UserError for another kind, or more than `most` bytes."""
    with open_regular(path) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise UserError(f"{path} has more than {most:,} bytes")
    return content


def open_regular(path: Path) -> typing.BinaryIO:
    """A file that is no link, open for reading. Raises UserError for anything else."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if path.is_symlink():
            raise UserError(f"{path} is a link: a bundle has none") from None
        raise system_error(error, path) from None
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise UserError(f"{path} is no regular file")
    return os.fdopen(number, "rb")


def _public_key(path: Path) -> EllipticCurvePublicKey:
    with optional_package("sign", "signing"):
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise UserError(f"trust={path} cannot be read: {error.strerror or error}") from None
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UserError(
            f"trust={path} is no public key in PEM; from a private key: openssl ec -in key.pem -pubout "
            "-out key.pub.pem"
        )
    return key


def _is_signed(key: EllipticCurvePublicKey, content: bytes, signature: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(signature, content, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def _fingerprint(key: EllipticCurvePublicKey) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
