"""Recipes of conversations: YAML files that say what a published set holds, and under which terms.

`data_recipes/chat/` has those that are known; `onnuri pack kind=chat recipe=NAME` reads a set as it comes.
`source` is a source as corpus recipes have it (`onnuri.corpus.source`), read by the same readers. The other
keys turn a record into a conversation. They are Jinja's templates and expressions, in its sandbox.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from onnuri.base.errors import UserError
from onnuri.chat.data.records import MOST_RECORD_BYTES, Raw
from onnuri.chat.data.refusal import MISSING, NO_LIST, TOO_LONG, UNKNOWN_ROLE, UNREADABLE, Refused
from onnuri.config.mapping import from_mapping
from onnuri.corpus import recipe as corpus_recipe
from onnuri.corpus.reading import discovery, files, packages, whole
from onnuri.corpus.reading.discovery import Found
from onnuri.corpus.reading.files import File
from onnuri.corpus.reading.piece import cause, stop_if_transient
from onnuri.corpus.reading.records import ROOM_FOR_MARKUP
from onnuri.corpus.source import Source
from onnuri.tokens.config import PackConfig

log = logging.getLogger(__name__)

FOLDER = corpus_recipe.RECIPE_FOLDER / "chat"
FORMS = ("jsonl", "json", "yaml", "csv", "tsv", "parquet", "archive")
STATED = ("url", "collected_at", "third_party_transfer")
"""Keys of a source that the manifest has beside those of each record."""
MOST_PAIRED = 1 << 29
"""Characters of answers that wait for a counterpart."""
ENVIRONMENT = ImmutableSandboxedEnvironment(
    undefined=StrictUndefined,
    keep_trailing_newline=True,
    finalize=lambda value: "" if value is None else value,
)
EXPECTED = (TemplateError, ArithmeticError, LookupError, TypeError, ValueError)
"""What expressions raise for records that they do not fit."""
Evaluate = Callable[[dict[str, Any]], Any]


@dataclass(frozen=True)
class Layout:
    """How a record reads: either `instruction` and `output`, or `turns`.

    Names in templates and expressions are the record's fields; `record` is the whole of it.
    """

    where: str = ""
    """Expression: records for which it is false are left out."""
    id: str = ""
    """Expression: the record's name in refused.jsonl."""
    instruction: str = ""
    """Template of what the user asks."""
    output: str = ""
    """Template of the answer."""
    chosen: str = ""
    """Expression: whether the answer is one to give. kind=chat leaves the others out; kind=preference pairs
    the answers to the same question, one to give with one not to, in their order."""
    turns: str = ""
    """Expression: a list of texts, the user's and the assistant's in turn, or of turns with a `text`."""
    text: str = ""
    """Expression over the fields of a turn; `turn` is the whole of it."""
    speaker: str = ""
    """The same: who speaks. What one says in a row becomes one turn. Without `assistant`, the first of two
    speakers is the user."""
    assistant: list[str] = field(default_factory=list)
    """Speakers that are the assistant."""
    made_by: str = ""
    """Model that wrote the texts."""

    def __post_init__(self) -> None:
        if bool(self.turns) == bool(self.instruction and self.output):
            raise UserError("a recipe has either turns, or instruction and output")
        if self.chosen and self.turns:
            raise UserError("chosen goes with instruction and output")
        if (self.text or self.speaker or self.assistant) and not (
            self.turns and self.text and self.speaker
        ):
            raise UserError(
                "text, speaker and assistant say how turns are read: give turns, text and speaker"
            )


class Recipe:
    """A recipe, its templates compiled. Raises UserError for one that is not there or not valid."""

    def __init__(self, config: PackConfig) -> None:
        path = corpus_recipe.find(config.recipe, FOLDER)
        written = corpus_recipe.read_yaml(path)
        if not isinstance(written, dict) or not isinstance(written.get("source"), dict):
            raise UserError(
                f"recipe {path} needs a mapping named 'source'; recipes of text are for onnuri corpus"
            )
        corpus_recipe.check_use(config.recipe, str(written), "input", config.input)
        where, inputs = f"recipe {config.recipe}", {"input": config.input} if config.input else {}
        source = from_mapping(Source, written["source"], f"source of {where}", inputs)
        if source.dataset or source.python:
            raise UserError(f"{where}: conversations lie in files (input) or in a package")
        self.source = replace(source, encoding=config.encoding or source.encoding)
        rest = {key: value for key, value in written.items() if key != "source"}
        self.layout: Layout = from_mapping(Layout, rest, where, {})
        if config.kind == "preference" and not self.layout.chosen:
            raise UserError(f"{where} has no pairs of answers; it goes with kind=chat")
        self.kind, self._where = config.kind, where
        names = ("where", "id", "chosen", "turns", "text", "speaker")
        self._expressions = {name: self._expression(getattr(self.layout, name)) for name in names}
        self._templates = {
            name: self._template(getattr(self.layout, name)) for name in ("instruction", "output")
        }

    def content(self) -> dict[str, Any]:
        """What the shards depend on besides the files, as JSON values, without paths of this machine."""
        source = {
            name: value for name, value in asdict(self.source).items() if name not in ("input", "opt_out")
        }
        return {"source": source, **asdict(self.layout)}

    def stated(self) -> dict[str, str]:
        """What the manifest says of the source beside licence, legal basis and kind."""
        return {name: value for name in STATED if (value := getattr(self.source, name))}

    def find(self) -> tuple[list[tuple[File, str]], str]:
        """The files with their formats, and what was passed over. Raises UserError if there is none."""
        if self.source.package:
            found = Found(
                f"package {self.source.package}", packages.find(self.source.package, self.source.files)
            )
        else:
            found = discovery.find(self.source.input)
        chosen = []
        for file, form in discovery.with_formats(found, self.source):
            if form in FORMS:
                chosen.append((file, form))
            else:
                found.files.remove(file)
                found.pass_over("without records", file.name)
        passed = discovery.describe(found.counts())
        if not chosen:
            raise UserError(f"{found.what} has no file of {', '.join(FORMS)}; passed over {passed}")
        return chosen, passed

    def read(self, chosen: list[tuple[File, str]]) -> Iterator[Raw]:
        """The conversations or pairs of the files, in the layouts of `onnuri.chat.data.layouts`."""
        found = self._converted(chosen)
        return self._paired(found) if self.kind == "preference" else (raw for raw, _ in found)

    def _converted(self, chosen: list[tuple[File, str]]) -> Iterator[tuple[Raw, bool]]:
        """Conversations, and whether their answer is one to give; kind=chat takes only such."""
        left_out = 0
        for raw in self._records(chosen):
            if raw.refused:
                yield raw, True
                continue
            try:
                scope = self._scope(raw.record["record"])
                good = self._value("where", scope, True) and bool(self._value("chosen", scope, True))
                if good or (self.kind == "preference" and self._value("where", scope, True)):
                    yield raw._replace(record=self._conversation(scope)), good
                else:
                    left_out += 1
            except Refused as refused:
                yield raw._replace(record={}, refused=refused), True
        if left_out:
            log.info(f"{self._where}: {left_out:,} records are left out by where and chosen")

    def _paired(self, found: Iterator[tuple[Raw, bool]]) -> Iterator[Raw]:
        """Answers to the same question against one another; memory: the answers."""
        waiting: dict[str, tuple[list[Raw], list[Raw]]] = {}
        characters = 0
        for raw, good in found:
            if raw.refused:
                yield raw
                continue
            characters += len(raw.record["instruction"]) + len(raw.record["output"])
            if characters > MOST_PAIRED:
                raise UserError(f"{self._where}: too many answers to pair at once; split the input")
            waiting.setdefault(raw.record["instruction"], ([], []))[not good].append(raw)
        for yes, no in waiting.values():
            yield from (_pair(*both) for both in zip(yes, no, strict=False))
        if alone := sum(abs(len(yes) - len(no)) for yes, no in waiting.values()):
            log.info(f"{self._where}: {alone:,} answers have no counterpart to the same question")

    def _records(self, chosen: list[tuple[File, str]]) -> Iterator[Raw]:
        """Records as they lie in the files: `record` has the value as it is."""
        for file, form in chosen:
            numbers: dict[str, int] = {}
            try:
                for each in whole.read(file, form, self.source, MOST_RECORD_BYTES // ROOM_FOR_MARKUP):
                    number = numbers[each.file] = numbers.get(each.file, 0) + 1
                    what, _, detail = each.problem.partition(": ")
                    reason = TOO_LONG if what == "too long" else UNREADABLE
                    refused = Refused(reason, detail) if each.problem else None
                    yield Raw(each.file, number, {"record": each.value}, refused, each.note)
            except UserError:
                raise
            except Exception as error:
                stop_if_transient(error)
                place = sum(numbers.values()) + 1
                yield Raw(file.name, place, {}, Refused(UNREADABLE, f"from here on: {cause(error)}"))

    def _scope(self, value: Any) -> dict[str, Any]:
        """The names that expressions know."""
        fields = {str(key): each for key, each in value.items()} if isinstance(value, dict) else {}
        return fields | {"record": value}

    def _conversation(self, scope: dict[str, Any]) -> dict[str, Any]:
        """A record in a layout that packing knows. Raises Refused."""
        facts = {name: getattr(self.source, name) for name in ("license", "legal_basis", "kind", "lang")}
        facts |= {"source": self.source.name, "made_by": self.layout.made_by}
        if self.layout.id:
            facts["id"] = str(self._value("id", scope))
        if self.layout.turns:
            return facts | {"messages": self._messages(scope)}
        try:
            return facts | {name: render(scope) for name, render in self._templates.items()}
        except EXPECTED as error:
            raise Refused(MISSING, files.one_line(error, 200)) from None

    def _messages(self, scope: dict[str, Any]) -> list[dict[str, str]]:
        turns = self._value("turns", scope)
        if not isinstance(turns, list):
            raise Refused(NO_LIST, f"turns are a {type(turns).__name__}")
        said = [(str(number % 2), turn) for number, turn in enumerate(turns)]
        if self.layout.text:
            fields = [({**turn} if isinstance(turn, Mapping) else {}) | {"turn": turn} for turn in turns]
            said = [(str(self._value("speaker", each)), self._value("text", each)) for each in fields]
        said = [(speaker, str(text)) for speaker, text in said if text is not None and str(text).strip()]
        speakers = list(dict.fromkeys(speaker for speaker, _ in said))
        if not self.layout.assistant and len(speakers) > 2:
            raise Refused(UNKNOWN_ROLE, f"{len(speakers)} speakers: {', '.join(speakers)[:100]}")
        assistant = self.layout.assistant or speakers[1:]
        messages: list[dict[str, str]] = []
        for speaker, text in said:
            role = "assistant" if speaker in assistant else "user"
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += f"\n{text}"
            elif messages or role == "user":  # turns before the first question are left out
                messages.append({"role": role, "content": text})
        while messages and messages[-1]["role"] == "user":
            messages.pop()
        return messages

    def _value(self, name: str, scope: dict[str, Any], otherwise: Any = None) -> Any:
        """Of an expression; `otherwise` where the recipe has none."""
        if not getattr(self.layout, name):
            return otherwise
        try:
            return self._expressions[name](scope)
        except EXPECTED as error:
            raise Refused(MISSING, f"{name}: {files.one_line(error, 200)}") from None

    def _template(self, text: str) -> Evaluate:
        try:
            return ENVIRONMENT.from_string(text).render
        except TemplateError as error:
            raise UserError(f"{self._where}: {error} in {text!r}") from None

    def _expression(self, text: str) -> Evaluate:
        try:
            return ENVIRONMENT.compile_expression(text or "none", undefined_to_none=False)
        except TemplateError as error:
            raise UserError(f"{self._where}: {error} in {text!r}") from None


def _pair(chosen: Raw, rejected: Raw) -> Raw:
    record = {name: value for name, value in chosen.record.items() if name not in ("instruction", "output")}
    record |= {"prompt": chosen.record["instruction"], "chosen": chosen.record["output"]}
    return chosen._replace(record=record | {"rejected": rejected.record["output"]})


def names() -> list[str]:
    """The recipes that come with Onnuri."""
    return sorted(path.stem for path in Path(FOLDER).glob("*.yaml"))
