"""`onnuri challenge board`: the leaderboard as a table, and as a page without script or network."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

from onnuri.base.errors import UserError, system_error
from onnuri.base.manifest import hash_json
from onnuri.challenge.config import BoardConfig
from onnuri.challenge.entry import read_entry
from onnuri.challenge.folder import (
    BOARD_FILE,
    VERIFIED,
    Challenge,
    history,
    open_challenge,
    received,
)
from onnuri.challenge.intake import read_json

log = logging.getLogger(__name__)


class Row(NamedTuple):
    """An entry on the board."""

    name: str
    title: str
    received: float
    """Seconds since 1970, by the organiser's clock; 0 for one that was not received."""
    result: dict[str, Any] | None
    """None: not verified yet."""
    order: int
    """Of the entry in the record: it, and no clock, says who came first."""

    @property
    def stands(self) -> bool:
        """Whether it was verified and has a score."""
        return bool(self.result) and not self.faults

    @property
    def faults(self) -> list[dict[str, str]]:
        """What it was refused for."""
        return list((self.result or {}).get("faults", []))


def rows(challenge: Challenge, lines: list[dict[str, Any]]) -> list[Row]:
    """Ranked entries, best first; those not verified, in the order received; those refused.

    Raises UserError for a result that is not the recorded one.
    """
    arrived = received(lines)
    results = {line["name"]: line["result"] for line in lines if line["event"] == VERIFIED}
    found = []
    for order, name in enumerate(dict.fromkeys([*arrived, *results])):
        result = None
        if name in results:
            result = read_json(challenge.result_file(name), "result")
            if hash_json(result) != results[name]:
                raise UserError(f"{challenge.result_file(name)} was changed; verify {name} again")
        title = read_entry(challenge.entry_file(name)).title if name in arrived else ""
        found.append(Row(name, title, arrived[name]["time"] if name in arrived else 0.0, result, order))
    ranked = sorted(filter(lambda row: row.stands, found), key=rank)
    waiting = [row for row in found if row.result is None]
    return [*ranked, *waiting, *(row for row in found if row.faults)]


def rank(row: Row) -> tuple[float, float, int]:
    """The mean of Korean and English bits per byte to three digits, then KoPairs, then who came first."""
    assert row.result is not None
    score = row.result["score"]
    return round(score["mean"], 3), -round(score["kopairs"]["value"], 3), row.order


def write_board(config: BoardConfig) -> tuple[Challenge, list[Row]]:
    """Write the page. Returns what is on it."""
    from onnuri.challenge.board_page import page

    challenge = open_challenge(config.challenge)
    lines = history(challenge)
    found = rows(challenge, lines)
    output = Path(config.output) if config.output else challenge.folder / BOARD_FILE
    try:
        output.write_text(page(challenge, lines, found, config.language), encoding="utf-8")
    except OSError as error:
        raise system_error(error, output) from None
    log.info(f"wrote {output}")
    return challenge, found


def table(found: list[Row]) -> str:
    """The board for a terminal."""
    heads = f"{'mean':>8}{'ko':>8}{'en':>8}{'KoPairs':>9}{'FLOPs':>10}{'parameters':>13}"
    lines = [f"{'':>3} {'entry':<24}{heads}"]
    rank = 0
    for row in found:
        if row.stands and row.result:
            rank += 1
            score, spent = row.result["score"], row.result["spent"]
            lines.append(
                f"{rank:>3} {row.name:<24}{score['mean']:>8.3f}{score['ko']['value']:>8.3f}"
                f"{score['en']['value']:>8.3f}{score['kopairs']['value']:>9.3f}{spent['flops']:>10.3g}"
                f"{spent['parameters']:>13,}"
            )
        elif row.faults:
            lines.append(f"{'-':>3} {row.name:<24}refused: {row.faults[0]['name']}")
        else:
            lines.append(f"{'?':>3} {row.name:<24}not verified yet")
    return "\n".join(lines)
