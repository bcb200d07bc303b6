"""Code of a model runs without network, files, other processes and much memory, or not at all."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.chat.programmed import sandbox
from onnuri.chat.programmed.families.code import program_of

PROGRAM = sandbox.PROGRAM.read_text(encoding="utf-8")
SUM = "def solve(a, b):\n    return a + b"


@pytest.fixture
def isolated() -> None:
    """Skip where code cannot be run: in containers without user namespaces, say."""
    try:
        assert sandbox.run(SUM, [[1, 2]]) == [3]
    except UserError as error:
        pytest.skip(str(error))


def solve(*lines: str) -> list[Any] | None:
    return sandbox.run("\n    ".join(("def solve(a, b):", *lines)), [[1, 2], [2, 3]])


@pytest.mark.usefixtures("isolated")
def test_results_come_back() -> None:
    assert solve("print('on the way', flush=True)", "return [a, {'b': b}, '한글', None]") == [
        [1, {"b": 2}, "한글", None],
        [2, {"b": 3}, "한글", None],
    ]


@pytest.mark.usefixtures("isolated")
@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "while True: print('x' * 1000)",
        "import time; time.sleep(60)",
        "return len('x' * 10**9)",
        "return solve(a, b)",
        "return {1, 2}",
        "return 'x' * 100_000",
        "import os; os._exit(0)",
        "import os; os._exit(97)",
        "import sys; sys.exit(0)",
        "import os; return os.fork()",
        "import _thread; _thread.start_new_thread(print, (1,)); return 1",
        "import os; os.kill(-1, 9); return 1",
        "return open('/etc/passwd').read()",
        "return open('/x', 'w').write('x')",
        "import os; os.mkdir('/x'); return 1",
        "import socket; return 1",
    ],
)
def test_what_is_cut_off_gives_nothing(body: str) -> None:
    assert solve(*body.split("; ")) is None


@pytest.mark.usefixtures("isolated")
def test_nothing_of_the_machine_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNURI_SECRET", "x")
    lines = [
        "import os",
        "return [os.listdir('/'), sorted(os.environ), os.getpid(), os.getppid(), os.getcwd()]",
    ]
    seen = solve(*lines)
    assert seen is not None and seen[0][0] == [] and seen[0][2:] == [1, 0, "/"]
    assert "ONNURI_SECRET" not in seen[0][1] and "PATH" not in seen[0][1]
    assert solve("import os", "os.kill(0, 9)", "os.kill(os.getppid(), 9)", "return a") == [1, 2]
    address = "b'\\x02\\x00\\x00\\x50\\x7f\\x00\\x00\\x01' + bytes(8)"
    lines = ["import ctypes", "libc = ctypes.CDLL(None)", "made = libc.socket(2, 1, 0)"]
    assert solve(*lines, f"return libc.connect(made, {address}, 16)") == [-1, -1]


@pytest.mark.usefixtures("isolated")
@pytest.mark.parametrize(
    ("cut", "without", "reason"),
    [
        (" | 0x40000000", "", "a namespace is shared"),
        (" | 0x20000000", "", "other processes can be seen"),
        ("NEW_NAMESPACES = ", "NEW_NAMESPACES = 0x1 | ", "namespaces: Invalid argument"),
        ("os.chroot(folder)", "pass", "files can be seen"),
        ("flags = MS_READ_ONLY | ", "flags = ", "files can be written"),
        ("resource.RLIMIT_NPROC: 0,", "", "processes can be started"),
        ("libc.capset(header, (ctypes.c_uint32 * 6)())", "0", "the root can be changed"),
        ("resource.setrlimit(kind,", "resource.setrlimit(999,", "invalid resource specified"),
    ],
)
def test_a_cut_that_does_not_hold_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cut: str, without: str, reason: str
) -> None:
    assert PROGRAM.count(cut) == 1
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.replace(cut, without), encoding="utf-8")
    monkeypatch.setattr(sandbox, "PROGRAM", program)
    with pytest.raises(
        UserError, match=f"cannot be run safely here .*{reason}.*; leave the family code out"
    ):
        sandbox.run(SUM, [[1, 2]])


def test_other_systems_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(UserError, match="it needs Linux"):
        sandbox.run(SUM, [[1, 2]])


def test_only_one_function_solve_is_taken() -> None:
    for right in (
        SUM,
        f"```python\n{SUM}\n```",
        f"def help(x):\n    return x\n\n\n{SUM}",
        f"```\n{SUM}\n```\n",
    ):
        assert program_of(right) is not None
    wrong = (
        f"{SUM}\n{SUM}",
        "solve = sum",
        "import os\n" + SUM,
        f"설명입니다.\n{SUM}",
        "print(1)",
        "",
        "def f(): pass",
    )
    for text in (
        *wrong,
        SUM + "\nprint(1)",
        "def solve(a):\n    import os",
        f"```python\n{SUM}\n```\n끝",
        "(" * 5000,
    ):
        assert program_of(text) is None, text
