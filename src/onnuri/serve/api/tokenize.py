"""/tokenize and /detokenize, as vLLM has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnuri.serve.api import tools as tools_
from onnuri.serve.api.fields import Check, boolean, check, sequence, text, token_ids
from onnuri.serve.api.messages import messages
from onnuri.serve.errors import invalid
from onnuri.serve.models import ServedModel

Models = Callable[[str], ServedModel]
"""The model of a name; "" is the only one there is."""


def _ids(name: str, value: Any) -> list[int]:
    return token_ids(name, sequence(name, value, 1 << 24))


TOKENIZE: dict[str, Check] = {
    "model": text,
    "prompt": text,
    "messages": messages,
    "tools": tools_.tools,
    "add_special_tokens": boolean,
    "return_token_strs": boolean,
}
DETOKENIZE: dict[str, Check] = {"model": text, "tokens": _ids}


def tokenize(body: dict[str, Any], model_of: Models) -> dict[str, Any]:
    """The ids of a text or a conversation. Raises ApiError."""
    found = check(body, TOKENIZE, {"add_generation_prompt": ((True,), "the answer's turn always begins")})
    model = model_of(found.get("model", ""))
    if ("prompt" in found) == ("messages" in found):
        raise invalid("prompt", "needed: prompt or messages")
    if "messages" in found:
        ids = model.conversation(found["messages"], [tool.shown for tool in found.get("tools", [])])
    else:
        ids = model.encode(found["prompt"], "prompt")
        ids = [model.first, *ids] if found.get("add_special_tokens", True) else ids
    answer: dict[str, Any] = {"count": len(ids), "max_model_len": model.context, "tokens": ids}
    if found.get("return_token_strs"):
        answer["token_strs"] = [*map(model.token_text, ids)]
    return answer


def detokenize(body: dict[str, Any], model_of: Models) -> dict[str, Any]:
    """The text of ids. Raises ApiError."""
    found = check(body, DETOKENIZE, {})
    model = model_of(found.get("model", ""))
    if "tokens" not in found:
        raise invalid("tokens", "missing")
    if any(token >= model.vocab_size for token in found["tokens"]):
        raise invalid("tokens", f"the model has {model.vocab_size:,} tokens")
    return {"prompt": model.decode(found["tokens"])}
