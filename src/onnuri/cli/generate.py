"""Continue a text with an exported model, streaming.

onnuri generate model=MODEL_DIR prompt="대한민국의" temperature=0.7
"""

from onnuri.config import run_cli
from onnuri.generate.config import GenerateConfig


def run(config: GenerateConfig) -> int:
    """Generate and print."""
    from onnuri.generate.sample import generate

    return generate(config)


def main() -> None:
    """The command."""
    run_cli(GenerateConfig, run, __doc__, command="generate")


if __name__ == "__main__":
    main()
