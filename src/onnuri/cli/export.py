"""Write the newest checkpoint of a run as a Hugging Face folder; its model card; that folder as GGUF.

onnuri export checkpoint=RUN_DIR output=DIR
onnuri export checkpoint=RUN_DIR output=DIR push=ORG/NAME hub=URL      # and to a hub: docs/hub.md
onnuri export card model=DIR
onnuri export gguf model=DIR output=FILE.gguf
"""

import sys
from typing import Any

from onnuri.config import run_cli
from onnuri.export.config import ExportConfig


def run(config: ExportConfig) -> None:
    """Export the run."""
    from onnuri.export.huggingface import export
    from onnuri.hf.push import prepare, push_folder

    name = prepare(config.push, config.hub, "model")
    made = export(config)
    if name:
        push_folder(config.output, name, made.kind)


def run_card(config: Any) -> None:
    """Write the card."""
    from onnuri.export.card.write import card

    card(config)


def run_gguf(config: Any) -> None:
    """Convert the folder."""
    from onnuri.export.gguf.write import write_gguf

    write_gguf(config)


def main() -> None:
    """The command."""
    if sys.argv[1:2] == ["card"]:
        from onnuri.export.card.config import CardConfig

        del sys.argv[1]
        about = "Model card, SBOMs and EU summary of an exported model, with its evaluation."
        run_cli(CardConfig, run_card, about, command="export card")
    if sys.argv[1:2] == ["gguf"]:
        from onnuri.export.gguf.config import GgufConfig

        del sys.argv[1]
        about = "An exported model as one GGUF file, for llama.cpp."
        run_cli(GgufConfig, run_gguf, about, command="export gguf")
    run_cli(ExportConfig, run, __doc__, command="export")


if __name__ == "__main__":
    main()
