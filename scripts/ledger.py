"""Check a run against its ledger, or say what its checkpoints were made of.

python scripts/ledger.py verify run=RUN_DIR
python scripts/ledger.py sources run=RUN_DIR_OR_CHECKPOINT
"""

import sys

from onnuri.config import help_text, run_door
from onnuri.errors import nearest
from onnuri.ledger.config import SourcesConfig, VerifyConfig


def check(config: VerifyConfig) -> int:
    """The chain, the metrics, the config, the checkpoints and the shards."""
    from onnuri.ledger.verify import verify

    return verify(config)


def count(config: SourcesConfig) -> int:
    """Sources, licences and legal bases, exactly."""
    from onnuri.ledger.sources import sources

    return sources(config)


if __name__ == "__main__":
    command = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if command == "verify":
        run_door(VerifyConfig, check, "Check a run directory against its ledger.")
    if command == "sources":
        run_door(SourcesConfig, count, "Sources, licences and legal bases in a checkpoint.")
    if command not in ("-h", "--help"):
        hint = nearest(command, ("verify", "sources"))
        print(f"error: '{command}' is not known; allowed: verify, sources{hint}", file=sys.stderr)
        sys.exit(2)
    print(help_text(VerifyConfig, __doc__))
    print(f"\nsources: {help_text(SourcesConfig, '').strip()}")
