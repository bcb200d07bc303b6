"""An open contest on fixed text: the organiser seals a held-out text, entrants commit hashes, runs replay.

The organiser:

    onnuri challenge init output=DIR tokens=TOKENS_DIR corpus=CORPUS_DIR heldout=TEXT secret=DIR
    onnuri challenge receive challenge=DIR entry=NAME.entry.json
    onnuri challenge reveal challenge=DIR secret=DIR
    onnuri challenge verify challenge=DIR name=NAME run_dir=RUN_DIR
    onnuri challenge board challenge=DIR

An entrant trains on DIR/tokens, then:

    onnuri challenge practice challenge=DIR run_dir=RUN_DIR
    onnuri challenge commit challenge=DIR run_dir=RUN_DIR name=NAME

onnuri challenge init --help, and so on, lists the options of each. Rules: docs/challenge.md
"""

import inspect

from onnuri.challenge.config import (
    BoardConfig,
    CommitConfig,
    InitConfig,
    PracticeConfig,
    ReceiveConfig,
    RevealConfig,
    VerifyConfig,
)
from onnuri.config.parts import Parts, run_part


def init(config: InitConfig) -> None:
    """Pin and seal."""
    from onnuri.challenge.create import create

    create(config)


def practice(config: PracticeConfig) -> None:
    """Score and print."""
    from onnuri.challenge.enter import practise
    from onnuri.challenge.score import table

    print(table(practise(config)))


def commit(config: CommitConfig) -> int:
    """Check and write."""
    from onnuri.challenge.enter import commit

    _, faults = commit(config)
    for fault in faults:
        print(f"not committed: {fault}")
    return 1 if faults else 0


def receive(config: ReceiveConfig) -> None:
    """Put on record."""
    from onnuri.challenge.organise import receive

    receive(config)


def reveal(config: RevealConfig) -> None:
    """Publish."""
    from onnuri.challenge.organise import reveal

    reveal(config)


def verify(config: VerifyConfig) -> int:
    """Check, replay, score."""
    from onnuri.challenge.score import table
    from onnuri.challenge.verify import summary, verify

    result = verify(config)
    print(summary(result))
    if "score" in result:
        print(table(result["score"]))
    return 1 if result["faults"] else 0


def board(config: BoardConfig) -> None:
    """Write and print."""
    from onnuri.challenge.board import table, write_board

    print(table(write_board(config)[1]))


PARTS: Parts = {
    "init": (InitConfig, init, "Open a challenge: pin text and budget, seal the held-out text."),
    "practice": (PracticeConfig, practice, "Score a run on the public practice text."),
    "commit": (CommitConfig, commit, "Check a finished run and write its hashes as an entry."),
    "receive": (ReceiveConfig, receive, "Put an entry on the challenge's record."),
    "reveal": (RevealConfig, reveal, "Publish the held-out text; no entry is received after it."),
    "verify": (
        VerifyConfig,
        verify,
        "Check an entry: hashes, budget, data, replayed steps; and score it.",
    ),
    "board": (BoardConfig, board, "Write the leaderboard."),
}


def main() -> None:
    """The command."""
    run_part("challenge", PARTS, lambda: inspect.cleandoc(__doc__ or ""))


if __name__ == "__main__":
    main()
