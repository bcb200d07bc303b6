"""Raw text to documents worth training on: read, cleaned, masked, deduplicated, with an account of each.

onnuri corpus recipe=sample output=DIR
onnuri corpus recipe=local input='texts/**/*.jsonl.gz' output=DIR
onnuri corpus recipe=hf dataset=NAME_OR_FOLDER output=DIR
onnuri corpus recipe=my_recipe.yaml output=DIR engine=ray engine.address=auto
onnuri corpus explain id=ID input=DIR      # what happened to one document, stage by stage
"""

import sys

from onnuri.config import run_cli
from onnuri.corpus.config import CorpusConfig, ExplainConfig


def run(config: CorpusConfig) -> int:
    """Build the corpus folder."""
    from onnuri.corpus.execution.build import build
    from onnuri.hf.push import prepare, push_folder

    name = prepare(config.push, config.hub, "dataset")
    if not build(config).counts["kept"]:
        return 1
    if name:
        push_folder(config.output, name, "corpus")
    return 0


def run_explain(config: ExplainConfig) -> None:
    """Print the way of one document."""
    from onnuri.corpus.report.explain import explain

    print(explain(config))


def main() -> None:
    """The command."""
    if sys.argv[1:2] == ["explain"]:
        del sys.argv[1]
        run_cli(
            ExplainConfig,
            run_explain,
            "What happened to one document, stage by stage.",
            command="corpus explain",
        )
    run_cli(CorpusConfig, run, __doc__, command="corpus")


if __name__ == "__main__":
    main()
