"""Train a quality model that tells good texts from what came off the web.

onnuri quality good=PATH_OR_GLOB random=PATH_OR_GLOB output=DIR
"""

from onnuri.config import run_cli
from onnuri.corpus.config import QualityConfig


def run(config: QualityConfig) -> None:
    """Train and write."""
    from onnuri.corpus.stages.quality.build import build

    build(config)


def main() -> None:
    """The command."""
    run_cli(QualityConfig, run, __doc__, command="quality")


if __name__ == "__main__":
    main()
