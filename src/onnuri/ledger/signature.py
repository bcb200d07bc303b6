"""A signature over a run or an exported model: which files it covers, and what has changed since.

The format is that of OpenSSF Model Signing (a Sigstore bundle around the sha256 of every file): whoever has
the folder and the public key can check it without this project.

    model_signing verify key RUN_DIR --signature RUN_DIR/model.sig --public_key PUBLIC_KEY.pem
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.run.chain import LEDGER_FILE
from onnuri.run.checkpoints import FOLDER
from onnuri.run.lock import LOCK_FILE
from onnuri.run.metrics_file import METRICS_FILE, PICTURE_FILE
from onnuri.run.run_file import HYDRA_FOLDER, RUN_FILE, SIGNATURE_FILE
from onnuri.train.guard import RECORD_FILE

log = logging.getLogger(__name__)

NOT_SIGNED = (SIGNATURE_FILE, SIGNATURE_FILE + ".tmp", LOCK_FILE, HYDRA_FOLDER, "tensorboard", "wandb")
"""Everything else in the folder is signed. Trackers keep copies of the metrics, links among them;
the words in .hydra say again what run.json says."""
GROWS = {LEDGER_FILE, METRICS_FILE, RUN_FILE, RECORD_FILE, PICTURE_FILE, f"{FOLDER}/latest"}
"""What a resumed run writes again; the ledger, which only grows, shows that it is the same run."""


def check_signature(folder: Path, public_key: Path) -> Iterator[str]:
    """What differs between a folder and its signature; prints a line if nothing does.

    Raises UserError if the package is missing or the public key cannot be used.
    """
    need_package()
    path = folder / SIGNATURE_FILE
    if not path.is_file():
        yield f"{path} is missing: nobody has signed this"
        return
    try:
        signed = signed_files(path, public_key)
    except UserError:
        raise
    except ValueError as error:
        yield str(error)
        return
    problems = list(_differences(folder, signed))
    if not problems:
        log.info(f"{path}: {len(signed):,} files, all as signed with the key of {public_key}")
    yield from problems


def need_package() -> None:
    """Raises UserError if model-signing is not installed."""
    try:
        import model_signing.signing  # noqa: F401
    except ImportError:
        raise UserError("signatures need a package: pip install 'onnuri[sign]'") from None


def signed_files(signature: Path, public_key: Path) -> dict[str, str]:
    """Name and sha256 of every file that was signed, once the signature is found to be good.

    The public interface only compares a whole folder at once; what lies below it says which files were
    signed, which is what tells a run that has gone on from one that was changed.

    Raises ValueError, with a text for the user, if the signature is not good.
    """
    from cryptography.exceptions import InvalidSignature
    from model_signing._signing import sign_ec_key, sign_sigstore_pb

    try:
        verifier = sign_ec_key.Verifier(public_key)
    except OSError as error:
        raise UserError(f"public_key={public_key} cannot be read: {error.strerror or error}") from None
    except (ValueError, AttributeError):
        raise UserError(
            f"public_key={public_key} is no public key in PEM on P-256, P-384 or P-521; from a private "
            "key: openssl ec -in key.pem -pubout -out key.pub.pem"
        ) from None
    try:
        bundle = sign_sigstore_pb.Signature.read(signature)
    except (ValueError, TypeError, AttributeError, LookupError):
        raise ValueError(f"{signature} is damaged: it is no signature that can be read") from None
    try:
        signed = verifier.verify(bundle)
    except (InvalidSignature, ValueError, TypeError, AttributeError, LookupError):
        raise ValueError(
            f"{signature} was not made with the key of {public_key}, or was changed since"
        ) from None
    kind = signed.serialization_type
    if (kind["method"], kind["hash_type"]) != ("files", "sha256"):
        raise ValueError(f"{signature} has hashes of another kind than sha256 of whole files: {kind}")
    return {entry.identifier: entry.digest.digest_hex for entry in signed.resource_descriptors()}


def files_of(folder: Path) -> list[str]:
    """What is to be signed, by relative path."""
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path.as_posix() for path in paths if path.parts[0] not in NOT_SIGNED]


def _differences(folder: Path, signed: Mapping[str, str]) -> Iterator[str]:
    names = files_of(folder)
    with ThreadPoolExecutor() as pool:  # hashing holds no interpreter lock
        hashes = pool.map(manifest.hash_file, (folder / name for name in names))
        found = dict(zip(names, hashes, strict=True))
    grown = False
    if signed.get(LEDGER_FILE) and found.get(LEDGER_FILE) not in (None, signed[LEDGER_FILE]):
        then, now = _lines_signed(folder / LEDGER_FILE, signed[LEDGER_FILE])
        grown = then > 0
        if grown:
            yield (
                f"{folder / SIGNATURE_FILE} is of an older state: {LEDGER_FILE} had {then:,} lines then "
                f"and has {now:,} now; `sign` again"
            )
    for name in sorted(signed.keys() & found.keys()):
        if signed[name] != found[name] and not (grown and name in GROWS):
            yield f"{folder / name} is not the file that was signed"
    for name in _wholes(signed.keys() - found.keys()):
        if not (grown and name.startswith(f"{FOLDER}/")):  # checkpoints go when there are newer ones
            yield f"{folder / name} was signed and is missing"
    for name in _wholes(found.keys() - signed.keys()):
        yield f"{folder / name} was not there when this was signed"


def _lines_signed(ledger: Path, wanted: str) -> tuple[int, int]:
    """With how many lines the ledger had the hash `wanted` (0: never), and how many it has."""
    digest, then, now = hashlib.sha256(), 0, 0
    with ledger.open("rb") as stream:
        for now, line in enumerate(stream, start=1):
            digest.update(line)
            if not then and digest.hexdigest() == wanted:
                then = now
    return then, now


def _wholes(names: set[str]) -> list[str]:
    """File names, those of one checkpoint taken together."""
    return sorted(
        {"/".join(name.split("/")[:2]) if name.startswith(f"{FOLDER}/") else name for name in names}
    )
