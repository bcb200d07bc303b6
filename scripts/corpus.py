"""Collect raw text into a corpus: normalised, without exact duplicates, with a held-out part.

python scripts/corpus.py recipe=sample output=DIR
python scripts/corpus.py recipe=local input='texts/**/*.jsonl.gz' output=DIR
python scripts/corpus.py recipe=hf dataset=NAME_OR_FOLDER output=DIR
python scripts/corpus.py recipe=my_recipe.yaml output=DIR
"""

from onnuri.config import run_door
from onnuri.corpus.config import CorpusConfig


def main(config: CorpusConfig) -> int:
    """Build the corpus folder."""
    from onnuri.corpus.build import build

    return build(config)


if __name__ == "__main__":
    run_door(CorpusConfig, main, __doc__)
