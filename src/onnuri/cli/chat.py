"""Talk to a chat model in the terminal.

    onnuri chat model=MODEL_DIR system="한국어로 짧게 답한다." temperature=0.7
    onnuri chat model=MODEL_DIR < questions.txt      # a turn a line; answers on standard output

/reset (/새로) begins anew, /exit (/끝) and Ctrl-D end; Ctrl-C stops an answer. A line that ends with \\
goes on in the next one.
"""

import inspect
import io
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from onnuri.base.errors import UserError
from onnuri.config import print_any_text, run_cli
from onnuri.generate.config import ChatConfig

if TYPE_CHECKING:
    from onnuri.generate.conversation import Conversation

RESET, EXIT = ("/reset", "/새로"), ("/exit", "/끝")
HELP = (
    "/reset or /새로 begins anew, /exit or Ctrl-D ends, Ctrl-C stops an answer, \\ at the end goes on below"
)
IUTF8 = 0o40000
"""Of c_iflag on Linux; Python's termios has no name for it."""


def run(config: ChatConfig) -> int:
    """Answer until the input ends. The status is 1 if a line of a pipe could not be answered."""
    from onnuri.generate.conversation import Conversation
    from onnuri.hf.fetch import model_folder

    conversation = Conversation(replace(config, model=model_folder(config.model, config.hub)))
    typed, problems = sys.stdin.isatty(), 0
    if conversation.base:
        note(
            f"note: {config.model} was not tuned on conversations (generation_config.json does not end a "
            "text with a turn): it continues, and may answer anything"
        )
    if typed:
        note(f"{config.model}, {conversation.generator.context:,} tokens of context; {HELP}")
    with editing(typed), Interrupts(typed) as interrupts:
        for line in lines(typed, interrupts):
            text = line.strip()
            if text in EXIT:
                break
            if text in RESET:
                conversation.reset()
                note("a new conversation")
            elif typed and text.startswith("/") and " " not in text:
                note(f"{text} is no command; {HELP}")
            elif text:
                problems += not answered(conversation, text, interrupts)
    return 0 if typed or not problems else 1


class Interrupts:
    """Ctrl-C at a terminal ends what `stopped` runs, and nothing else: between a line and its answer it
    must not end the conversation. In a pipe it ends the command as usual."""

    def __init__(self, typed: bool) -> None:
        self.typed, self.armed = typed, False

    def __enter__(self) -> "Interrupts":
        self.before = signal.signal(signal.SIGINT, self._handle) if self.typed else None
        return self

    def __exit__(self, *_: object) -> None:
        if self.typed:
            signal.signal(signal.SIGINT, self.before)

    def _handle(self, *_: object) -> None:
        if self.armed:
            raise KeyboardInterrupt

    def stopped(self, action: Callable[[], None]) -> bool:
        """Run an action. Whether Ctrl-C ended it."""
        try:
            try:
                self.armed = True
                action()
            finally:
                self.armed = False
        except KeyboardInterrupt:
            if not self.typed:
                raise
            return True
        return False


def answered(conversation: "Conversation", text: str, interrupts: Interrupts) -> bool:
    """Print the answer to a turn. Whether there was one."""
    if any("\udc80" <= character <= "\udcff" for character in text):
        note("error: a line is not UTF-8; convert it, for example with iconv -f CP949 -t UTF-8")
        return False
    try:
        if left_out := conversation.say(text):
            note(f"the context is full: the {left_out} oldest turns are left out")
    except UserError as error:
        note(f"error: {error}")
        return False

    def show() -> None:
        for piece in conversation.answer():
            print(piece, end="", flush=True)

    interrupts.stopped(show)
    print(flush=True)
    return True


def lines(typed: bool, interrupts: Interrupts) -> Iterator[str]:
    """The user's turns: a line, or several where all but the last end with a backslash. Ctrl-C at the
    prompt gives up the turn."""
    line = before = ""

    def read() -> None:
        nonlocal line
        line = input(". " if before else "> ") if typed else sys.stdin.readline()

    while True:
        try:
            given_up = interrupts.stopped(read)
        except EOFError:
            print()
            return
        if given_up:
            before = ""
            print()
            continue
        if not typed and not line:
            if before:
                yield before
            return
        if (kept := line.rstrip("\r\n")).endswith("\\"):
            before += kept[:-1] + "\n"
            continue
        yield (before + line).removeprefix("\ufeff")
        before = ""


@contextmanager
def editing(typed: bool) -> Iterator[None]:
    """A terminal in which a line can be edited, and Backspace takes a whole Hangul syllable.

    GNU readline knows how wide characters are. Where Python lacks it the kernel edits the line, by
    characters only if IUTF8 is set, which ssh and consoles sometimes leave out.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="replace" if typed else "surrogateescape")
    if not typed:
        yield
        return
    with suppress(ImportError):
        import readline  # noqa: F401 - input() uses it from here on
    try:
        import termios

        before = termios.tcgetattr(0)
    except (ImportError, OSError):  # no terminal of Unix
        yield
        return
    changed = [*before]
    if sys.platform == "linux":
        changed[0] |= IUTF8
    termios.tcsetattr(0, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSANOW, before)


def note(text: str) -> None:
    """Say something that is no part of an answer."""
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """The command."""
    print_any_text()
    run_cli(ChatConfig, run, inspect.cleandoc(__doc__ or ""), command="chat")


if __name__ == "__main__":
    main()
