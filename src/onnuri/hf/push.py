"""A finished folder to a repository of a hub, in one commit.

    name = prepare(push, hub, "model"); ...; push_folder(folder, name, "model")

What does not go: rejected documents of a corpus, whose personal data may not be masked yet, and texts of
benchmarks in an evaluation, which have licences of their own. The manifest that goes up lists what goes up;
where that is less, it names the whole folder's manifest as its input.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.hf.hub import HubName, connected, has_token, hub_name
from onnuri.run.run_file import SIGNATURE_FILE

log = logging.getLogger(__name__)

README, ATTRIBUTES = "README.md", ".gitattributes"
STAYS_FOLDERS = ("rejected/",)
STAYS_FILES = ("evaluation.samples.jsonl", "evaluation.answers.jsonl")


def prepare(push: str, hub: str, kind: str) -> HubName | None:
    """Where `push=` leads; "": nowhere. Makes the repository, private, where it is missing, so that a wrong
    name, token or right ends a command before its work and not after it.

    Args:
        kind: model or dataset.
    """
    if not push:
        return None
    name = hub_name("push", push, hub, kind)
    if not has_token():
        raise UserError(f"push={push} needs a token: set HF_TOKEN, or run hf auth login --token TOKEN")
    with connected(name) as api:
        api.create_repo(name.repository, repo_type=kind, private=True, exist_ok=True)
        if name.revision != "main":
            api.create_branch(name.repository, branch=name.revision, repo_type=kind, exist_ok=True)
    return name


def push_folder(folder: str | Path, name: HubName, kind: str) -> str:
    """Upload a finished folder; files that the repository has besides go. Returns the commit.

    Args:
        kind: of the manifest: model, corpus or tokens; adapter too.

    Raises UserError for a folder that is not finished, and for a signature that the copy would not match.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    folder = Path(folder)
    made = manifest.read_whole(folder, kind)
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    going = {each: path for each, path in names.items() if _goes(each)}
    if SIGNATURE_FILE in names and (stays := sorted(names.keys() - going.keys())):
        raise UserError(
            f"{folder / SIGNATURE_FILE} covers {stays[0]}, which does not go to a hub: move it away, and "
            "sign again with onnuri ledger sign"
        )
    contents: dict[str, Path | bytes] = dict(going)
    if (goes := _of_what_goes(made)) != made:
        contents[manifest.FILE_NAME] = _bytes(goes)
    if README not in going and name.kind == "dataset":
        contents[README] = dataset_card(name.repository.partition("/")[2], made).encode()
    with connected(name) as api:
        there = api.list_repo_files(name.repository, revision=name.revision, repo_type=name.kind)
        operations: list[Any] = [
            CommitOperationDelete(each) for each in there if each not in contents and each != ATTRIBUTES
        ]
        operations += [
            CommitOperationAdd(each, io.BytesIO(found) if isinstance(found, bytes) else str(found))
            for each, found in contents.items()
        ]
        done = api.create_commit(
            name.repository,
            operations,
            commit_message=f"{made.kind} {made.identity[:12]} of {made.producer}",
            revision=name.revision,
            repo_type=name.kind,
        )
    commit = str(done.oid)
    log.info("pushed %s to %s at %s", folder, name.page, commit[:12])
    return commit


def _goes(path: str) -> bool:
    return not path.startswith(STAYS_FOLDERS) and path not in STAYS_FILES


def _of_what_goes(made: Manifest) -> Manifest:
    files = {path: facts for path, facts in made.files.items() if _goes(path)}
    if len(files) == len(made.files):
        return made
    return replace(made, files=files, inputs={**made.inputs, f"whole {made.kind}": made.identity})


def _bytes(made: Manifest) -> bytes:
    return (json.dumps(asdict(made), ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()


def dataset_card(title: str, made: Manifest) -> str:
    """README.md of a corpus or of token shards: splits, languages, and each source with its licence and
    legal basis, as the manifest has them."""
    import yaml

    counts = made.counts.get("sources", {})
    rows = (
        [{"name": name, **facts} for name, facts in counts.items()] if isinstance(counts, dict) else counts
    )
    licences = sorted({str(row.get("license") or "unknown") for row in rows})
    front: dict[str, Any] = {
        "license": licences[0].lower() if len(licences) == 1 else "other",
        "language": sorted({str(row["lang"]) for row in rows if row.get("lang")}),
        "tags": ["onnuri", f"onnuri-{made.kind}"],
    }
    if made.kind == "corpus":
        splits = {"train": "documents/train-*.parquet", "heldout": "documents/heldout-*.parquet"}
        used = [
            {"split": split, "path": pattern}
            for split, pattern in splits.items()
            if any(path.startswith(pattern.partition("*")[0]) for path in made.files)
        ]
        front["configs"] = [{"config_name": "default", "data_files": used}]
    lines = [
        "---",
        yaml.safe_dump(front, allow_unicode=True, sort_keys=False).strip(),
        "---",
        f"# {title}",
        "",
    ]
    lines += [f"A {made.kind} folder of Onnuri; `manifest.json` has its files, options and inputs.", ""]
    lines += [
        "| source | licence | legal basis | verified | documents |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [_row(row) for row in rows]
    return "\n".join(lines) + "\n"


def _row(row: Mapping[str, Any]) -> str:
    verified = "no" if row.get("unverified") else "yes"
    documents = row.get("documents", row.get("train_documents", ""))
    cells = [row.get("name", ""), row.get("license", ""), row.get("legal_basis", ""), verified, documents]
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
