"""Options of scripts/pack.py and of the loader."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from onnuri.base.errors import UserError, check_choice, check_most
from onnuri.config.paths import path_option
from onnuri.corpus.reading import labels
from onnuri.corpus.source import LEGAL_BASES
from onnuri.tokens.ramp import Ramp, length_ramp

KINDS = ("text", "chat", "preference", "tasks")
ALLOWANCES = ("noncommercial", "no-derivatives", "model-made")
CONVERSATIONS_ONLY = (
    *("source", "license", "legal_basis", "unverified", "consent_id", "made_by", "allow", "encoding"),
    *("max_tokens", "heldout_share", "on_error", "most_refused", "recipe"),
)
"""Options that go with kind=chat and kind=preference; of text the corpus decides all of it."""


@dataclass
class PackConfig:
    """What to encode, and with what."""

    input: str = path_option("")
    """kind=text: corpus folder. kind=chat and kind=preference: a file, a folder or a quoted glob of .jsonl,
    .json or .parquet (.gz, .zst), what `onnuri tasks make` wrote, or the files of a recipe. Recipes of a
    package need none. kind=tasks: what `onnuri tasks make` wrote, or a folder of such folders."""
    tokenizer: str = path_option()
    """Tokenizer folder, or the folder of a model: what `onnuri export` or `import` wrote, or a Hugging Face
    folder with tokenizer.json."""
    output: str = path_option()
    """Folder of token shards to write."""
    kind: str = "text"
    """text: the documents of a corpus; chat: conversations, trained on the assistant's turns; preference:
    pairs of a chosen and a rejected answer (docs/chat.md); tasks: prompts with checkers, of `onnuri tasks
    make`, to learn from rewards."""
    recipe: str = path_option("")
    """Conversations: a set that is read as it is published, with its source and licence: chatterbot-korean,
    songys, kosbi, ... (files in data_recipes/chat/), or the path of a recipe of your own (docs/chat.md)."""
    base: str = path_option("")
    """Folder of token shards made with the same tokenizer, to take along: its sources come before the new
    ones, so that data.mixture can mix both. Its files are linked, not copied, where possible."""
    shard_tokens: int = 1 << 27
    """Tokens in one shard file, about; a document is never cut between two, nor a pair."""
    workers: int = 0
    """Threads; 0: one for each processor that this process may use. The result is the same for any."""
    source: str = ""
    """Conversations: one name for all of them. Empty: what each record says as `source`, or the kind."""
    license: str = ""
    """Conversations: licence (SPDX, KOGL-1, LicenseRef-...) of records that state none as `license`."""
    legal_basis: str = ""
    """Conversations: open-licence, consent, legitimate-interest, public-data or contract, for records that
    state none as `legal_basis`. Records of a known open licence need none."""
    unverified: bool = False
    """Conversations: licence or legal basis may be missing; manifest and model card then say so."""
    consent_id: str = ""
    """Conversations: record of the consent; required for legal_basis=consent."""
    made_by: str = ""
    """Conversations: model that wrote them, if one did, for records that do not say it themselves as
    `made_by_model`, `generated_by` or `model`."""
    allow: list[str] = field(default_factory=list)
    """Conversations: what is refused unless it is listed: noncommercial and no-derivatives (licences with
    NC or ND, KOGL-2 to KOGL-4), model-made (text that a model wrote)."""
    encoding: str = ""
    """Conversations: character encoding of the files: cp949, utf-16, ...; empty: detected."""
    max_tokens: int = 0
    """Conversations: longer ones are refused, counted with the separator; 0: no limit."""
    heldout_share: float = 0.02
    """Conversations and tasks: share kept out of training, chosen by hash of the content; at least one if
    there are more than 50."""
    on_error: str = "skip"
    """Conversations: skip: refused records are counted and listed in refused.jsonl; stop: the first one
    ends the command."""
    most_refused: float = 0.2
    """Conversations: if a larger share of the records is refused, the command ends and writes nothing;
    duplicates do not count."""
    push: str = ""
    """Dataset on a hub to upload the finished folder to: ORG/NAME or ORG/NAME@BRANCH. Made
    private where it is missing."""
    hub: str = ""
    """Address of the hub (docs/hub.md); empty: HF_ENDPOINT. Never the public hub."""

    def __post_init__(self) -> None:
        if self.shard_tokens < 1024:
            raise UserError(f"shard_tokens={self.shard_tokens} must be at least 1024")
        if self.workers < 0:
            raise UserError(f"workers={self.workers} must be at least 0")
        check_choice("kind", self.kind, KINDS)
        if not self.input and not self.recipe:
            raise UserError("missing option: input=... (what to encode)")
        self._check_conversations()

    def _check_conversations(self) -> None:
        for each in fields(self):
            if self.kind == "text" and each.name in CONVERSATIONS_ONLY:
                default = [] if each.name == "allow" else each.default
                if getattr(self, each.name) != default:
                    raise UserError(
                        f"{each.name}= goes with kind=chat and kind=preference; of text the corpus says it"
                    )
        if self.recipe and self.kind == "tasks":
            raise UserError(
                "recipe= goes with kind=chat and kind=preference; kind=tasks reads onnuri tasks make"
            )
        for name in self.allow:
            check_choice("allow", name, ALLOWANCES)
        check_choice("on_error", self.on_error, ("skip", "stop"))
        if self.legal_basis:
            check_choice("legal_basis", self.legal_basis, LEGAL_BASES)
        if self.legal_basis == "consent" and not self.consent_id:
            raise UserError("legal_basis=consent needs a consent_id=")
        if self.encoding:
            labels.check(self.encoding)
        if self.max_tokens < 0:
            raise UserError(f"max_tokens={self.max_tokens} must be at least 0")
        if not 0 <= self.heldout_share < 1:
            raise UserError(f"heldout_share={self.heldout_share} must be at least 0 and below 1")
        if not 0 <= self.most_refused <= 1:
            raise UserError(f"most_refused={self.most_refused} must be from 0 to 1")


@dataclass
class DataConfig:
    """What is read, and in which order."""

    path: str = path_option()
    """Folder of token shards made by `onnuri pack`; `data=DIR` is short for `data.path=DIR`."""
    sequence_length: int = 1024
    """Tokens S in one training window; also the context length of the exported model."""
    seed: int = 0
    """Keys the order of windows; the same seed gives the same batches on any number of ranks."""
    mixture: dict[str, float] = field(default_factory=dict)
    """Weight of each source, {web:0.7,wiki:0.3}; tasks/* is one pool of all sources that begin with tasks/;
    SOURCE@STEP gives weights from a later step on, for annealing. Empty: all windows of the shards in one
    pool, so that each comes once an epoch."""
    packing: str = "concatenate"
    """concatenate: documents end to end, cut at every window; best_fit: documents are cut only where they
    are longer than a window, for a little padding (arXiv 2404.10830)."""
    reshuffle: str = "windows"
    """What comes in a new order every epoch. windows: the same windows; documents: documents, laid end to
    end and cut anew, so that each epoch has other neighbours and cuts; for data that is repeated."""
    document_mask: bool = True
    """Attention stays within a document: nothing of the documents before it in the window is seen."""
    reset_positions: bool = False
    """Rotary positions start anew in each document."""
    length_ramp: dict[str, int] = field(default_factory=dict)
    """Shorter attention early in the run, {0:128,300:256,900:1024}: from that step (counted from 0) on,
    windows are cut into pieces of so many tokens, and attention stays within a piece as within a document.
    Tokens, targets and their order stay; with reset_positions positions start anew in each piece too. Each
    length must divide sequence_length, and the last one be equal to it. Empty: none."""

    def __post_init__(self) -> None:
        if self.sequence_length < 1 or self.seed < 0:
            raise UserError("data.sequence_length must be at least 1, data.seed at least 0")
        check_most("data.sequence_length", self.sequence_length, 1 << 28)
        check_choice("data.packing", self.packing, ("concatenate", "best_fit"))
        check_choice("data.reshuffle", self.reshuffle, ("windows", "documents"))
        if self.reshuffle == "documents" and self.packing != "concatenate":
            raise UserError(
                f"data.reshuffle=documents lays documents end to end, so data.packing={self.packing} does "
                "not go with it: use data.packing=concatenate, or data.reshuffle=windows"
            )
        if self.lengths.starts[1:] and not self.document_mask:
            raise UserError(
                "data.length_ramp cuts windows by the document mask: leave one of them out, it or "
                "data.document_mask=false"
            )

    @property
    def lengths(self) -> Ramp:
        """Tokens that attention reaches at most, by step."""
        return length_ramp(self.length_ramp, self.sequence_length)

    def order_settings(self) -> dict[str, Any]:
        """The options that decide what a batch holds; a ramp only where there is one, as in older runs."""
        ramp = {"length_ramp": self.length_ramp} if self.length_ramp else {}
        names = ("sequence_length", "seed", "mixture", "packing", "reshuffle")
        return {name: getattr(self, name) for name in names} | ramp
