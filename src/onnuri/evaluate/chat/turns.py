"""Answers as an assistant's turns: the requests of a task with `chat: true` in tokens.

Question and answer are rendered to ids (`onnuri.chat.format`), so that no text becomes a control token. An
answer counts with the <|im_end|> after it, as in training; a letter counts alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onnuri.chat.format import render
from onnuri.evaluate.requests import Plan, rows_of
from onnuri.tokenizer.special import TURN_END

if TYPE_CHECKING:
    from onnuri.evaluate.suite import Suite


def plan_turns(suite: Suite, tokenizer: Any, context: int) -> Plan:
    """Rows to run. Raises UserError for a tokenizer without turns, and answers that are too long.

    Args:
        tokenizer: of Hugging Face, a fast one.
        context: tokens that the model reads; longer questions lose their beginning.
    """
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True  # marks of special tokens in a text are text
    end = [] if suite.formulation == "letter" else [backend.token_to_id(TURN_END)]
    prompts: dict[str, list[int]] = {}
    streams, names = [], []
    for item in suite.items:
        for request in (*item.options, *item.alone):
            question = request.context
            if question not in prompts:
                messages = [{"role": "user", "content": question}]
                prompts[question] = render(backend, messages, add_generation_prompt=True).ids
            answer = [*backend.encode(request.continuation, add_special_tokens=False).ids, *end]
            streams.append(([*prompts[question], *answer], len(answer), request.continuation))
            names.append(item.name)
    return rows_of(streams, context, names)
