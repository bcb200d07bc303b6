"""The folder of a challenge: what it pins, and its record.

CHALLENGE/challenge.json        the track and all hashes; its own hash is the challenge's identity
CHALLENGE/tokens/               the shards to train on
CHALLENGE/practice.jsonl        public text to practise on
CHALLENGE/ledger.jsonl          what happened when: opened, received, revealed, verified; chained by hashes
CHALLENGE/entries/NAME.json     entries as received
CHALLENGE/heldout.jsonl, nonce  after the reveal
CHALLENGE/results/NAME.json     what verification found
CHALLENGE/board.html            the leaderboard
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError, system_error
from onnuri.base.manifest import Manifest
from onnuri.challenge import sealed_text
from onnuri.challenge.intake import read_json
from onnuri.challenge.tracks import Track
from onnuri.run.chain import Ledger, read
from onnuri.run.lock import lock_run_dir

FORMAT = 1
CHALLENGE_FILE, PRACTICE_FILE, BOARD_FILE = "challenge.json", "practice.jsonl", "board.html"
TOKENS, ENTRIES, RESULTS = "tokens", "entries", "results"
OPENED, RECEIVED, REVEALED, VERIFIED = "opened", "received", "revealed", "verified"


@dataclass(frozen=True)
class Challenge:
    """A challenge, read from its folder."""

    folder: Path
    content: dict[str, Any]
    """Of challenge.json."""

    @property
    def identity(self) -> str:
        """The hash that entries name."""
        return manifest.hash_json(self.content)

    @property
    def track(self) -> Track:
        """What an entry may spend."""
        return Track(**self.content["track"])

    @property
    def tokens(self) -> Path:
        """The shards to train on."""
        return self.folder / TOKENS

    @property
    def practice(self) -> Path:
        """The public text."""
        return self.folder / PRACTICE_FILE

    def entry_file(self, name: str) -> Path:
        """Where an entry lies once it is received."""
        return self.folder / ENTRIES / f"{name}.json"

    def result_file(self, name: str) -> Path:
        """What verification found of an entry."""
        return self.folder / RESULTS / f"{name}.json"

    def token_manifest(self) -> Manifest:
        """The manifest of the shards. Raises UserError if they are not the pinned ones."""
        found = manifest.read(self.tokens, "tokens")
        if found.identity != self.content["tokens"]:
            raise UserError(f"{self.tokens} are other shards than {CHALLENGE_FILE} pins; fetch them again")
        manifest.verify(self.tokens, found)
        return found


def open_challenge(name: str) -> Challenge:
    """The challenge in a folder. Raises UserError if it is none, or its practice text was changed."""
    folder = Path(name)
    if not (folder / CHALLENGE_FILE).is_file():
        raise UserError(f"challenge={name} has no {CHALLENGE_FILE}; onnuri challenge init makes one")
    content = read_json(folder / CHALLENGE_FILE, "challenge")
    if content.get("format") != FORMAT:
        raise UserError(
            f"challenge={name} has format {content.get('format')}, this version reads {FORMAT}: use the "
            "version of Onnuri that made it"
        )
    found = Challenge(folder, content)
    try:
        whole = found.track.name and len(content["tokens"]) == len(content["heldout"]) == 64
        changed = manifest.hash_file(found.practice) != content["practice"]
    except (TypeError, LookupError, OSError) as error:
        raise UserError(f"{folder / CHALLENGE_FILE} is damaged: {error}") from None
    if changed or not whole:
        raise UserError(f"{found.practice} is not the file that {CHALLENGE_FILE} pins; fetch it again")
    return found


def history(challenge: Challenge) -> list[dict[str, Any]]:
    """A challenge's record, in order. Raises UserError if it is incomplete or of another challenge."""
    lines = read(challenge.folder)
    if not lines or lines[0].get("challenge") != challenge.identity:
        raise UserError(f"the record of {challenge.folder} is of another {CHALLENGE_FILE}")
    return lines


def is_revealed(lines: list[dict[str, Any]]) -> bool:
    """Whether the held-out text is public."""
    return any(line["event"] == REVEALED for line in lines)


def received(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Name of each entry to the line that records it, in order."""
    return {line["name"]: line for line in lines if line["event"] == RECEIVED}


@contextlib.contextmanager
def recording(challenge: Challenge) -> Iterator[list[dict[str, Any]]]:
    """Around a change of the record by one process at a time; gives what is recorded so far."""
    try:
        with lock_run_dir(challenge.folder, f"challenge={challenge.folder} is in use", 120.0) as lock:
            try:
                yield history(challenge)
            finally:
                lock.truncate(0)  # the folder is published, the machine's name need not be
    except OSError as error:
        raise system_error(error, challenge.folder) from None


def add(folder: Path, event: str, facts: Mapping[str, Any]) -> str:
    """Add a line to the record, durably. Returns its hash: a receipt, as later lines stand on it."""
    ledger = Ledger(folder)
    try:
        ledger.add(event, facts)
        ledger.sync()
    finally:
        ledger.close()
    return ledger.head


def check_reveal(challenge: Challenge) -> str:
    """The nonce of a challenge that is revealed.

    Raises UserError if it is not, or if the text is not the one whose hash was published.
    """
    if not is_revealed(history(challenge)):
        raise UserError(
            f"the held-out text of {challenge.folder} is not public yet; onnuri challenge reveal"
        )
    if sealed_text.commitment(challenge.folder) != challenge.content["heldout"]:
        raise UserError(
            f"{challenge.folder / sealed_text.HELDOUT_FILE} is not the text whose hash was published"
        )
    return (challenge.folder / sealed_text.NONCE_FILE).read_text(encoding="utf-8").strip()
