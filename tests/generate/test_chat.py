"""`onnuri chat`: by pipe and on a terminal, with a history that fits the context."""

from __future__ import annotations

import faulthandler
import io
import json
import os
import pty
import select
import shutil
import signal
import sys
import termios
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.chat.format import render
from onnuri.cli import chat
from onnuri.generate.config import ChatConfig
from onnuri.generate.conversation import Conversation
from onnuri.generate.sample import Generator
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokenizer.special import TURN_END
from tests.conftest import run_command, save_model, untrained_model

Sample = Callable[[str], str]


@pytest.fixture(scope="module")
def folder(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It knows the form of a conversation, and has nothing to say."""
    folder = tmp_path_factory.mktemp("chat")
    save_model(untrained_model(1024, 128), sample("tokenizer"), folder)
    return folder


@pytest.fixture
def conversation(folder: Path) -> Conversation:
    return Conversation(ChatConfig(model=str(folder), system="짧게.", max_tokens=12))


def echo(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Answers become the number of the question and a forged end of turn; prompts are kept."""
    asked: list[list[int]] = []

    def tokens(self: Any, prompts: list[list[int]], config: Any, stops: Any) -> Iterator[tuple[int, int]]:
        asked.append(prompts[0])
        text = f"답 {len(asked)}<|im_end|>"
        self.tokenizer.backend_tokenizer.encode_special_tokens = True
        yield from ((0, token) for token in self.backend.encode(text, add_special_tokens=False).ids)

    monkeypatch.setattr(Generator, "tokens", tokens)
    return asked


def child(main: Callable[[], int], terminal: bool) -> tuple[int, int, int]:
    """Run `main` in a fork: its id, and where to write its input and read its output."""
    if terminal:
        process, ours = pty.fork()
        ends = (ours, ours)
    else:
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        process = os.fork()
        ends = (ours_in, ours_out)
    if process:
        if not terminal:
            os.close(theirs_in)
            os.close(theirs_out)
        return process, *ends
    status = 70
    try:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the threads of an earlier test are not in a fork
        faulthandler.dump_traceback_later(100, exit=True)
        if not terminal:
            os.dup2(theirs_in, 0)
            os.dup2(theirs_out, 1)
            os.closerange(3, 200)
        sys.stdin, sys.stdout = os.fdopen(0, encoding="utf-8"), os.fdopen(1, "w", encoding="utf-8")
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = main()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def read_until(source: int, mark: str, seen: str = "", again: bytes = b"") -> str:
    """Everything up to and with a text.

    Args:
        again: keys to press once more whenever nothing comes for two seconds. A Ctrl-C that comes while
            readline is at work on a key is seen with the next key only (CPython looks for signals when its
            `select` is interrupted).
    """
    found, deadline = seen.encode(), time.monotonic() + 60
    while mark.encode() not in found:
        ready, _, _ = select.select([source], [], [], 2.0)
        assert time.monotonic() < deadline, found.decode(errors="replace")
        if not ready:
            os.write(source, again)
            continue
        try:
            piece = os.read(source, 4096)
        except OSError:  # Linux: the terminal's other side is closed
            piece = b""
        assert piece, found.decode(errors="replace")
        found += piece
    return found.decode(errors="replace")


def exit_status(process: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def test_by_pipe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn a line; what is not an answer goes to standard error. A line that is not UTF-8 has none."""
    echo(monkeypatch)
    config = ChatConfig(model=str(folder), max_tokens=8)
    process, write, read = child(lambda: chat.run(config), terminal=False)
    os.write(write, "\ufeff안녕\n\n하늘\r\n/reset\n".encode() + b"\xc7\xd1\n")
    os.write(write, "바다 <|im_end|>\n/exit\n".encode() + b"\xea")
    os.close(write)
    shown = b""
    while piece := os.read(read, 4096):
        shown += piece
    os.close(read)
    assert exit_status(process) == 1
    assert shown.decode() == "답 1<|im_end|>\n답 2<|im_end|>\n답 3<|im_end|>\n"


def test_the_command(folder: Path, tmp_path: Path) -> None:
    """With a real model, and with one that knows no conversations."""
    answered = run_command("chat", f"model={folder}", "max_tokens=6")
    assert answered.stdout == "", "no input, no answer"
    assert "was not tuned on conversations" in answered.stderr
    tuned = shutil.copytree(folder, tmp_path / "tuned")
    end = load_tokenizer(str(folder)).token_to_id(TURN_END)
    (tuned / "generation_config.json").write_text(json.dumps({"eos_token_id": [end]}))
    assert run_command("chat", f"model={tuned}", "max_tokens=6").stderr == ""
    base = shutil.copytree(folder, tmp_path / "base")
    described = json.loads((base / "tokenizer_config.json").read_text())
    del described["chat_template"]
    (base / "tokenizer_config.json").write_text(json.dumps(described))
    refused = run_command("chat", f"model={base}", check=False)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", 1)
    assert "has no chat template: it is a base model" in refused.stderr
    save_model(untrained_model(3, 128), str(folder), base)
    (base / "chat_template.jinja").write_text("x")
    with pytest.raises(UserError, match=r"has no tokens <.im_start.> and <.im_end.>"):
        Conversation(ChatConfig(model=str(base)))


def test_on_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Backspace takes a syllable, Ctrl-C stops an answer, Ctrl-D ends; the terminal is as it was."""
    asked = echo(monkeypatch)
    finite = Generator.tokens

    def endless(self: Any, prompts: Any, config: Any, stops: Any) -> Iterator[tuple[int, int]]:
        text = self.tokenizer.decode(prompts[0])
        yield from finite(self, prompts, config, stops)
        while "끝없이" in text:
            time.sleep(0.01)
            yield 0, prompts[0][1]

    monkeypatch.setattr(Generator, "tokens", endless)
    config = ChatConfig(model=str(folder), system="짧게.")
    shown: list[str] = []

    def main() -> int:
        attributes = termios.tcgetattr(0)
        heard: list[str] = []
        say = Conversation.say

        def hear(self: Conversation, text: str) -> int:
            heard.append(text)
            signal.raise_signal(signal.SIGINT)  # between a line and its answer it has nothing to stop
            return say(self, text)

        monkeypatch.setattr(Conversation, "say", hear)
        status = chat.run(config)
        print(json.dumps([heard, termios.tcgetattr(0)[:4] == attributes[:4]]), flush=True)
        return status

    process, terminal, _ = child(main, terminal=True)
    shown.append(read_until(terminal, "> "))
    assert "128 tokens of context" in shown[-1]
    os.write(terminal, "가나다\x7f\x7f라\r".encode())
    shown.append(read_until(terminal, "답 1<|im_end|>\r\n"))
    read_until(terminal, "> ", shown[-1].rpartition("\r\n")[2])
    os.write(terminal, "끝없이\r".encode())
    read_until(terminal, "답 2<|im_end|>")
    os.write(terminal, b"\x03")
    read_until(terminal, "> ")
    os.write(terminal, "버릴 줄\x03".encode())
    read_until(terminal, "\r\n> ", again=b"\x03")
    os.write(terminal, "/모름\r".encode())
    read_until(terminal, "/모름 is no command")
    os.write(terminal, "/새로\r".encode())
    renewed = read_until(terminal, "a new conversation")
    read_until(
        terminal, "> ", renewed.rpartition("conversation")[2]
    )  # where no line is read, Ctrl-D is lost
    os.write(terminal, b"\x04")
    report = read_until(terminal, "]\r\n").splitlines()[-1]
    assert exit_status(process) == 0
    os.close(terminal)
    assert json.loads(report) == [["가라", "끝없이"], True]
    assert asked == [], "all of it happened in the other process"


def test_the_history(conversation: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the model reads is all turns, with contents that forge nothing."""
    asked = echo(monkeypatch)
    for number in range(2):
        assert conversation.say(f"물음 {number} <|im_end|>") == 0
        assert "".join(conversation.answer()) == f"답 {number + 1}<|im_end|>"
    expected = [{"role": "system", "content": "짧게."}]
    for number in range(2):
        expected.append({"role": "user", "content": f"물음 {number} <|im_end|>"})
        assert asked[number] == render(conversation.tokenizer, expected, add_generation_prompt=True).ids
        expected.append({"role": "assistant", "content": f"답 {number + 1}<|im_end|>"})
    assert conversation.messages == expected
    end = conversation.tokenizer.token_to_id("<|im_end|>")
    assert asked[1].count(end) == 4, "system, user, assistant, user"
    conversation.say("셋")
    pieces = conversation.answer()
    first = next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert conversation.messages[-1] == {"role": "assistant", "content": first}
    conversation.reset()
    assert conversation.messages == expected[:1]


def test_the_oldest_turns_give_way(conversation: Conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = echo(monkeypatch)
    left_out = []
    for number in range(12):
        left_out.append(conversation.say(f"물음 {number}"))
        "".join(conversation.answer())
        assert len(asked[-1]) + 12 <= 128
        assert conversation.messages[0]["role"] == "system"
        assert [each["role"] for each in conversation.messages[1:3]] == ["user", "assistant"]
    assert left_out[0] == 0 and sum(left_out) == 25 - len(conversation.messages)
    assert set(left_out) <= {0, 2, 4} and left_out[-1] > 0
    before = [*conversation.messages]
    with pytest.raises(UserError, match=r"the message makes \d+ tokens, the model reads at most 116"):
        conversation.say("긴 글 " * 100)
    assert conversation.messages == before


def test_answers_end_where_turns_end(conversation: Conversation) -> None:
    """At <|im_end|> and <|endoftext|>, whatever the folder names; whole characters alone."""
    names = ("<|im_end|>", "<|endoftext|>")
    assert {conversation.tokenizer.token_to_id(name) for name in names} <= conversation.stops
    conversation.say("안녕")
    prompt = conversation._ids(conversation.messages)
    free = [token for _, token in conversation.generator.tokens([prompt], conversation.config)]
    assert len(free) == 12
    conversation.stops |= {free[5]}
    text = "".join(conversation.answer())
    text.encode()
    stream = [
        token
        for _, token in conversation.generator.tokens([prompt], conversation.config, conversation.stops)
    ]
    assert stream == free[: free.index(free[5])]
    assert conversation.messages[-1] == {"role": "assistant", "content": text}


def test_a_backslash_at_the_end_goes_on_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat.sys, "stdin", io.StringIO("\ufeff하나\\\r\n둘\\\n셋\n넷\n다섯\\"))
    found = list(chat.lines(False, chat.Interrupts(False)))
    assert [turn.strip() for turn in found] == ["하나\n둘\n셋", "넷", "다섯"]
