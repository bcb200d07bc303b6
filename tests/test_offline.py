"""Nothing phones home: the sample run, from raw text to an evaluated model, where there is no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import processes
from tests.conftest import SCRIPTS, TINY_MODEL, torchrun_command
from tests.train.nodes import wait_until

QUIET = ("HF_HUB_OFFLINE", "DO_NOT_TRACK", "TRANSFORMERS_OFFLINE", "WANDB_MODE")
"""Variables that would keep a library from trying."""
OF_LOOPBACK = (".0.0.127.in-addr.arpa", ".ip6.arpa")
"""torch looks up the names of addresses that it listens on."""
NAME_SERVER = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    query, address = server.recvfrom(4096)
    rest, labels = query[12:], []
    while rest[0]:
        labels.append(rest[1 : 1 + rest[0]].decode())
        rest = rest[1 + rest[0] :]
    print(".".join(labels), flush=True)
    server.sendto(query[:2] + bytes([0x81, 0x83]) + query[4:6] + bytes(6) + query[12:], address)
"""
"""Knows no name, and prints those that it is asked for."""


class Cell:
    """A network namespace without a route, a name server that knows nothing, an empty home directory."""

    def __init__(self, folder: Path) -> None:
        self.name, self.home = f"onnuri-{os.getpid()}-offline", folder / "home"
        self.settings, self.asked = Path("/etc/netns", self.name), folder / "asked"
        self.server: subprocess.Popen[bytes] | None = None
        self.commands: tuple[str, subprocess.Popen[bytes]] | None = None
        self.variables: dict[str, str] = {}

    def build(self) -> None:
        """OSError or CalledProcessError where it cannot be done."""
        for words in (("netns", "add", self.name), ("-n", self.name, "link", "set", "lo", "up")):
            subprocess.run(["ip", *words], check=True, capture_output=True)
        self.home.mkdir()
        self.settings.mkdir(parents=True)
        (self.settings / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        with self.asked.open("wb") as stream:
            command = ["ip", "netns", "exec", self.name, sys.executable, "-c", NAME_SERVER]
            self.server = subprocess.Popen(command, stdout=stream)
        wait_until(lambda: self.asked.stat().st_size > 0, 20, "the name server")

    def close(self) -> None:
        """Take it apart."""
        for server in (self.server, self.commands and self.commands[1]):
            if server is not None:
                server.kill()
                server.wait()
        shutil.rmtree(self.settings, ignore_errors=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)

    @property
    def environment(self) -> dict[str, str]:
        """Of what runs here: nothing keeps a library from trying."""
        others = {name: value for name, value in os.environ.items() if name not in QUIET}
        return others | {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home)} | self.variables

    def run(self, *command: str) -> str:
        """Run a command; AssertionError with its output unless it ends well."""
        inside = ["ip", "netns", "exec", self.name, *command]
        result = subprocess.run(inside, env=self.environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        return result.stdout

    def python(self, *command: str) -> str:
        """Run `python COMMAND...`, forked from a server that has imported everything here."""
        words = [sys.executable, *command]
        return processes.run(words, environment=self.environment, server=self.warm()).stdout

    def warm(self) -> str:
        """Address of that server."""
        if self.commands is None:
            self.commands = processes.start_server(["ip", "netns", "exec", self.name], self.environment)
        return self.commands[0]

    def attempts(self) -> list[str]:
        """Names that were asked for, but for those of this machine, and "no route" for each connection."""
        names = self.asked.read_text().split()[1:]
        rows = [line.split() for line in self.run("cat", "/proc/net/snmp", "/proc/net/snmp6").splitlines()]
        heads, values = [row for row in rows if row[0] == "Ip:"]
        version_6 = {row[0]: row[1] for row in rows if len(row) == 2}
        refused = int(values[heads.index("OutNoRoutes")]) + int(version_6["Ip6OutNoRoutes"])
        return [name for name in names if not name.endswith(OF_LOOPBACK)] + ["no route"] * refused


def cells(tmp_path: Path) -> Iterator[Cell]:
    """One, taken apart afterwards; the test is skipped where it cannot be built."""
    cell = Cell(tmp_path)
    try:
        try:
            cell.build()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespace can be made here (root and iproute2 are needed): {error}")
        yield cell
    finally:
        cell.close()


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cell]:
    yield from cells(tmp_path)


def test_the_sample_run_needs_and_tries_no_network(cell: Cell, tmp_path: Path) -> None:
    def command(name: str, *words: str) -> str:
        return cell.python(str(SCRIPTS / f"{name}.py"), *words)

    corpus, tokenizer, tokens, run_dir, model = (
        str(tmp_path / name) for name in ("corpus", "tokenizer", "tokens", "run", "model")
    )
    command("corpus", "recipe=sample", f"output={corpus}")
    command("tokenizer", f"input={corpus}", f"output={tokenizer}", "algorithm=bpe", "vocab_size=1024")
    command("pack", f"input={corpus}", f"tokenizer={tokenizer}", f"output={tokens}")
    words = [f"data={tokens}", f"run_dir={run_dir}", *TINY_MODEL, "train.steps=3", "train.validate_every=3"]
    cell.python(*torchrun_command(2, SCRIPTS / "pretrain.py", *words)[1:])
    command("export", f"checkpoint={run_dir}", f"output={model}")
    assert command("generate", f"model={model}", "prompt=연구", "max_tokens=8").startswith("연구")
    assert "ko" in command("evaluate", f"model={model}", f"data={corpus}")
    assert cell.attempts() == []


def test_attempts_are_seen(cell: Cell, tmp_path: Path) -> None:
    """Else the test above could not fail."""
    script = tmp_path / "calls.py"
    script.write_text("import socket; socket.socket().connect_ex(('192.0.2.1', 443))")
    cell.python(str(script))
    assert cell.attempts() == ["no route"]
    script.write_text("import urllib.request; urllib.request.urlopen('http://example.invalid')")
    with pytest.raises(AssertionError, match="URLError"):
        cell.python(str(script))
    assert set(cell.attempts()) == {"example.invalid", "no route"}
    hub = "import huggingface_hub.constants as hub; print(hub.HF_HUB_OFFLINE)"
    script.write_text(hub)
    assert cell.python(str(script)) == "False\n"
