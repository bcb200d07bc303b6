"""A hub on this machine: downloads, uploads, answers and memory, beside what the machine can do alone.

    python -m benchmarks.hub          # needs nginx; --megabytes, --rounds, --repositories make it shorter

Client and server share the cores. What is compared is measured in turns, and ratios of one run are what
counts: rates change with the machine's other load. Peers: a plain nginx that sends the same file, and
hashlib's sha256 on one core. An upload by xet is recorded once from huggingface_hub and then sent by plain
HTTP, so that chunking, which is the client's work, is not measured.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import random
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import onnuri.bundle
from benchmarks.hub_recorder import recorded
from onnuri.hub import accounts
from onnuri.hub.database import Database

ROOT = Path(__file__).parent.parent
CONFIGURATION = Path(onnuri.bundle.__file__).with_name("nginx-hub.conf")
PIECE = 1 << 20


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def token_of(data: Path) -> str:
    """Of a new hub's one user, `kim`."""
    tables = Database(data)
    with tables.writing() as connection:
        user = accounts.create_user(connection, "kim", "", "", "password of kim")
        token = accounts.create_token(connection, user, "benchmark", "admin")
    tables.close()
    return token


@contextmanager
def process(command: list[str], port: int, log: Path) -> Iterator[int]:
    """A server, once it listens; its process id."""
    with log.open("wb") as stream:
        started = subprocess.Popen(command, stdout=stream, stderr=stream)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if started.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]}: {log.read_text()}") from None
                time.sleep(0.05)
        yield started.pid
    finally:
        started.terminate()
        started.wait(60)


class Client:
    """One connection that stays open, with a token."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self.headers = {"authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, bytes, Any]:
        """Status, body and headers."""
        try:
            self.connection.request(method, path, body, self.headers | headers)
            answer = self.connection.getresponse()
        except ConnectionError:  # the server ends a connection after 5 seconds without a request
            self.connection.close()
            self.connection.request(method, path, body, self.headers | headers)
            answer = self.connection.getresponse()
        return answer.status, answer.read(), answer.headers

    def json(self, method: str, path: str, value: Any = None) -> Any:
        """The answer to JSON. Ends the benchmark if it is none."""
        body = None if value is None else json.dumps(value)
        status, content, _ = self.ask(method, path, body, **{"content-type": "application/json"})
        if status >= 300:
            raise SystemExit(f"{method} {path}: {status} {content[:300]!r}")
        return json.loads(content)

    def fetch(self, path: str, expected: int) -> None:
        """Read a file of so many bytes and throw it away."""
        self.connection.request("GET", path, headers=self.headers)
        answer, size, buffer = self.connection.getresponse(), 0, memoryview(bytearray(PIECE))
        if answer.status != 200:
            raise SystemExit(f"GET {path}: {answer.status}")
        while count := answer.readinto(buffer):
            size += count
        if size != expected:
            raise SystemExit(f"GET {path}: {size:,} bytes instead of {expected:,}")


def seconds(call: Callable[[], Any]) -> float:
    """Of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def put(client: Client, name: str, content: bytes) -> None:
    """Upload by LFS basic, and commit."""
    oid = hashlib.sha256(content).hexdigest()
    upload(client, name, content, oid)
    line = {
        "key": "lfsFile",
        "value": {"path": "model.gguf", "algo": "sha256", "oid": oid, "size": len(content)},
    }
    client.ask("POST", f"/api/models/{name}/commit/main", json.dumps(line))


def upload(client: Client, name: str, content: bytes, oid: str) -> None:
    """The bytes alone."""
    wanted = {
        "operation": "upload",
        "transfers": ["basic"],
        "objects": [{"oid": oid, "size": len(content)}],
    }
    (found,) = client.json("POST", f"/{name}.git/info/lfs/objects/batch", wanted)["objects"]
    path = urlsplit(found["actions"]["upload"]["href"]).path
    status, answer, _ = client.ask("PUT", path, content)
    if status != 200:
        raise SystemExit(f"PUT: {status} {answer[:300]!r}")


def commit(client: Client, name: str, files: int) -> None:
    """A repository of many small files in ten folders."""
    client.json("POST", "/api/repos/create", {"name": name.partition("/")[2]})
    line = '{{"key":"file","value":{{"path":"{}/{:05}.txt","content":"{}","encoding":"utf-8"}}}}\n'
    body = "".join(line.format(number % 10, number, f"{name} {number}") for number in range(files))
    status, answer, _ = client.ask("POST", f"/api/models/{name}/commit/main", body.encode())
    if status != 200:
        raise SystemExit(f"commit: {status} {answer[:300]!r}")


def replay(client: Client, name: str, sent: list[tuple[str, bytes]]) -> None:
    """The same upload to another repository."""
    found = client.json("GET", f"/api/models/{name}/xet-write-token/main")
    other, base = Client(client.connection.port, found["accessToken"]), urlsplit(found["casUrl"]).path
    for path, body in sent:
        status, answer, _ = other.ask("POST", base + path, body)
        if status != 200:
            raise SystemExit(f"POST {path}: {status} {answer[:300]!r}")


def peak_megabytes(pid: int) -> float:
    """Largest resident size of a process so far."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def nginx_text(folder: Path, port: int, plain_port: int, hub_port: int, data: Path) -> str:
    """The configuration of the bundle over http, and a server of plain files beside it."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    text = re.sub(r"\n *(ssl_.*|listen \[::\].*);", "", text[: text.rindex("server {")])
    text = text.replace("listen 443 ssl http2;", f"listen 127.0.0.1:{port};")
    text = text.replace("127.0.0.1:8080", f"127.0.0.1:{hub_port}")
    text = text.replace("/var/lib/onnuri-hub/contents/", f"{data}/contents/")
    text += (
        f"server {{ listen 127.0.0.1:{plain_port}; root {folder}/plain; sendfile on; tcp_nopush on; }}\n"
    )
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.getuid() == 0 else ""
    return (
        f"{user}daemon off;\npid {folder}/pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}{text}\n}}\n"
    )


def row(name: str, value: str, bar: str, met: bool | None) -> None:
    """A line of the table."""
    print(
        f"| {name:<52} | {value:>28} | {bar:>12} | {'' if met is None else 'yes' if met else 'NO':>4} |",
        flush=True,
    )


def downloads(
    given: argparse.Namespace, ports: dict[str, int], token: dict[str, str], folder: Path
) -> None:
    """In turns with plain nginx, from a hub behind nginx and from one alone; tokens are of these two."""
    content = os.urandom(given.megabytes << 20)
    (folder / "plain").mkdir()
    (folder / "plain/file").write_bytes(content)
    path = "/kim/large/resolve/main/model.gguf"
    paths = {"plain": "/file", "nginx": path, "alone": path}
    clients = {name: Client(ports[name], "" if name == "plain" else token[name]) for name in paths}
    for name, port in (("nginx", ports["hub"]), ("alone", ports["alone"])):
        client = Client(port, token[name])
        client.json("POST", "/api/repos/create", {"name": "large"})
        put(client, "kim/large", content)
    times: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(given.rounds + 1):
        for name, client in clients.items():
            times[name].append(seconds(lambda: client.fetch(paths[name], len(content))))  # noqa: B023
    rates = {name: given.megabytes / statistics.median(found[1:]) for name, found in times.items()}
    row("GET, plain nginx", f"{rates['plain']:.0f} MB/s", "", None)
    for name, label, bar in (("nginx", "GET, hub behind nginx", 0.8), ("alone", "GET, hub alone", 0.0)):
        ratio = rates[name] / rates["plain"]
        met = ratio >= bar if bar else None
        row(label, f"{rates[name]:.0f} MB/s = {ratio:.2f} of plain", f">= {bar}" if bar else "", met)


def processor_seconds(pid: int) -> float:
    """What a process has computed so far, which other load of the machine does not stretch."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write(path: Path, content: bytes) -> None:
    """A file, on disk when this returns."""
    with path.open("wb") as stream:
        for start in range(0, len(content), PIECE):
            stream.write(content[start : start + PIECE])
        os.fsync(stream.fileno())


def uploads(given: argparse.Namespace, own: int, recorder: int, token: str, folder: Path, pid: int) -> None:
    """In turns with sha256 on one core, and with the disk alone."""
    content, direct = os.urandom(given.megabytes << 20), Client(own, token)
    sent = recorded(own, recorder, token, content)
    computed = {"sha256": 0.0, "put": 0.0, "xet": 0.0}
    times: dict[str, list[float]] = {"disk": [], "sha256": [], "put": [], "xet": []}
    for number in range(given.rounds):
        other = random.randbytes(16) + content[16:]
        oid = hashlib.sha256(other).hexdigest()
        direct.json("POST", "/api/repos/create", {"name": f"put-{number}"})
        times["disk"].append(seconds(lambda: write(folder / "written", content)))
        began = time.process_time()
        times["sha256"].append(seconds(lambda: hashlib.sha256(content)))
        computed["sha256"] += time.process_time() - began
        at = [processor_seconds(pid)]
        times["put"].append(seconds(lambda: upload(direct, f"kim/put-{number}", other, oid)))  # noqa: B023
        at.append(processor_seconds(pid))
        times["xet"].append(seconds(lambda: replay(direct, f"kim/put-{number}", sent)))  # noqa: B023
        at.append(processor_seconds(pid))
        computed["put"] += at[1] - at[0]
        computed["xet"] += at[2] - at[1]
    rates = {name: given.megabytes / statistics.median(found) for name, found in times.items()}
    row("one file written and synced", f"{rates['disk']:.0f} MB/s", "", None)
    row("sha256, one core", f"{rates['sha256']:.0f} MB/s", "", None)
    for name, label, bar in (
        ("put", "PUT (LFS basic), hub alone", 0.25),
        ("xet", "xet upload, recorded", 0.12),
    ):
        ratio = rates[name] / rates["sha256"]
        row(label, f"{rates[name]:.0f} MB/s = {ratio:.2f} of sha256", f">= {bar}", ratio >= bar)
        ratio = computed["sha256"] / computed[name]
        row("    by the server's own computing", f"{ratio:.2f} of sha256", "", None)


def answers(given: argparse.Namespace, own: int, token: str) -> None:
    """HEAD among many repositories, and pages of a large one."""
    client = Client(own, token)
    for number in range(given.repositories):
        commit(client, f"kim/many-{number}", 1000)
    commit(client, "kim/wide", 10_000)
    times = []
    for _ in range(2000):
        number, file = random.randrange(given.repositories), random.randrange(1000)
        path = f"/kim/many-{number}/resolve/main/{file % 10}/{file:05}.txt"
        times.append(1000 * seconds(lambda: client.ask("HEAD", path)))  # noqa: B023
    half, most = statistics.median(times), statistics.quantiles(times, n=20)[-1]
    row(
        f"HEAD, {given.repositories} repositories of 1,000 files",
        f"p50 {half:.1f}, p95 {most:.1f} ms",
        "p95 <= 10",
        most <= 10,
    )
    path = "/api/models/kim/wide/tree/main?recursive=true"
    pages: list[float]
    for query in ("", "&expand=true"):
        pages, address = [], path + query
        while address and len(pages) < 12:
            began = time.perf_counter()
            status, _, headers = client.ask("GET", address)
            pages.append(time.perf_counter() - began)
            link = re.match(r"<https?://[^/]+(.*?)>", headers.get("link", ""))
            address = link[1] if status == 200 and link else ""
        name = "page of 50, expanded" if query else "page of 1,000"
        row(f"tree of 10,000 files, {name}", f"slowest {max(pages):.2f} s", "< 1 s", max(pages) < 1)


def memory(given: argparse.Namespace, own: int, token: str, pid: int) -> None:
    """Four uploads at a time."""
    contents = [random.randbytes(16) + bytes(given.megabytes << 20) for _ in range(4)]
    clients = [Client(own, token) for _ in contents]
    for number, client in enumerate(clients):
        client.json("POST", "/api/repos/create", {"name": f"memory-{number}"})
    threads = [
        threading.Thread(
            target=upload,
            args=(client, f"kim/memory-{number}", content, hashlib.sha256(content).hexdigest()),
        )
        for number, (client, content) in enumerate(zip(clients, contents, strict=True))
    ]
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # the largest size counts from now on
    before = peak_megabytes(pid)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = peak_megabytes(pid)
    row(
        "memory of the server, before / at most in 4 uploads",
        f"{before:.0f} / {after:.0f} MB",
        "<= 300",
        after <= 300,
    )


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=int, default=256, help="size of the large file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repositories", type=int, default=100)
    parser.add_argument("--folder", default=None, help="where data goes for the time of the run")
    given = parser.parse_args()
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        raise SystemExit("nginx is not installed: apt-get install nginx")
    ports = {name: free_port() for name in ("hub", "nginx", "plain", "alone", "recorder")}
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        token, commands = {}, {}
        options = ["accel=/contents/", f"url=http://127.0.0.1:{ports['recorder']}"]
        for each, data, port, words in (
            ("nginx", folder / "hub", ports["hub"], options),
            ("alone", folder / "alone", ports["alone"], []),
        ):
            data.mkdir()
            token[each] = token_of(data)
            command = [sys.executable, str(ROOT / "scripts/hub.py"), f"data={data}", f"port={port}", *words]
            commands[each] = command
        text = nginx_text(folder, ports["nginx"], ports["plain"], ports["hub"], folder / "hub")
        (folder / "nginx.conf").write_text(text, encoding="utf-8")
        row("", "measured", "bar", None)
        row("-" * 52, "-" * 28, "-" * 12, None)
        with (
            process(commands["nginx"], ports["hub"], folder / "hub.log") as pid,
            process([nginx, "-c", str(folder / "nginx.conf")], ports["nginx"], folder / "nginx.log"),
        ):
            memory(given, ports["hub"], token["nginx"], pid)
            with process(commands["alone"], ports["alone"], folder / "alone.log"):
                downloads(given, ports, token, folder)
            uploads(given, ports["hub"], ports["recorder"], token["nginx"], folder, pid)
            answers(given, ports["hub"], token["nginx"])
            row("memory of the server at the end, largest", f"{peak_megabytes(pid):.0f} MB", "", None)


if __name__ == "__main__":
    main()
