"""Random JSON schemas with Korean keys and values: what a random model writes is valid, or cut off."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest

pytest.importorskip("llguidance")
from tests.serve.serving import Client, conversation, validate

pytestmark = pytest.mark.extra("serve")
CHAT = "/v1/chat/completions"
COUNT = 500 if os.environ.get("ONNURI_SOAK") else 20
WORDS = ["서울", "뷁쒧", "나이", "주소", "값", "가나다라", "name", '예 "아니요"', "🌿", "한\n줄"]


def schema(draw: random.Random, depth: int = 0) -> dict[str, Any]:
    """Bounded, so that 700 tokens always hold a value of it."""
    kinds = ["string", "enum", "integer", "boolean", "null"] + (["object", "array"] if depth < 2 else [])
    kind = "object" if depth == 0 else draw.choice(kinds)
    if kind == "string":
        return {"type": "string", "maxLength": draw.randrange(1, 8)}
    if kind == "enum":
        return {"enum": draw.sample(WORDS, 3)}
    if kind == "integer":
        return {"type": "integer", "minimum": -draw.randrange(100), "maximum": draw.randrange(1000)}
    if kind == "array":
        return {
            "type": "array",
            "items": schema(draw, depth + 1),
            "maxItems": 2,
            "minItems": draw.randrange(2),
        }
    if kind == "object":
        names = draw.sample(WORDS, draw.randrange(1, 4))
        return {
            "type": "object",
            "properties": {name: schema(draw, depth + 1) for name in names},
            "required": names[: draw.randrange(len(names) + 1)],
            "additionalProperties": False,
        }
    return {"type": kind}


def test_random_schemas(client: Client) -> None:
    draw = random.Random(11)
    for number in range(COUNT):
        found = schema(draw)
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": found}}
        options = conversation(response_format=form, temperature=1, seed=number, max_tokens=700)
        (choice,) = client.ask(CHAT, **options)["choices"]
        assert choice["finish_reason"] == "stop", found
        text = choice["message"]["content"]
        validate(json.loads(text), found)
        (cut,) = client.ask(CHAT, **{**options, "max_tokens": 4})["choices"]
        shown = cut["message"]["content"]
        assert text.startswith(shown), "the same text, cut off"
        assert shown == text or cut["finish_reason"] == "length"
