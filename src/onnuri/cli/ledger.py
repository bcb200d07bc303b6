"""Check a run against its ledger, sign it, or say what its checkpoints were made of.

onnuri ledger verify run=RUN_DIR
onnuri ledger sign run=RUN_DIR key=PRIVATE_KEY.pem
onnuri ledger verify run=RUN_DIR public_key=PUBLIC_KEY.pem
onnuri ledger sources run=RUN_DIR_OR_CHECKPOINT
"""

import sys
from collections.abc import Callable
from typing import Any

from onnuri.base.errors import nearest
from onnuri.config import help_text, print_any_text, run_cli
from onnuri.ledger.config import SignConfig, SourcesConfig, VerifyConfig


def verify(config: VerifyConfig) -> int:
    """The chain, the metrics, the config, the checkpoints and the shards."""
    from onnuri.ledger.verify import verify

    problems = verify(config)
    print(*problems, sep="\n", end="\n" if problems else "")
    return 1 if problems else 0


def sign(config: SignConfig) -> None:
    """A signature over all of it, if it is what it says."""
    from onnuri.ledger.sign import sign

    sign(config)


def sources(config: SourcesConfig) -> None:
    """Sources, licences and legal bases, exactly."""
    from onnuri.ledger.sources import sources, table

    print(table(sources(config)))


PARTS: dict[str, tuple[type, Callable[[Any], int | None], str]] = {
    "verify": (VerifyConfig, verify, "Check a run directory against its ledger."),
    "sign": (SignConfig, sign, "Sign a run directory or an exported model with a private key."),
    "sources": (SourcesConfig, sources, "Sources, licences and legal bases in a checkpoint."),
}


def main() -> None:
    """The command."""
    print_any_text()
    name = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if name in PARTS:
        schema, run, about = PARTS[name]
        run_cli(schema, run, about, command=f"ledger {name}")
    if name not in ("-h", "--help"):
        allowed = f"allowed: {', '.join(PARTS)}{nearest(name, PARTS)}"
        print(f"error: '{name}' is not known; {allowed}", file=sys.stderr)
        sys.exit(2)
    print(help_text(VerifyConfig, __doc__ or ""))
    print(f"\nsign: {help_text(SignConfig, '').strip()}")
    print(f"\nsources: {help_text(SourcesConfig, '').strip()}")


if __name__ == "__main__":
    main()
