"""`onnuri pack kind=tasks`: what `onnuri tasks make` wrote as prompts that a model learns to answer.

A folder of such folders is packed as one, for more of one family than of another.

A task is a document: its prompt as a user's turn and the beginning of the assistant's, then the separator;
nothing of it is trained on. The tasks themselves, with what their checkers need, are in tasks.jsonl, by the
id of the document.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.chat.data.pack import TEMPLATE_SHA256
from onnuri.chat.data.records import refuse_test_split
from onnuri.chat.data.writing import ENOUGH_TO_HOLD_OUT
from onnuri.chat.format import render
from onnuri.chat.programmed.family import Task
from onnuri.chat.programmed.table import FAMILIES
from onnuri.tokens.config import PackConfig
from onnuri.tokens.shards import DOCUMENT, TRAINED, SplitWriter
from onnuri.tokens.vocabulary import Vocabulary, open_vocabulary

log = logging.getLogger(__name__)

TASKS_FILE = "tasks.jsonl"
LICENSE = "Apache-2.0"
AT_ONCE = 4096


def pack_tasks(config: PackConfig) -> Manifest:
    """Write the shards, or do nothing when they answer this request. Returns their manifest.

    Raises UserError for a folder that holds no tasks, and a family that is not known.
    """
    vocabulary = open_vocabulary(config.tokenizer)
    inputs = {"tokenizer": vocabulary.identity}
    folders = _folders(Path(config.input), Path(config.output))
    for name, folder in folders.items():
        made = manifest.read_whole(folder, "tasks")
        if made.settings["kind"] != "tasks":
            raise UserError(
                f"{folder} holds {made.settings['kind']}, not tasks: make it with "
                "onnuri tasks make kind=tasks"
            )
        refuse_test_split(folder)
        inputs[name] = made.identity
    if config.base:
        raise UserError("base= does not go with kind=tasks: what is learnt are rewards alone")
    settings = {
        "kind": config.kind,
        "shard_tokens": config.shard_tokens,
        "heldout_share": config.heldout_share,
        "template_sha256": TEMPLATE_SHA256,
    }
    if found := manifest.up_to_date(config.output, "tokens", settings, inputs):
        log.info("%s is up to date", config.output)
        return found
    with manifest.building(config.output, "tokens") as partial:
        counts = _write(config, folders.values(), vocabulary, partial)
        vocabulary.keep(partial)
        sealed = manifest.seal(partial, "tokens", settings, inputs, counts)
    train, heldout = sealed.counts["train"], sealed.counts["heldout"]
    log.info(
        f"{config.output}: {train['documents']:,} tasks to learn from, {heldout['documents']:,} held out"
    )
    return sealed


def read_tasks(folder: Path) -> dict[str, Task]:
    """The tasks of a folder by id. Raises UserError for a family that this version does not know."""
    found = {}
    with (folder / TASKS_FILE).open(encoding="utf-8") as stream:
        for line in stream:
            task = Task.from_json(json.loads(line))
            if task.family not in FAMILIES:
                raise UserError(
                    f"{folder / TASKS_FILE} has tasks of the family {task.family}, not known here"
                )
            found[task.id] = task
    return found


def _folders(folder: Path, output: Path) -> dict[str, Path]:
    """This folder of tasks, or all in it, by name: one that is not finished is not passed over."""
    if (folder / manifest.FILE_NAME).exists() or not folder.is_dir():
        return {"tasks": folder}
    inside = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    if folder.resolve() == output.resolve().parent:
        raise UserError(f"output={output} lies among the folders of input={folder}; choose another output")
    return {f"tasks/{path.name}": path for path in inside} or {"tasks": folder}


def _write(
    config: PackConfig, folders: Iterable[Path], vocabulary: Vocabulary, folder: Path
) -> dict[str, Any]:
    read = [read_tasks(made) for made in folders]
    tasks = {identity: task for each in read for identity, task in each.items()}
    if twice := sum(count > 1 for count in Counter(chain.from_iterable(read)).values()):
        log.info(f"{twice:,} tasks are in more than one folder, and are kept once")
    families = sorted({task.family for task in tasks.values()})
    threshold = int(config.heldout_share * 2**64)
    if threshold and len(tasks) > ENOUGH_TO_HOLD_OUT:
        threshold = max(threshold, min(int(identity, 16) for identity in tasks) + 1)
    splits: dict[str, list[Task]] = {"train": [], "heldout": []}
    for identity, task in tasks.items():
        splits["heldout" if int(identity, 16) < threshold else "train"].append(task)
    if not splits["train"]:
        raise UserError(f"input={config.input} has no task to learn from")
    writers = {}
    for split, chosen in splits.items():
        writer = writers[split] = SplitWriter(folder, split, vocabulary.dtype, config.shard_tokens)
        for batch in _batches(chosen):
            writer.add(*_encode(batch, vocabulary, families))
        writer.close()
    manifest.write_text(
        folder / TASKS_FILE,
        (json.dumps(task.to_json(), ensure_ascii=False, sort_keys=True) + "\n" for task in tasks.values()),
    )
    facts = {"license": LICENSE, "legal_basis": "open-licence", "unverified": False, "kind": "programmed"}
    return {
        **{split: writer.totals() for split, writer in writers.items()},
        **{f"{split}_shards": writer.num_shards for split, writer in writers.items()},
        **vocabulary.facts(),
        "languages": ["ko"],
        "sources": [
            {
                "name": f"onnuri-tasks/{family}",
                **facts,
                "lang": "ko",
                **{f"train_{unit}": value for unit, value in writers["train"].totals(number).items()},
                "trained_tokens": 0,
            }
            for number, family in enumerate(families)
        ],
        "chat": {"template_sha256": TEMPLATE_SHA256, "kind": "tasks", "conversations": len(tasks)},
        "tokenizer_sha256": vocabulary.sha256,
    }


def _batches(tasks: Iterable[Task]) -> Iterator[list[Task]]:
    remaining = iter(tasks)
    while batch := list(islice(remaining, AT_ONCE)):
        yield batch


def _encode(
    tasks: Sequence[Task], vocabulary: Vocabulary, families: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, DOCUMENT rows and no TRAINED rows."""
    tokenizer, rows = vocabulary.file.tokenizer, np.zeros(len(tasks), dtype=DOCUMENT)
    prompts = [
        [
            *render(tokenizer, [{"role": "user", "content": task.prompt}], add_generation_prompt=True).ids,
            vocabulary.separator,
        ]
        for task in tasks
    ]
    rows["length"] = [len(ids) for ids in prompts]
    rows["offset"] = np.cumsum(rows["length"]) - rows["length"]
    rows["bytes"] = [len(task.prompt.encode()) for task in tasks]
    rows["source"] = [families.index(task.family) for task in tasks]
    rows["id"] = [task.id.encode() for task in tasks]
    return np.concatenate(prompts).astype(vocabulary.dtype), rows, np.zeros(0, dtype=TRAINED)
