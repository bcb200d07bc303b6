"""Export a trained model as a Hugging Face folder that needs no custom code.

python scripts/export.py checkpoint=RUN_DIR output=DIR
"""

from onnuri.config import run_door
from onnuri.export.config import ExportConfig


def main(config: ExportConfig) -> int:
    """Export the newest whole checkpoint of the run."""
    from onnuri.export.huggingface import export

    return export(config)


if __name__ == "__main__":
    run_door(ExportConfig, main, __doc__)
