"""The hashes of a bundle and a signature over them, both checked with sha256sum and openssl alone.

    openssl dgst -sha256 -verify KEY.pub.pem -signature SHA256SUMS.sig SHA256SUMS && sha256sum -c SHA256SUMS

Whoever installs it can do so before any program of the bundle runs. The OpenSSF format of `onnuri ledger
sign` would need packages that are in the bundle itself.
"""

from __future__ import annotations

from pathlib import Path

from onnuri.base.manifest import hash_file, sync
from onnuri.ledger.keys import load_private_key

SUMS_FILE = "SHA256SUMS"
SIGNATURE_FILE = "SHA256SUMS.sig"


def seal(folder: Path, key: Path | None) -> None:
    """Write the hash of every file, last and at once, and the signature before them."""
    for name in (SUMS_FILE, SIGNATURE_FILE):
        (folder / name).unlink(missing_ok=True)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    text = "".join(f"{hash_file(folder / name)}  {name}\n" for name in names)
    if key:
        sign(text.encode(), key, folder / SIGNATURE_FILE)
    partial = folder / f"{SUMS_FILE}.partial"
    partial.write_text(text, encoding="utf-8")
    sync(partial)
    partial.replace(folder / SUMS_FILE)
    sync(folder)


def sign(text: bytes, key: Path, signature: Path) -> None:
    """ECDSA over sha256, in DER, as openssl writes it. Raises UserError if the key cannot be used."""
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    signature.write_bytes(load_private_key(key).sign(text, ECDSA(SHA256())))


def is_signed_with(key: Path, folder: Path) -> bool:
    """Whether the signature is of this private key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.hashes import SHA256

    signature, text = (folder / SIGNATURE_FILE).read_bytes(), (folder / SUMS_FILE).read_bytes()
    try:
        load_private_key(key).public_key().verify(signature, text, ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


def read_sums(folder: Path) -> dict[str, str]:
    """File name to sha256; nothing if the bundle is unfinished."""
    try:
        lines = (folder / SUMS_FILE).read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
