"""Bits per byte of a model by language and source, beside what a compressor reaches."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.texts import Text, data_identity, read_texts, xz_bits_per_byte
from onnuri.evaluate.config import EvaluateConfig
from onnuri.hf.load import check_model_folder, first_token, load_model


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Score the model and write the result as JSON; a result for the same model and text is read again."""
    folder = Path(config.model)
    check_model_folder(folder)
    output = Path(config.output) if config.output else folder / "evaluation.json"
    request = {
        "model": model_identity(folder),
        "data": data_identity(config.data),
        "text_column": config.text_column,
        "max_documents": config.max_documents,
    }
    result = stored_result(output, request)
    if result is not None:
        return result
    if not output.parent.is_dir() or not os.access(output.parent, os.W_OK):
        raise UserError(
            f"output={output}: folder {output.parent} cannot be written to; choose another output"
        )
    result = {"request": request, **score(config)}
    try:
        manifest.write_json(output, result)
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror or error}") from None
    return result


def model_identity(folder: Path) -> str:
    """Hash of a model: its manifest's, or its files' where it was not exported by this project."""
    if (folder / manifest.FILE_NAME).is_file():
        return manifest.read(folder, "model").identity
    names = sorted(p.name for p in folder.iterdir() if p.suffix in (".json", ".safetensors"))
    return manifest.hash_json(
        {name: manifest.hash_file(folder / name) for name in names if name != "evaluation.json"}
    )


def stored_result(path: Path, request: dict[str, Any]) -> dict[str, Any] | None:
    """The result in `path` if it answers `request`. Raises UserError if the file is no result of ours."""
    if not path.exists():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        result = None
    if not isinstance(result, dict) or "request" not in result:
        raise UserError(f"output={path} exists and is no evaluation; choose another output")
    return result if result["request"] == request else None


def score(config: EvaluateConfig) -> dict[str, Any]:
    """Run the model over the documents."""
    texts = read_texts(config.data, config.text_column, config.max_documents)
    from onnuri.evaluate.score import document_nats

    model, tokenizer = load_model(config.model, dtype="float32")
    tokens = [
        tokenizer(text.text, add_special_tokens=False, split_special_tokens=True, verbose=False)[
            "input_ids"
        ]
        for text in texts
    ]
    nats = document_nats(
        model,
        tokens,
        first_token(tokenizer, config.model),
        model.config.max_position_embeddings,
        config.batch_tokens,
    )
    sizes = [len(ids) for ids in tokens]
    return {
        "languages": summary(texts, nats, sizes, [text.lang for text in texts], with_xz=True),
        "sources": summary(texts, nats, sizes, [text.source for text in texts], with_xz=False),
        "total": summary(texts, nats, sizes, ["all"] * len(texts), with_xz=True),
    }


def summary(
    texts: list[Text], nats: list[float], sizes: list[int], labels: list[str], with_xz: bool
) -> dict[str, dict[str, float]]:
    """Documents, bytes, bits per byte and tokens per character of the texts under each label."""
    groups: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    result = {}
    for name, members in sorted(groups.items()):
        size = sum(len(texts[i].text.encode()) for i in members)
        result[name] = {
            "documents": len(members),
            "bytes": size,
            "bits_per_byte": sum(nats[i] for i in members) / math.log(2) / size,
            "tokens_per_character": sum(sizes[i] for i in members)
            / sum(len(texts[i].text) for i in members),
        }
        if with_xz:
            result[name]["xz_bits_per_byte"] = xz_bits_per_byte([texts[i].text for i in members])
    return result


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"{'held-out text':<24}{'documents':>10}{'bytes':>12}{'bits/byte':>11}"
        f"{'xz -9e':>8}{'tokens/char':>13}"
    ]
    for group in ("languages", "sources", "total"):
        for name, row in result[group].items():
            xz = f"{row['xz_bits_per_byte']:.3f}" if "xz_bits_per_byte" in row else ""
            label = f"  {name}" if group == "sources" else name
            lines.append(
                f"{label:<24}{row['documents']:>10,}{row['bytes']:>12,}{row['bits_per_byte']:>11.3f}{xz:>8}"
                f"{row['tokens_per_character']:>13.3f}"
            )
    return "\n".join(lines)
