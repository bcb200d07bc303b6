"""Train a quality model that tells good texts from what came off the web.

python scripts/quality.py good=PATH_OR_GLOB random=PATH_OR_GLOB output=DIR
"""

from onnuri.config import run_door
from onnuri.corpus.quality.config import QualityConfig


def main(config: QualityConfig) -> int:
    """Train and write."""
    from onnuri.corpus.quality.build import build

    return build(config)


if __name__ == "__main__":
    run_door(QualityConfig, main, __doc__)
