"""Continue a text with an exported model, streaming.

python scripts/generate.py model=MODEL_DIR prompt="대한민국의" temperature=0.7
"""

from onnuri.config import run_door
from onnuri.generate.config import GenerateConfig


def main(config: GenerateConfig) -> int:
    """Generate and print."""
    from onnuri.generate.sample import generate

    return generate(config)


if __name__ == "__main__":
    run_door(GenerateConfig, main, __doc__)
