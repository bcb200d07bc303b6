"""Check a run against its ledger, sign it, or say what its checkpoints were made of.

onnuri ledger verify run=RUN_DIR
onnuri ledger sign run=RUN_DIR key=PRIVATE_KEY.pem
onnuri ledger verify run=RUN_DIR public_key=PUBLIC_KEY.pem
onnuri ledger sources run=RUN_DIR_OR_CHECKPOINT
"""

import sys

from onnuri.config import help_text, run_cli
from onnuri.errors import nearest
from onnuri.ledger.config import SignConfig, SourcesConfig, VerifyConfig


def check(config: VerifyConfig) -> int:
    """The chain, the metrics, the config, the checkpoints and the shards."""
    from onnuri.ledger.verify import verify

    return verify(config)


def vouch(config: SignConfig) -> int:
    """A signature over all of it, if it is what it says."""
    from onnuri.ledger.sign import sign

    return sign(config)


def count(config: SourcesConfig) -> int:
    """Sources, licences and legal bases, exactly."""
    from onnuri.ledger.sources import sources

    return sources(config)


def main() -> None:
    """The command."""
    command = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if command == "verify":
        run_cli(VerifyConfig, check, "Check a run directory against its ledger.")
    if command == "sign":
        run_cli(SignConfig, vouch, "Sign a run directory or an exported model with a private key.")
    if command == "sources":
        run_cli(SourcesConfig, count, "Sources, licences and legal bases in a checkpoint.")
    if command not in ("-h", "--help"):
        hint = nearest(command, ("verify", "sign", "sources"))
        print(f"error: '{command}' is not known; allowed: verify, sign, sources{hint}", file=sys.stderr)
        sys.exit(2)
    print(help_text(VerifyConfig, __doc__))
    print(f"\nsign: {help_text(SignConfig, '').strip()}")
    print(f"\nsources: {help_text(SourcesConfig, '').strip()}")


if __name__ == "__main__":
    main()
