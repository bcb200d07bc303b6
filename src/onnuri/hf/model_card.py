"""The model card: what the weights were made of and how, in numbers a reader can check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import yaml

from onnuri.base.manifest import Manifest
from onnuri.model.config import ModelConfig
from onnuri.model.spec import spec_of


def model_card(
    model: ModelConfig, run: dict[str, Any], tokens: Manifest, step: int, tokens_seen: int
) -> str:
    """README.md of an exported model, in Markdown with the metadata block of the Hugging Face hub."""
    config, counts, code = run["config"], tokens.counts, run["code"]
    length = config["data"]["sequence_length"]
    epochs = tokens_seen / max(1, counts["train"]["tokens"])
    trained = replace(model, vocab_size=config["model"]["vocab_size"])
    flops = tokens_seen * trained.flops_per_token(length)
    commit = code["commit"] or "not from a git checkout"
    header = yaml.safe_dump(
        {
            "language": counts["languages"],
            "library_name": "transformers",
            "pipeline_tag": "text-generation",
            "tags": ["onnuri", "pretrained"],
        },
        sort_keys=False,
    )
    rows = [
        f"| {s['name']} | {s['lang']} | {s['license'] or 'not stated'} "
        f"| {s['legal_basis'] or 'not stated'}{' (unverified)' if s['unverified'] else ''} "
        f"| {s['train_documents']:,} | {s['train_tokens']:,} | {s['train_bytes']:,} |"
        for s in counts["sources"]
    ]
    unverified = [s["name"] for s in counts["sources"] if s["unverified"]]
    warning = (
        f"\nLicence and legal basis have **not been verified** for: {', '.join(unverified)}.\n"
        if unverified
        else ""
    )
    return f"""---
{header}---

# A language model trained with Onnuri

A base model: it continues text. It has not been tuned to follow instructions or to refuse anything.

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("PATH_OF_THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("PATH_OF_THIS_FOLDER")
```

## Training

| | |
| --- | --- |
| architecture | {spec_of(model).hf_type(model).model_type}, {model.num_parameters():,} parameters |
| context length | {length} tokens |
| vocabulary | {counts["vocab_size"]:,} tokens, {trained.vocab_size:,} rows in training |
| optimizer steps | {step:,} of {config["train"]["steps"]:,} |
| tokens seen | {tokens_seen:,} ({epochs:.2f} passes over the shards) |
| training compute | {flops:.3e} FLOPs (6 per weight and token, attention not halved for the causal mask) |
| precision | {config["engine"]["precision"]}, fp32 master weights, ZeRO stage {config["engine"]["stage"]} |
| code | onnuri {code["version"]}, commit {commit}{", modified" if code["modified"] else ""} |
| token shards | manifest {run["data"]} |
| tokenizer | sha256 {counts["tokenizer_sha256"]} |

## Data

Every source in the training shards. Held-out documents were never trained on.
{warning}
| source | language | licence | legal basis | documents | tokens | bytes |
| --- | --- | --- | --- | --: | --: | --: |
{chr(10).join(rows)}

## Configuration

```yaml
{yaml.safe_dump(config, sort_keys=False, allow_unicode=True)}```
"""
