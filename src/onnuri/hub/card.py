"""The card of a repository: the front matter of its README.md, and facts read from other files."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import yaml

from onnuri.hub.consent.basis import read_sources

FRONT = re.compile(r"\A﻿?---[ \t]*\r?\n(.*?)(?:\r?\n)?---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
LONGEST_CARD, MOST_ALIASES = 1 << 18, 0
LIBRARIES = {
    "config.json": "transformers",
    "adapter_config.json": "peft",
    "model_index.json": "diffusers",
    "modules.json": "sentence-transformers",
}


def front_matter(text: str) -> dict[str, Any]:
    """The card's fields. Raises ValueError, with a text for its writer, if it is no YAML."""
    found = FRONT.match(text)
    if not found:
        return {}
    source = found.group(1)
    if len(source) > LONGEST_CARD:
        raise ValueError(f"the front matter has more than {LONGEST_CARD:,} characters")
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(source, Loader=yaml.SafeLoader)):
            raise ValueError("the front matter has YAML aliases, which are not followed here")
        value = yaml.safe_load(source)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 2}" if mark else ""
        raise ValueError(f"the front matter is no YAML{where}: {getattr(error, 'problem', '')}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError("the front matter must be a list of NAME: VALUE")
    plain: dict[str, Any] = json.loads(json.dumps(value, default=_plain))
    return plain


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime.date) else str(value)


def check_card(text: str, kind: str) -> tuple[list[str], list[str]]:
    """Errors, which refuse a commit, and warnings."""
    try:
        card = front_matter(text)
    except (ValueError, TypeError) as error:
        return [str(error)], []
    errors, warnings = [], []
    for name in ("license", "pipeline_tag", "library_name"):
        value = card.get(name)
        if value is not None and not isinstance(value, str | list):
            errors.append(f"{name} must be a text")
    if not card:
        warnings.append("no metadata: a front matter with license and language lets others find it")
    elif not card.get("license"):
        warnings.append("no license is given")
    return errors, warnings


def read_facts(
    kind: str, paths: Sequence[str], content: Callable[..., bytes | None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The card, and what the files of main say.

    Args:
        content: reads a file, small unless the size is given; None if it is not there or too large.
    """
    readme = content("README.md")
    try:
        card = front_matter(readme.decode(errors="replace")) if readme else {}
    except (ValueError, TypeError):
        card = {}
    tags: list[str] = []
    facts: dict[str, Any] = {}
    present = set(paths)
    if kind == "model":
        if not card.get("library_name"):
            tags += [library for name, library in LIBRARIES.items() if name in present][:1]
        for suffix, tag in ((".safetensors", "safetensors"), (".gguf", "gguf")):
            if any(path.endswith(suffix) for path in paths):
                tags.append(tag)
        config = _json(content("config.json")) if "config.json" in present else {}
        kept = ("architectures", "model_type", "quantization_config", "auto_map")
        facts["config"] = {name: config[name] for name in kept if name in config}
        if isinstance(config.get("model_type"), str):
            tags.append(config["model_type"])
        if config.get("auto_map"):
            tags.append("custom_code")
    elif any(path.endswith(".parquet") for path in paths):
        tags.append("format:parquet")
    facts["tags"] = tags
    facts["sources"] = read_sources(content, present)
    return card, facts


def _json(content: bytes | None) -> dict[str, Any]:
    try:
        found = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
