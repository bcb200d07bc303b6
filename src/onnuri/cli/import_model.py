"""Import an open model, to go on training it.

    onnuri import model=HF_DIR output=DIR
    onnuri import model=ORG/NAME hub=URL output=DIR      # from a hub: docs/hub.md

HF_DIR is a Hugging Face folder of the type qwen3 or llama, with weights in safetensors. Code that it may
hold is not run.
"""

from dataclasses import replace

from onnuri.config import run_cli
from onnuri.export.config import ImportConfig


def run(config: ImportConfig) -> None:
    """Import the model."""
    from onnuri.export.import_model import import_model
    from onnuri.hf.fetch import model_folder

    import_model(replace(config, model=model_folder(config.model, config.hub)))


def main() -> None:
    """The command."""
    run_cli(ImportConfig, run, __doc__, command="import")


if __name__ == "__main__":
    main()
