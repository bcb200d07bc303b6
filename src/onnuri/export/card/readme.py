"""README.md: the model card, in Markdown with the metadata block of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from onnuri.export.card import wording
from onnuri.export.card.facts import Facts, Source
from onnuri.export.card.model_index import model_index
from onnuri.export.card.wording import NOT_STATED, stated

HUB_LICENCES = (
    *(
        "afl-3.0",
        "apache-2.0",
        "artistic-2.0",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "bsl-1.0",
        "isc",
        "mit",
    ),
    *("cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
    *("cc-by-nc-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0"),
    *("gpl-2.0", "gpl-3.0", "agpl-3.0", "lgpl-2.1", "lgpl-3.0", "mpl-2.0", "unlicense"),
)
"""Licences that the hub lists by name, in its spelling; another is `other` with a name."""
LIMITS = (
    "A base model: it continues text. It has not been tuned to follow instructions or to refuse anything. "
    "It can write text that is false, offensive or personal, and its knowledge ends with its data."
)

SOURCE_COLUMNS = (
    *("source", "language", "licence", "legal basis", "kind", "collected"),
    *("documents", "bytes", "unique tokens", "tokens seen", "epochs"),
)
NOT_ASSESSED = (
    "not assessed for medicine, hiring, credit, education, justice or other fields of high impact on people"
)


def readme(facts: Facts) -> str:
    """The card."""
    title = facts.stated.name or "A language model trained with Onnuri"
    return f"""---
{yaml.safe_dump(metadata(facts), sort_keys=False, allow_unicode=True)}---

# {title}

{LIMITS}

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("PATH_OF_THIS_FOLDER")
tokenizer = AutoTokenizer.from_pretrained("PATH_OF_THIS_FOLDER")
```

## Provider and use

| | |
| --- | --- |
{_rows(_provider(facts))}

## Training

| | |
| --- | --- |
{_rows(_training(facts))}

## Data

Every source in the training shards. Held-out documents are not trained on. Tokens seen are those that the
steps of training predict, repeats included, as the ledger has them; an epoch is every unique token once.
{_unverified(facts)}
{_row(SOURCE_COLUMNS)}
{_row(["---"] * 6 + ["--:"] * 5)}
{chr(10).join(_source_rows(facts))}

- {wording.personal_data(facts)}
- {wording.opt_outs(facts)}
- {wording.decontamination(facts)}

## Evaluation

{_evaluation(facts)}

## Configuration

```yaml
{yaml.safe_dump(facts.config, sort_keys=False, allow_unicode=True)}```
"""


def metadata(facts: Facts) -> dict[str, Any]:
    """The YAML block. `model-index` is in it only where there are results."""
    licence = facts.stated.licence
    found: dict[str, Any] = {"language": facts.languages}
    if licence.lower() in HUB_LICENCES:
        found["license"] = licence.lower()
    elif licence:
        found |= {"license": "other", "license_name": licence}
    found |= {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["onnuri", "pretrained"],
    }
    if datasets := list(dict.fromkeys(source.dataset for source in facts.sources if source.dataset)):
        found["datasets"] = datasets
    return found | ({"model-index": model_index(facts)} if facts.results else {})


def _provider(facts: Facts) -> dict[str, str]:
    statements = facts.stated
    return {
        "provider": stated(statements.provider, "name"),
        "contact": stated(statements.contact, "e-mail or URL"),
        "licence of the weights": stated(statements.licence, "SPDX expression"),
        "intended use": stated(statements.intended_use, "what the model is meant for"),
        "not intended": stated(statements.out_of_scope, "what it is not meant for"),
        "further limits": stated(statements.limits, "limits and risks that were found"),
        "high-impact use": statements.high_impact or NOT_ASSESSED,
    }


def _training(facts: Facts) -> dict[str, str]:
    config, code = facts.config, facts.code
    commit = code["commit"] or "not from a git checkout"
    return {
        "architecture": f"{facts.architecture}, {facts.parameters:,} parameters",
        "context length": f"{facts.context} tokens",
        "vocabulary": f"{facts.vocab_size:,} tokens, {facts.rows_trained:,} rows in training",
        "optimizer steps": f"{facts.step:,} of {config['train']['steps']:,}",
        **({"weights": facts.averaged} if facts.averaged else {}),
        **({"chat template": f"sha256 {facts.chat_template}"} if facts.chat_template else {}),
        **_start(facts),
        "tokens seen": f"{facts.tokens_seen:,} ({facts.epochs:.2f} passes over the shards)",
        "training compute": f"{wording.compute(facts)} (6 per weight and token, attention not halved for "
        "the causal mask)",
        "hardware and time": wording.hardware(facts),
        "energy": wording.energy(facts),
        "precision": f"{config['engine']['precision']}, fp32 master weights, ZeRO stage "
        f"{config['engine']['stage']}; these weights are {facts.dtype}",
        "code": f"onnuri {code['version']}, commit {commit}{', modified' if code['modified'] else ''}",
        "token shards": f"manifest {facts.shards}",
        "tokenizer": f"sha256 {facts.tokenizer_sha256}",
    }


def _start(facts: Facts) -> dict[str, str]:
    if not facts.started_from:
        return {}
    note = "the data, licences and compute behind them are in its own card, not in this one"
    return {"started from the weights of": f"{facts.started_from}; {note}"}


def _unverified(facts: Facts) -> str:
    names = [source.name for source in facts.sources if source.unverified]
    if not names:
        return ""
    return f"\nLicence and legal basis have **not been verified** for: {', '.join(names)}.\n"


def _source_rows(facts: Facts) -> list[str]:
    return [
        f"| {cell(source.name)} | {source.languages} | {cell(source.licence or NOT_STATED)} "
        f"| {source.legal_basis or NOT_STATED}{' (unverified)' if source.unverified else ''} "
        f"| {source.kind or NOT_STATED} | {cell(source.period or NOT_STATED)} "
        f"| {source.documents:,} | {source.bytes:,} | {source.tokens:,} | {_seen(source)} |"
        for source in facts.sources
    ]


def _seen(source: Source) -> str:
    if source.epochs is None:
        return f"{NOT_STATED} | {NOT_STATED}"
    return f"{source.tokens_seen:,} | {source.epochs:.2f}"


def _evaluation(facts: Facts) -> str:
    if not facts.results:
        return "Not evaluated yet: this folder has no `evaluation.json`."
    lines = [
        "From `evaluation.json`. Intervals cover 95 %. Compare results of the same protocol only.",
        "",
        "| task | metric | value | interval | chance | items | contamination | form | protocol |",
        "| --- | --- | --: | --- | --: | --: | --- | --- | --- |",
    ]
    lines += [
        f"| {cell(row.title)} | {row.metric} | {wording.figure(row.value)} "
        f"| {wording.interval(row.low, row.high) or 'none'} "
        f"| {'' if row.chance is None else wording.figure(row.chance)} "
        f"| {'' if row.items is None else f'{row.items:,}'} "
        f"| {row.contamination} | {cell(row.formulation)} | `{row.protocol[:12]}` |"
        for row in facts.results
    ]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _rows(table: dict[str, str]) -> str:
    return "\n".join(f"| {name} | {cell(text)} |" for name, text in table.items())


def cell(text: str) -> str:
    """Text that stays within its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
