"""Keys, the audit, the masked log, TLS: what a server keeps, and whom it lets in."""

from __future__ import annotations

import datetime
import json
import os
import random
import re
import signal
import ssl
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

pytest.importorskip("uvicorn")
from onnuri.base.errors import UserError
from onnuri.corpus.stages.pii.mask import KINDS, find
from onnuri.run import daily_chain
from onnuri.run.chain import LEDGER_FILE
from onnuri.serve import audit
from onnuri.serve.masked_log import MaskedLog, erase
from onnuri.serve.report import key_table
from tests.conftest import run_command
from tests.serve.serving import Client, Server, content, conversation, running, wait_until

pytestmark = pytest.mark.extra("serve")
CHAT = "/v1/chat/completions"
SOAK = bool(os.environ.get("ONNURI_SOAK"))


def make_key(state: Path, name: str, *words: str) -> tuple[str, str]:
    """(id, secret) of a new key."""
    shown = run_command("serve", "keys", "create", f"state={state}", f"name={name}", *words).stdout
    found = re.fullmatch(r"key (\w+) for .*; it is shown only now:\n(sk-onnuri-\S+)\n", shown)
    assert found, shown
    return found[1], found[2]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("served") / "state"


@pytest.fixture(scope="module")
def secret(state: Path) -> str:
    return make_key(state, "김 주무관")[1]


@pytest.fixture(scope="module")
def guarded(folders: Path, state: Path, secret: str) -> Iterator[Server]:
    """With keys, audit and masked log."""
    with running(state.parent, f"model={folders / 'chat'}", f"state={state}", "log=masked") as server:
        yield server


def test_only_keys_let_in(guarded: Server, state: Path, secret: str) -> None:
    with guarded.client() as nobody:
        assert nobody.get("/health").status_code == 200
        assert nobody.get("/page/info").json()["key_needed"] is True
        for path in ("/v1/models", "/metrics"):
            answer = nobody.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert nobody.refused(CHAT, 401, **conversation())["type"] == "authentication_error"
    for wrong in (secret[:-1], secret + "x", "sk-"):
        with guarded.client(wrong) as other:
            assert other.refused("/tokenize", 401, prompt="x")["code"] == "invalid_api_key"
    with guarded.client(secret) as client:
        assert content(client.chat(max_tokens=2))
    kept = (state / "keys.json").read_text(encoding="utf-8")
    assert secret not in kept and secret[10:] not in kept and "김 주무관" in kept
    assert stat.S_IMODE((state / "keys.json").stat().st_mode) == 0o600


def test_a_revoked_key_ends_at_once(guarded: Server, state: Path) -> None:
    number, secret = make_key(state, "잠시", "requests_per_minute=2")
    with guarded.client(secret) as client:
        assert client.get("/v1/models").status_code == 200
        assert client.get("/v1/models").status_code == 200
        limited = client.get("/v1/models")
        assert limited.status_code == 429 and int(limited.headers["retry-after"]) >= 1
        assert limited.json()["error"]["type"] == "rate_limit_error"
        assert (
            "is revoked" in run_command("serve", "keys", "revoke", f"state={state}", f"id={number}").stdout
        )
        assert client.get("/v1/models").status_code == 401
    again = run_command("serve", "keys", "revoke", f"state={state}", f"id={number}", check=False)
    assert again.returncode == 2 and "is no key in use" in again.stderr


def test_usage_by_key(guarded: Server, state: Path) -> None:
    number, secret = make_key(state, "세는 이")
    with guarded.client(secret) as client:
        counts = [client.chat(max_tokens=tokens)["usage"] for tokens in (3, 5)]
        counted = 'onnuri_requests_total{route="/v1/chat/completions",status="200",key="세는 이"} 2'
        wait_until(lambda: counted in client.get("/metrics").text, "both are counted")
        metrics = client.get("/metrics").text
    assert 'onnuri_tokens_total{model="chat",key="세는 이",kind="completion"} 8' in metrics
    listed = run_command("serve", "keys", "list", f"state={state}").stdout
    (line,) = [line for line in listed.splitlines() if line.startswith(number)]
    prompt = sum(each["prompt_tokens"] for each in counts)
    assert line.split()[-3:] == ["2", str(prompt), "8"]


def test_the_audit_holds_counts_in_a_chain(guarded: Server, state: Path, secret: str) -> None:
    with guarded.client(secret) as client:
        answer = client.post(CHAT, json={"model": "chat", **conversation("비밀 낱말")})
    number = answer.headers["x-request-id"]
    lines = [line for line in daily_chain.lines(state) if line.get("request") == number]
    assert [line["event"] for line in lines] == ["request", "answer"]
    asked, answered = lines
    assert asked["route"] == CHAT and asked["prompt_tokens"] == answered["prompt_tokens"] > 0
    assert answered["completion_tokens"] == 12 and answered["complete"] is True
    written = "".join(path.read_text(encoding="utf-8") for path in (state / "audit").rglob("*.jsonl"))
    assert "비밀" not in written and secret not in written


def test_an_edited_audit_is_found(tmp_path: Path) -> None:
    kept = daily_chain.Audit(tmp_path)
    for number in range(3):
        kept.add("answer", {"request": str(number), "key": "", "prompt_tokens": 1, "completion_tokens": 2})
    kept.sync()
    (path,) = (tmp_path / "audit").rglob(LEDGER_FILE)
    assert audit.usage_by_key(tmp_path)[""]["completion_tokens"] == 6
    path.write_text(path.read_text().replace('"completion_tokens":2', '"completion_tokens":1', 1))
    with pytest.raises(UserError, match="was changed"):
        [*daily_chain.lines(tmp_path)]


def test_two_servers_do_not_share_an_audit(guarded: Server, folders: Path, state: Path) -> None:
    second = run_command("serve", f"model={folders / 'chat'}", "port=0", f"state={state}", check=False)
    assert second.returncode == 2 and second.stderr.count("\n") == 1
    assert f"state={state} is in use by another server" in second.stderr


def test_a_damaged_audit_says_how_to_start_again(tmp_path: Path) -> None:
    kept = daily_chain.Audit(tmp_path)
    kept.add("answer", {"request": "a"})
    (path,) = (tmp_path / "audit").rglob(LEDGER_FILE)
    path.write_text(path.read_text().replace('"a"', '"b"'))
    kept.close()
    with pytest.raises(UserError, match=f"move {path.parent} elsewhere") as refused:
        daily_chain.Audit(tmp_path)
    assert "train" not in str(refused.value)
    path.parent.rename(tmp_path / "kept")
    daily_chain.Audit(tmp_path).add("answer", {"request": "c"})
    assert [line.get("request") for line in daily_chain.lines(tmp_path)] == [None, "c"]


def test_keys_are_listed_beside_a_damaged_audit(tmp_path: Path) -> None:
    number, _ = make_key(tmp_path, "남는 이")
    kept = daily_chain.Audit(tmp_path)
    kept.add("answer", {"request": "a", "key": number, "prompt_tokens": 1, "completion_tokens": 2})
    kept.close()
    assert number in key_table(str(tmp_path)) and "?" not in key_table(str(tmp_path))
    (path,) = (tmp_path / "audit").rglob(LEDGER_FILE)
    path.write_text(path.read_text().replace('"a"', '"b"'))
    _, line, problem = key_table(str(tmp_path)).splitlines()
    assert line.startswith(number) and line.endswith("?") and str(path) in problem


def test_a_day_follows_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_800_000_000.0
    monkeypatch.setattr(time, "time", lambda: now)
    kept = daily_chain.Audit(tmp_path)
    kept.add("answer", {"request": "a"})
    now += 86_400
    kept.add("answer", {"request": "b"})
    assert [line.get("request") for line in daily_chain.lines(tmp_path)] == [None, "a", None, "b"]
    first, second = sorted((tmp_path / "audit").iterdir())
    lines = (first / LEDGER_FILE).read_text().splitlines(keepends=True)
    (first / LEDGER_FILE).write_text("".join(lines[:-1]))
    with pytest.raises(UserError, match="does not follow the day before"):
        [*daily_chain.lines(tmp_path)]
    assert second.name == "2027-01-16"


def test_a_killed_server_loses_no_line(folders: Path, tmp_path: Path) -> None:
    """What was answered is on record, and the chain goes on; of the answer that was cut, that it began."""
    words = (f"model={folders / 'chat'}", f"state={tmp_path}")
    asked = []
    for _ in range(2):
        with running(tmp_path, *words) as server, server.client() as client:
            for _ in range(3):
                answer = client.post(CHAT, json={"model": "chat", **conversation(max_tokens=2)})
                asked.append(answer.headers["x-request-id"])
            with client.stream(
                "POST", CHAT, json={"model": "chat", **conversation(max_tokens=900, stream=True)}
            ):
                server.process.send_signal(signal.SIGKILL)
                server.process.wait(60)
    lines = [*daily_chain.lines(tmp_path)]
    assert [line["request"] for line in lines if line["event"] == "answer"] == asked
    assert len([line for line in lines if line["event"] == "request"]) == len(asked) + 2


def invented(draw: random.Random) -> str:
    """Personal data of nobody, in a sentence; resident numbers have the right check digit."""
    year, month, day = draw.randrange(60, 99), draw.randrange(1, 13), draw.randrange(1, 29)
    digits = [*map(int, f"{year:02}{month:02}{day:02}{draw.choice('12')}{draw.randrange(10**5):05}")]
    weights = (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)
    check = (11 - sum(a * b for a, b in zip(digits, weights, strict=True)) % 11) % 10
    resident = "".join(map(str, digits)) + str(check)
    phone = f"010-{draw.randrange(2000, 9999)}-{draw.randrange(10**4):04}"
    mail = f"user{draw.randrange(10**5)}@mail{draw.randrange(100)}.co.kr"
    return f"저는 주민등록번호 {resident[:6]}-{resident[6:]}이고 전화는 {phone}, 메일은 {mail}입니다."


def test_the_masked_log_holds_no_personal_data(guarded: Server, state: Path, secret: str) -> None:
    draw = random.Random(1)
    texts = [invented(draw) for _ in range(1000 if SOAK else 15)]
    with guarded.client(secret) as client:
        for text in texts:
            assert client.chat(text, max_tokens=1)
    records: list[dict[str, Any]] = []
    written = ""

    def all_written() -> bool:
        nonlocal written
        written = "".join(path.read_text(encoding="utf-8") for path in (state / "log").glob("*.jsonl"))
        found = map(json.loads, written.splitlines())
        records[:] = [each for each in found if "저는" in each["asked"][0]["text"]]
        return len(records) >= len(texts)

    wait_until(all_written, "every request is logged")
    for text in texts:
        for value in re.findall(r"\d{6}-\d{7}|010-\d{4}-\d{4}|\S+@\S+kr", text):
            assert value not in written
    for record in records:
        assert (
            record["asked"][0]["text"]
            == "저는 주민등록번호 <|rrn|>이고 전화는 <|phone|>, 메일은 <|email|>입니다."
        )
        assert not [span for span in find(record["asked"][0]["text"]) if span.kind in KINDS]
    number = records[0]["request"]
    assert run_command("serve", "erase", f"state={state}", f"request={number}").stdout.startswith(
        "1 record(s)"
    )
    assert number not in "".join(path.read_text() for path in (state / "log").glob("*.jsonl"))
    assert run_command("serve", "erase", f"state={state}", f"request={number}", check=False).returncode == 1
    (file,) = (state / "log").glob("*.jsonl")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_old_days_are_deleted(tmp_path: Path) -> None:
    log = MaskedLog(tmp_path, days=30)
    log.write("a", {"key": ""}, [("user", "오늘")], ["답"])
    for name in ("2020-01-01", "2020-01-02"):
        (tmp_path / "log" / f"{name}.jsonl").write_text('{"request": "b"}\n{"request": "c"}\n')
    assert erase(tmp_path, "b") == 2
    assert log.delete_old(time.time()) == ["2020-01-01.jsonl", "2020-01-02.jsonl"]
    (left,) = (tmp_path / "log").glob("*.jsonl")
    assert "오늘" in left.read_text(encoding="utf-8")
    assert log.delete_old(time.time() + 29 * 86_400) == [] and log.delete_old(time.time() + 31 * 86_400)


def test_a_line_that_was_cut_off_stops_neither_log_nor_erasing(tmp_path: Path) -> None:
    log = MaskedLog(tmp_path, 30)
    log.write("a", {}, [("user", "처음")], ["답"])
    (path,) = (tmp_path / "log").glob("*.jsonl")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"request": "b", "asked": [{"te')
    log.write("c", {}, [("user", "다음")], ["답"])
    assert erase(tmp_path, "c") == 1 and erase(tmp_path, "b") == 1
    assert path.read_bytes() == whole


def test_a_log_that_cannot_be_written_is_reported(folders: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    words = (f"model={folders / 'chat'}", f"state={state}", "log=masked")
    with running(tmp_path, *words) as server, server.client() as client:
        (state / "log").write_text("")
        client.chat("비밀 낱말", max_tokens=2)
        wait_until(lambda: "is not in the log of texts" in server.printed(), "the log says so")
        assert "Traceback" not in server.printed() and "비밀" not in server.printed()


def test_a_public_address_needs_a_key(folders: Path, tmp_path: Path) -> None:
    words = [f"model={folders / 'chat'}", "host=0.0.0.0", "port=0", f"state={tmp_path}"]
    refused = run_command("serve", *words, check=False)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "onnuri serve keys create" in refused.stderr


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "give model=DIR"),
        (["backend=vllm"], "give model=DIR, or backend=vllm url="),
        (["model={chat}", "log=masked"], "log=masked needs state=DIR"),
        (["model={chat}", "log=all"], "log=all is not known; allowed: none, masked"),
        (["model={chat}", "tls_key=x.pem"], "give both tls_certificate= and tls_key="),
        (["model={chat}", "tls_key=x.pem", "tls_certificate=y.pem"], "does not exist"),
        (["model={chat}", "port=70000"], "port=70000 must be between"),
        (["model={chat}", "slots=0"], "slots=0 must be at least 1"),
        (["model={chat}", "models=[{chat}]"], "two models have the name chat"),
        (["model={chat}/none"], "does not exist"),
        (["model={chat}", "cache_tokens=64"], "cache_tokens=64 must be at least 1,024"),
        (["model={chat}", "context=9999"], "is above what model={chat} reads: 1,024"),
        (["model={chat}", "hosts=[https://x.kr]"], "hosts=[https://x.kr] must be names alone"),
        (["model={chat}", "state={chat}/config.json"], "config.json cannot be a folder"),
        (["keys", "create", "name=x", "state={chat}/config.json"], "config.json cannot be a folder"),
        (["keys", "list", "state={chat}/none"], "none is no folder"),
        (["erase", "request=1", "state={chat}/none"], "none is no folder"),
    ],
)
def test_mistakes_are_one_line(folders: Path, words: list[str], expected: str) -> None:
    done = run_command("serve", *(word.format(chat=folders / "chat") for word in words), check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert expected.format(chat=folders / "chat") in done.stderr


def test_tls(folders: Path, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    chain, private = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    private.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    words = (f"model={folders / 'chat'}", f"tls_certificate={chain}", f"tls_key={private}")
    locked, other = tmp_path / "locked.pem", tmp_path / "other.pem"
    sealed = serialization.BestAvailableEncryption(b"secret")
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, sealed))
    other_key = ec.generate_private_key(ec.SECP256R1())
    other.write_bytes(other_key.private_bytes(serialization.Encoding.PEM, pkcs8, plain))
    for wrong, expected in ((locked, "needs a passphrase"), (other, "the key that belongs to it")):
        done = run_command("serve", *words[:2], f"tls_key={wrong}", check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert f"tls_key={wrong}" in done.stderr and expected in done.stderr
    with running(tmp_path, *words) as server:
        assert server.url.startswith("https://")
        trusted = ssl.create_default_context(cafile=str(chain))
        with Client(base_url=f"https://localhost:{server.port}", verify=trusted, timeout=60) as client:
            assert content(client.chat(max_tokens=2))
            assert client.events(CHAT, **conversation(max_tokens=2))
