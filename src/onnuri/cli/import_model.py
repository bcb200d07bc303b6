"""Import an open model, to go on training it.

    onnuri import model=HF_DIR output=DIR

HF_DIR is a Hugging Face folder of the type qwen3 or llama, with weights in safetensors. Code that it may
hold is not run.
"""

from onnuri.config import run_cli
from onnuri.export.config import ImportConfig


def run(config: ImportConfig) -> None:
    """Import the model."""
    from onnuri.export.import_model import import_model

    import_model(config)


def main() -> None:
    """The command."""
    run_cli(ImportConfig, run, __doc__, command="import")


if __name__ == "__main__":
    main()
