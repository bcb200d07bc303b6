"""Which items of the tasks stand in the training text: the search of the corpus stage `decontaminate`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from onnuri.base import manifest
from onnuri.evaluate.items import Item
from onnuri.evaluate.suite import Suite


def find(suites: Sequence[Suite], corpus: str) -> dict[str, set[str]]:
    """Names of the items of each task of which a copy is in the training documents of a corpus folder.

    Raises UserError if the folder is no corpus.
    """
    import pyarrow as pa
    from tqdm import tqdm

    from onnuri.corpus.documents import read_documents
    from onnuri.corpus.stages.decontaminate import benchmark_index, cut

    manifest.read_whole(corpus, "corpus")
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for number, suite in enumerate(suites):
            path = Path(folder) / f"{number}.jsonl"
            lines = (json.dumps({"texts": texts_of(item)}, ensure_ascii=False) for item in suite.items)
            manifest.write_text(path, (f"{line}\n" for line in lines))
            paths.append(str(path))
        index = benchmark_index.build_index(paths)
    found: set[int] = set()
    batches = read_documents(corpus, "train", ["text"])
    for batch in tqdm(batches, "contamination", unit="batch", disable=None, leave=False):
        *_, hits = cut.decontaminate(pa.array(batch["text"], pa.large_string()), index, "drop")
        found.update(number for each in hits.to_pylist() for number in each)
    names = [(suite.name, item.name) for suite in suites for item in suite.items]
    result: dict[str, set[str]] = {suite.name: set() for suite in suites}
    for number in found:
        task, item = names[number]
        result[task].add(item)
    return result


def texts_of(item: Item) -> list[str]:
    """What is looked for: the question and each answer; sentences together, as alone they are short."""
    if item.contrast:
        return [" ".join(item.texts)]
    return list(dict.fromkeys([item.options[0].context, *item.texts]))
