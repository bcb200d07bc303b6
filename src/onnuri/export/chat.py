"""What an export has for conversations: the token that ends an answer, and the template that was trained.

A base model ends a text with the separator. One that was trained on conversations ends its turn with
<|im_end|>, and inference engines stop there only if the exported files say so.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.tokenizer.huggingface import load_tokenizer, tokenizer_config
from onnuri.tokenizer.special import CHAT_TEMPLATE, TURN_END

TEMPLATE_FILE = "chat_template.jinja"
"""transformers prefers it to the template in tokenizer_config.json."""


@dataclass(frozen=True)
class Chat:
    """How a chat model talks."""

    template: str
    turn_end: int
    """The id of <|im_end|>."""

    @property
    def facts(self) -> dict[str, str]:
        """What manifest and `training.json` keep."""
        return {"template_sha256": template_sha256(self.template)}


def template_sha256(template: str) -> str:
    """The hash by which shards, ledger and exports name a chat template."""
    return hashlib.sha256(template.encode()).hexdigest()


def chat_of(asked: str, tokens: Manifest, folder: Path) -> Chat | None:
    """The chat side of an export; None for a base model.

    Args:
        asked: yes, no, or auto: yes where the shards are conversations.
        tokens: the manifest of the shards.
        folder: the tokenizer's.

    The template is that of the tokenizer. Where the shards name one, it must be theirs: Onnuri's own may
    have become another since the tokenizer was made. Raises UserError if neither is, or if the tokenizer
    has no <|im_end|>.
    """
    trained = tokens.counts.get("chat")
    if asked == "no" or (asked == "auto" and not trained):
        return None
    turn_end = load_tokenizer(folder).token_to_id(TURN_END)
    if turn_end is None:
        raise UserError(
            f"chat={asked}: the tokenizer has no token {TURN_END}; chat=no exports a base model"
        )
    known = [each for each in (chat_template(folder), CHAT_TEMPLATE) if each]
    wanted = (trained or {}).get("template_sha256", template_sha256(known[0]))
    for template in known:
        if template_sha256(template) == wanted:
            return Chat(template, turn_end)
    raise UserError(
        f"chat={asked}: the run was trained with the chat template {wanted[:12]}, which is neither that of "
        "its tokenizer nor that of this version: export with the version that trained it"
    )


def chat_template(folder: Path) -> str:
    """The template of a tokenizer's folder, as transformers would find it; "" without one."""
    if (folder / TEMPLATE_FILE).is_file():
        return (folder / TEMPLATE_FILE).read_text(encoding="utf-8")
    found = tokenizer_config(folder).get("chat_template")
    return found if isinstance(found, str) else ""
