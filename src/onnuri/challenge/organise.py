"""The organiser's side between opening and verification: receive entries, reveal the text."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.challenge import sealed_text
from onnuri.challenge.config import ReceiveConfig, RevealConfig
from onnuri.challenge.entry import Entry, read_entry, signature_is_good
from onnuri.challenge.folder import (
    RECEIVED,
    REVEALED,
    Challenge,
    add,
    is_revealed,
    open_challenge,
    received,
    recording,
)

log = logging.getLogger(__name__)


def receive(config: ReceiveConfig) -> str:
    """Put an entry on record. Returns the receipt: the hash of its line, on which all later lines stand.

    Raises UserError for what is no entry of this challenge, for a name that is taken, for a run that was
    received under another name, for a bad signature, and after the reveal.
    """
    challenge, entry = open_challenge(config.challenge), read_entry(Path(config.entry))
    if entry.challenge != challenge.identity:
        raise UserError(
            f"entry={config.entry} is for {entry.challenge[:12]}, not {challenge.identity[:12]}"
        )
    if not signature_is_good(entry):
        raise UserError(f"entry={config.entry} was not signed with the key that it names, or was changed")
    with recording(challenge) as lines:
        known = received(lines)
        if entry.name in known:
            if known[entry.name]["entry"] == entry.identity:
                receipt = str(known[entry.name]["hash"])
                log.info(f"{entry.name} is received already, receipt {receipt}")
                return receipt
            raise UserError(f"the name {entry.name} is taken; commit with another one")
        if is_revealed(lines):
            raise UserError(f"entry={config.entry} is late: the held-out text is public")
        check_own_run(challenge, entry, known)
        manifest.write_json(challenge.entry_file(entry.name), asdict(entry))
        receipt = add(challenge.folder, RECEIVED, {"name": entry.name, "entry": entry.identity})
    log.info(f"received {entry.name}, entry {entry.identity}")
    log.info(f"receipt {receipt}: send it back")
    return receipt


def check_own_run(challenge: Challenge, entry: Entry, names: Iterable[str]) -> None:
    """Raise UserError if one of these entries names the same run: received entries are public, so that
    anybody could put another's hashes under a name of their own."""
    for name in names:
        other = read_entry(challenge.entry_file(name))
        if entry.ledger == other.ledger or entry.weights == other.weights:
            raise UserError(
                f"{entry.name} has the hashes of {name}, which is received already; a run is entered once"
            )


def reveal(config: RevealConfig) -> None:
    """Publish the held-out text and the nonce in the challenge's folder; no entry is received after it.

    Raises UserError if they are not those whose hash was published at the start.
    """
    challenge, secret = open_challenge(config.challenge), Path(config.secret)
    if sealed_text.commitment(secret) != challenge.content["heldout"]:
        raise UserError(
            f"secret={secret} does not match the hash published at the start, "
            f"{challenge.content['heldout'][:12]}...: it is not the sealed text, and is not revealed"
        )
    with recording(challenge) as lines:
        if not is_revealed(
            lines
        ):  # before any of the text is out, and closed to entries even if cut off here
            add(challenge.folder, REVEALED, {"heldout": challenge.content["heldout"]})
        for name in (sealed_text.HELDOUT_FILE, sealed_text.NONCE_FILE):
            part = challenge.folder / f"{name}.part"
            shutil.copyfile(secret / name, part)
            part.replace(challenge.folder / name)
    log.info(f"revealed {challenge.folder / sealed_text.HELDOUT_FILE}; {len(received(lines))} entries")
