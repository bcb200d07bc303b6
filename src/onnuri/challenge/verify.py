"""`onnuri challenge verify`: one entry, from its hash to its score, or to the faults it is refused for."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.challenge import sealed_text
from onnuri.challenge.config import VerifyConfig
from onnuri.challenge.curve import curve_of
from onnuri.challenge.entry import Entry, check_name, read_entry, signature_is_good
from onnuri.challenge.examine import Examined, examine, find_leaks, take_checkpoints
from onnuri.challenge.faults import Fault, Refused, check_machine
from onnuri.challenge.folder import (
    VERIFIED,
    Challenge,
    add,
    check_reveal,
    history,
    open_challenge,
    received,
    recording,
)
from onnuri.challenge.record import longest_interval, machine
from onnuri.challenge.replay import choose, intervals_of, needed_checkpoints, replay
from onnuri.challenge.score import is_finite, kopairs, score
from onnuri.run.checkpoints import FOLDER, name_of

log = logging.getLogger(__name__)


def verify(config: VerifyConfig) -> dict[str, Any]:
    """Check an entry and, with `record`, write CHALLENGE/results/NAME.json; no `faults`: it stands.

    Raises UserError where the fault is not the entry's: a challenge that is not revealed or was changed, or
    a machine without room or memory.
    """
    check_name(config.name)
    challenge, run_dir = open_challenge(config.challenge), Path(config.run_dir)
    nonce = check_reveal(challenge)
    if config.record:
        with recording(challenge):  # it can be written: better known before a replay than after it
            pass
    challenge.token_manifest()
    kopairs(challenge)
    if not run_dir.is_dir():
        raise UserError(f"run_dir={run_dir} is no folder")
    result: dict[str, Any] = {"name": config.name, "faults": []}
    with tempfile.TemporaryDirectory(prefix="onnuri-challenge-") as scratch:
        try:
            entry = read_received(challenge, config.name)
            result |= {"entry": entry.identity, "title": entry.title, "signed": entry.fingerprint}
            result |= judge(challenge, entry, config, nonce, Path(scratch))
        except Refused as error:
            check_machine(error)
            result["faults"] = [error.fault]
    result["faults"] = [fault._asdict() for fault in result["faults"]]
    if config.record:
        try:
            record(challenge, result)
        except UserError:
            log.warning(f"not recorded: {summary(result)}")
            raise
    return result


def record(challenge: Challenge, result: dict[str, Any]) -> None:
    """Write a result into the challenge's folder, and a line for it."""
    with recording(challenge):
        manifest.write_json(challenge.result_file(result["name"]), result)
        facts = {
            "name": result["name"],
            "result": manifest.hash_json(result),
            "stands": not result["faults"],
        }
        add(challenge.folder, VERIFIED, facts)


def read_received(challenge: Challenge, name: str) -> Entry:
    """The entry as it was received. Raises Refused if it was not, or was changed since."""
    line = received(history(challenge)).get(name)
    if line is None:
        raise Refused("not received", f"the record has no entry {name}")
    try:
        entry = read_entry(challenge.entry_file(name))
    except UserError as error:
        raise Refused("changed entry", str(error)) from None
    if entry.identity != line["entry"]:
        raise Refused("changed entry", f"{entry.identity[:12]}, received was {line['entry'][:12]}")
    if not signature_is_good(entry):
        raise Refused("bad signature", f"key {entry.fingerprint}")
    return entry


def judge(
    challenge: Challenge, entry: Entry, config: VerifyConfig, nonce: str, scratch: Path
) -> dict[str, Any]:
    """What there is to say of an entry: what it spent, its faults, and without any its replay and score."""
    heldout = sealed_text.read_texts(challenge.folder / sealed_text.HELDOUT_FILE)
    facts: dict[str, Any] = {}
    try:
        found = examine(challenge, Path(config.run_dir), scratch / entry.name, entry.checkpoints)
        facts = {
            "spent": asdict(found.spent),
            "minutes": found.record.minutes,
            "machine": machine(found.record),
            "curve": curve_of(found.record),
        }
        faults = [*committed(found, entry), *found.faults]
        if config.data:
            faults += find_leaks(challenge, found, heldout, config.data)
        if not faults:
            facts["replay"], faults = run_again(challenge, entry, found, config, nonce, scratch)
    except Refused as error:
        check_machine(error)
        return facts | {"faults": [error.fault]}
    except (
        Exception
    ) as error:  # of every kind: whatever a stranger's files make a check raise is their fault
        check_machine(error)
        log.debug("malformed entry", exc_info=True)
        reason = " ".join(str(error).replace(f"{scratch}/", "").split())
        return facts | {"faults": [Fault("record", f"malformed: {type(error).__name__} {reason[:160]}")]}
    if not faults:
        options = found.record.config
        final = found.run_dir / FOLDER / name_of(entry.step)
        scores = score(challenge, final, options.model, options.data.sequence_length, heldout)
        if is_finite(scores):
            facts["score"] = scores
        else:
            faults = [
                Fault("no score", f"the weights of step {entry.step} give {scores['mean']} bits per byte")
            ]
    return facts | {"faults": faults}


def committed(found: Examined, entry: Entry) -> list[Fault]:
    """What differs from the hashes that were published before the reveal."""
    record, faults = found.record, []
    if record.head != entry.ledger:
        detail = f"it ends in {record.head[:12]}, committed was {entry.ledger[:12]}"
        faults.append(Fault("other ledger", detail))
    weights = record.checkpoints.get(entry.step, "none")
    if (record.last_step, weights) != (entry.step, entry.weights):
        detail = f"step {record.last_step} has {weights[:12]}, committed was {entry.weights[:12]}"
        faults.append(Fault("other weights", f"{detail} of step {entry.step}"))
    if unknown := sorted({*entry.checkpoints} - record.checkpoints.keys()):
        faults.append(Fault("missing checkpoints", f"the ledger has none of step {unknown[0]}"))
    return faults


def run_again(
    challenge: Challenge, entry: Entry, found: Examined, config: VerifyConfig, nonce: str, scratch: Path
) -> tuple[dict[str, Any], list[Fault]]:
    """Replay intervals that the nonce and the entry's hash choose. Returns what was run, and the faults."""
    every = intervals_of(found.record.points, longest_interval(found.record, challenge.track))
    intervals = choose(every, f"{nonce} {entry.identity}", config.intervals)
    take_checkpoints(Path(config.run_dir), found, needed_checkpoints(intervals))
    done = replay(
        found.run_dir,
        found.record,
        intervals,
        challenge.tokens,
        scratch,
        elsewhere=config.elsewhere,
        minutes=config.replay_minutes,
    )
    facts = {"intervals": done.intervals, "of": len(every), "steps": done.steps, "exact": done.exact}
    return facts, done.faults


def summary(result: dict[str, Any]) -> str:
    """A result for people: its faults, or what stands."""
    if result["faults"]:
        return "\n".join(f"refused: {fault['name']}: {fault['detail']}" for fault in result["faults"])
    replayed = result["replay"]
    how = "to the bit" if replayed["exact"] else "within the tolerances for another machine"
    return (
        f"{result['name']} stands: {len(replayed['intervals'])} of {replayed['of']} intervals "
        f"({replayed['steps']:,} steps) replayed {how}"
    )
