"""Write the newest checkpoint of a run as a Hugging Face folder, or its model card with the evaluation.

onnuri export checkpoint=RUN_DIR output=DIR
onnuri export card model=DIR
"""

import sys
from typing import Any

from onnuri.config import run_cli
from onnuri.export.config import ExportConfig


def run(config: ExportConfig) -> None:
    """Export the run."""
    from onnuri.export.huggingface import export

    export(config)


def run_card(config: Any) -> None:
    """Write the card."""
    from onnuri.export.card.write import card

    card(config)


def main() -> None:
    """The command."""
    if sys.argv[1:2] == ["card"]:
        from onnuri.export.card.config import CardConfig

        del sys.argv[1]
        about = "Model card, SBOMs and EU summary of an exported model, with its evaluation."
        run_cli(CardConfig, run_card, about, command="export card")
    run_cli(ExportConfig, run, __doc__, command="export")


if __name__ == "__main__":
    main()
