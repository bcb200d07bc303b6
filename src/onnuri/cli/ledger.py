"""Check a run against its ledger, sign it, or say what its checkpoints were made of.

onnuri ledger verify run=RUN_DIR
onnuri ledger sign run=RUN_DIR key=PRIVATE_KEY.pem
onnuri ledger verify run=RUN_DIR public_key=PUBLIC_KEY.pem
onnuri ledger sources run=RUN_DIR_OR_CHECKPOINT
"""

from onnuri.config import help_text
from onnuri.config.parts import Parts, run_part
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


PARTS: Parts = {
    "verify": (VerifyConfig, verify, "Check a run directory against its ledger."),
    "sign": (SignConfig, sign, "Sign a run directory or an exported model with a private key."),
    "sources": (SourcesConfig, sources, "Sources, licences and legal bases in a checkpoint."),
}


def about() -> str:
    """Help of all parts."""
    others = (
        f"\nsign: {help_text(SignConfig, '').strip()}\n\nsources: {help_text(SourcesConfig, '').strip()}"
    )
    return f"{help_text(VerifyConfig, __doc__ or '')}\n{others}"


def main() -> None:
    """The command."""
    run_part("ledger", PARTS, about)


if __name__ == "__main__":
    main()
