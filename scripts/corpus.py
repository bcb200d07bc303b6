"""Raw text to documents worth training on: read, cleaned, masked, deduplicated, with an account of each.

python scripts/corpus.py recipe=sample output=DIR
python scripts/corpus.py recipe=local input='texts/**/*.jsonl.gz' output=DIR
python scripts/corpus.py recipe=hf dataset=NAME_OR_FOLDER output=DIR
python scripts/corpus.py recipe=my_recipe.yaml output=DIR engine=ray engine.address=auto
python scripts/corpus.py explain id=ID input=DIR      # what happened to one document, stage by stage
"""

import sys

from onnuri.config import run_door
from onnuri.corpus.config import CorpusConfig


def main(config: CorpusConfig) -> int:
    """Build the corpus folder."""
    from onnuri.corpus.build import build

    return build(config)


if __name__ == "__main__":
    if sys.argv[1:2] == ["explain"]:
        from onnuri.corpus.explain import ExplainConfig, explain

        del sys.argv[1]
        run_door(ExplainConfig, explain, "What happened to one document, stage by stage.")
    run_door(CorpusConfig, main, __doc__)
