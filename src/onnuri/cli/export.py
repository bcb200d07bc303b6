"""Export a trained model as a Hugging Face folder that needs no custom code.

onnuri export checkpoint=RUN_DIR output=DIR
"""

from onnuri.config import run_cli
from onnuri.export.config import ExportConfig


def run(config: ExportConfig) -> None:
    """Export the newest complete checkpoint of the run."""
    from onnuri.export.huggingface import export

    export(config)


def main() -> None:
    """The command."""
    run_cli(ExportConfig, run, __doc__, command="export")


if __name__ == "__main__":
    main()
