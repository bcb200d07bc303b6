"""Options of `onnuri challenge`."""

from __future__ import annotations

from dataclasses import dataclass

from onnuri.base.errors import UserError, check_choice
from onnuri.challenge.tracks import CUSTOM, TRACKS
from onnuri.config.paths import path_option


@dataclass
class InitConfig:
    """A new challenge."""

    output: str = path_option()
    """Folder to make: all that entrants need. Publish it as it is."""
    tokens: str = path_option()
    """Folder of token shards to train on; it is copied into the challenge, and its hash pinned."""
    corpus: str = path_option()
    """Corpus folder that the shards were packed from; its held-out documents become the practice text."""
    heldout: str = path_option()
    """The held-out text, Korean and English: a file or pattern of .jsonl, .parquet, .txt."""
    secret: str = path_option()
    """Folder for the held-out text and the nonce, which stay with the organiser until the reveal."""
    track: str = "ten_minutes"
    """ten_minutes, one_hour, ten_minutes_h100, or custom with flops=, unique_tokens= and parameters=."""
    flops: float = 0.0
    """track=custom: training FLOPs, such as 1e13."""
    unique_tokens: int = 0
    """track=custom: different training tokens."""
    parameters: int = 0
    """track=custom: parameters of the model."""
    checkpoints: int = 10
    """track=custom: two checkpoints are at most steps / checkpoints apart."""
    title: str = "Onnuri challenge"
    """Heading of the leaderboard."""
    kopairs_items: int = 0
    """KoPairs items scored, the same ones for all entries; 0: all."""

    def __post_init__(self) -> None:
        check_choice("track", self.track, (*TRACKS, CUSTOM))
        own = {name: getattr(self, name) for name in ("flops", "unique_tokens", "parameters")}
        if self.track == CUSTOM and not all(value >= 1 for value in own.values()):
            raise UserError("track=custom needs flops=, unique_tokens= and parameters=, each at least 1")
        if self.track != CUSTOM and any(own.values()):
            raise UserError(f"track={self.track} has its own budget; give track=custom for another one")
        if self.track != CUSTOM and self.checkpoints != InitConfig.checkpoints:
            raise UserError(f"track={self.track} has its own checkpoints; give track=custom for others")
        if self.checkpoints < 1 or self.kopairs_items < 0:
            raise UserError("needed: checkpoints at least 1, kopairs_items at least 0")
        if not 1 <= len(self.title) <= 100:
            raise UserError(f"title has {len(self.title)} characters; give 1 to 100")


@dataclass
class PracticeConfig:
    """Scores on the public practice text."""

    challenge: str = path_option()
    """Folder of the challenge."""
    run_dir: str = path_option()
    """Run directory; its newest verified checkpoint is scored."""


@dataclass
class CommitConfig:
    """An entry: its hashes."""

    challenge: str = path_option()
    """Folder of the challenge."""
    run_dir: str = path_option()
    """Run directory, trained on CHALLENGE/tokens."""
    name: str = "???"
    """Name of the entry: 1 to 40 of a-z, 0-9, - and _, a letter or digit first."""
    title: str = ""
    """What the entry is, in a few words of any language; shown on the leaderboard."""
    output: str = path_option("")
    """JSON file to write and send to the organiser; empty: NAME.entry.json beside the run directory."""
    key: str = path_option("")
    """Sign with this private key (PEM, P-256, P-384 or P-521); empty: no signature."""


@dataclass
class ReceiveConfig:
    """An entry that has come in."""

    challenge: str = path_option()
    """Folder of the challenge."""
    entry: str = path_option()
    """The entrant's JSON file, as `commit` wrote it."""


@dataclass
class RevealConfig:
    """The end of the contest."""

    challenge: str = path_option()
    """Folder of the challenge."""
    secret: str = path_option()
    """Folder with the held-out text and the nonce, as `init` wrote it."""


@dataclass
class VerifyConfig:
    """Which entry to verify, against which run."""

    challenge: str = path_option()
    """Folder of the challenge, after the reveal."""
    name: str = "???"
    """Name of the entry."""
    run_dir: str = path_option()
    """The entrant's run directory. Nothing in it is run, and nothing outside of it is read."""
    data: str = path_option("")
    """Shards that the run was trained on, if they are others than the challenge's: searched for held-out
    text."""
    intervals: int = 2
    """Intervals between checkpoints to replay, besides the first and the last; -1: all of them."""
    elsewhere: bool = False
    """Compare within the tolerances for another machine, even if versions and processor are the same."""
    replay_minutes: float = 120.0
    """Longest time of one replay."""
    record: bool = True
    """Put the result on the challenge's record; false: show it only, for anybody who has a copy."""

    def __post_init__(self) -> None:
        if self.intervals < -1:
            raise UserError(f"intervals={self.intervals} must be at least 0, or -1 for all")
        if not self.replay_minutes > 0:
            raise UserError(f"replay_minutes={self.replay_minutes} must be above 0")


@dataclass
class BoardConfig:
    """The leaderboard."""

    challenge: str = path_option()
    """Folder of the challenge."""
    output: str = path_option("")
    """HTML file to write; empty: CHALLENGE/board.html."""
    language: str = "ko"
    """Language that the page opens in: ko or en."""

    def __post_init__(self) -> None:
        check_choice("language", self.language, ("ko", "en"))
