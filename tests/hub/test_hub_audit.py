"""The audit of a hub: signed heads, what was changed is found and named, the monthly review."""

from __future__ import annotations

import csv
import io
import shutil
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from onnuri.hub.config import HubConfig
from onnuri.hub.heads import HEADS_FILE
from onnuri.hub.hub import Hub
from onnuri.run.chain import LEDGER_FILE
from onnuri.run.daily_chain import lines
from tests.conftest import run_command
from tests.hub.consents import ask
from tests.hub.hubs import SQLITE_ONLY, running


def make_key(folder: Path, name: str) -> tuple[Path, Path]:
    """Files of a new private key and its public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a hub that has stopped, with keys beside it; park was granted access and has downloaded."""
    folder = tmp_path_factory.mktemp("audit")
    private, _ = make_key(folder, "key")
    make_key(folder, "another")
    with running(folder, f"signing_key={private}") as hub:
        api, name = hub.api("kim"), "lab/data"
        api.create_repo(name, repo_type="dataset")
        api.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=name, repo_type="dataset")
        api.update_repo_settings(name, repo_type="dataset", gated="auto")
        ask(hub, "park", name)
        with hub.client("park") as client:
            client.get(f"/datasets/{name}/resolve/main/x").raise_for_status()
            client.post(f"/api/datasets/{name}/withdraw-access").raise_for_status()
    return folder


def verify(folder: Path, key: str = "key-public.pem") -> tuple[int, str]:
    words = [f"public_key={folder / key}"] if key else []
    done = run_command("hub", "verify", f"data={folder / 'hub'}", *words, check=False)
    return done.returncode, done.stdout + done.stderr


def test_an_audit_that_is_whole(stopped: Path) -> None:
    status, printed = verify(stopped)
    assert status == 0 and "signed heads match" in printed, printed
    status, printed = verify(stopped, "another-public.pem")
    assert status == 1 and "was not signed with" in printed


def test_a_person_is_in_the_audit_by_pseudonym_alone(stopped: Path) -> None:
    """A line about consent cannot be deleted from a chain: it names nobody."""
    found = [line for line in lines(stopped / "hub") if line["event"] in ("consent", "withdrawal")]
    assert [line["event"] for line in found] == ["consent", "withdrawal"]
    assert len({line["subject"] for line in found}) == 1
    assert not any("park" in str(value) for line in found for value in line.values())


@pytest.mark.parametrize("what", ["a byte", "the end", "a day", "a head"])
def test_what_was_changed_is_named(stopped: Path, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(stopped, folder)
    (day,) = (folder / "hub" / "audit").glob("????-??-??")
    ledger, heads = day / LEDGER_FILE, folder / "hub" / "audit" / HEADS_FILE
    content = ledger.read_bytes()
    if what == "a byte":
        at = content.index(b'"event":"withdrawal"') + len(b'"event":"w')
        ledger.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        number = content[:at].count(b"\n") + 1
        expected = f"{ledger} line {number} was changed"
    elif what == "the end":
        ledger.write_bytes(b"".join(content.splitlines(keepends=True)[:-3]))
        expected = f"{day} has"
    elif what == "a day":
        shutil.rmtree(day)
        expected = f"{day} has 0 lines"
    else:
        text = heads.read_text()
        heads.write_text(text.replace('"lines": ', '"lines": 1'))
        expected = f"{heads} line 1 was not signed"
    status, printed = verify(folder)
    assert status == 1 and expected in printed, printed


@SQLITE_ONLY
def test_a_day_that_ended_without_a_signature_is_signed_at_the_next_start(
    stopped: Path, tmp_path: Path
) -> None:
    """After a crash: nothing was signed at its end."""
    folder = tmp_path / "copy"
    shutil.copytree(stopped, folder)
    (day,) = (folder / "hub" / "audit").glob("????-??-??")
    (folder / "hub" / "audit" / HEADS_FILE).unlink()
    day.rename(day.with_name("2026-01-01"))
    assert verify(folder)[0] == 1
    Hub(HubConfig(data=str(folder / "hub"), signing_key=str(folder / "key.pem"))).close()
    assert verify(folder)[0] == 0


@SQLITE_ONLY
def test_the_monthly_review(stopped: Path, tmp_path: Path) -> None:
    month = time.strftime("%Y-%m", time.gmtime((next(lines(stopped / "hub")))["time"]))
    output = tmp_path / "review.csv"
    run_command("hub", "review", f"data={stopped / 'hub'}", f"month={month}", f"output={output}")
    rows = {
        row["action"]: row for row in csv.DictReader(io.StringIO(output.read_text(encoding="utf-8-sig")))
    }
    assert (rows["download"]["account"], rows["download"]["reason"]) == ("park", "연구")
    assert rows["download"]["repository"] == "lab/data" and rows["download"]["address"] == "127.0.0.1"
    assert (rows["consent"]["account"], rows["withdrawal"]["account"]) == ("park", "park")
    assert rows["settings"]["account"] == "kim"
    done = run_command("hub", "review", "data=.", "month=2026-13", f"output={output}", check=False)
    assert done.returncode == 2 and "YYYY-MM" in done.stderr
