"""Repositories from one hub to another by a signed folder, and what is refused on the way."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onnuri.base.errors import UserError
from onnuri.hub import accounts
from onnuri.hub.bundles import state
from onnuri.hub.bundles.config import HaveConfig
from onnuri.hub.bundles.export import write_have
from onnuri.hub.config import VerifyConfig
from onnuri.hub.consent import basis
from onnuri.hub.database import Database
from onnuri.hub.repositories import find, move, refs
from onnuri.hub.review import verify
from onnuri.run import chain
from tests.conftest import run_command, untrained_model
from tests.hub.bundling import MODEL, TEXT, Source, edit, export, first, refused, take
from tests.hub.carriers import look, make_key, put, stored
from tests.hub.hubs import SQLITE_ONLY, people, running


@SQLITE_ONLY
def test_a_gated_model_loads_at_another_hub(source: Source, tmp_path: Path) -> None:
    folder, bundle, data = tmp_path / "model", tmp_path / "bundle", tmp_path / "source"
    untrained_model(512, 64).save_pretrained(folder)
    people(data)
    name = "physics/qwen"
    commit = put(data, name, {each.name: each.read_bytes() for each in folder.iterdir()}, gated="auto")
    words = [f"data={data}", f"repositories=[{name}]", f"output={bundle}", f"key={source.key}"]
    run_command("hub", "export", *words)
    with running(tmp_path) as target:
        words = [f"data={target.data}", f"input={bundle}", f"trust=[{source.trust}]", "owner=kim"]
        assert "1 repositories" in run_command("hub", "import", *words).stdout
        again = run_command("hub", "import", *words, check=False)
        assert again.returncode == 2 and "imported already" in again.stderr
        assert target.api("kim").model_info(name).sha == commit
        program = (
            "import sys; from transformers import AutoModelForCausalLM\n"
            "model = AutoModelForCausalLM.from_pretrained(sys.argv[1])\n"
            "print(model.config.vocab_size)"
        )

        def load(who: str) -> subprocess.CompletedProcess[str]:
            environment = os.environ | {
                "HF_ENDPOINT": target.url,
                "HF_TOKEN": target.tokens[who],
                "HF_HOME": str(tmp_path / who),
            }
            environment.pop("HF_HUB_OFFLINE", None)
            command = [sys.executable, "-c", program, name]
            return subprocess.run(
                command, env=environment, capture_output=True, text=True, timeout=240, check=False
            )

        assert load("kim").stdout.strip() == "512"
        with target.client("park") as stranger:
            answer = stranger.get(f"/{name}/resolve/main/config.json")
            assert answer.status_code == 403 and answer.headers["x-error-code"] == "GatedRepo"
            assert stranger.get(f"/api/models/{name}").json()["gated"] == "manual"
    lines = chain.read(target.data / state.TRANSFERS)
    assert [line["event"] for line in lines] == ["import"] and lines[0]["repositories"] == [name]
    assert chain.read(data / state.TRANSFERS)[-1]["bundle"] == lines[0]["bundle"]
    assert verify(VerifyConfig(str(target.data))) == []
    path = target.data / state.TRANSFERS / chain.LEDGER_FILE
    path.write_text(path.read_text().replace("bundle", "Bundle", 1))
    assert "was changed" in verify(VerifyConfig(str(target.data)))[0]


def test_what_arrives(source: Source, receiver: Path) -> None:
    take(receiver, source.bundle, source.trust)
    there, here = look(source.data, MODEL), look(receiver, MODEL)
    assert there and here and (there.gated, here.gated) == ("auto", "manual")
    assert here.card == {"license": "mit"} and here.facts == there.facts
    text = look(receiver, TEXT, "dataset")
    assert text and text.private and not text.gated
    assert stored(receiver) == stored(source.data) & stored(receiver)
    both = []
    for data, each in ((source.data, there), (receiver, here)):
        tables = Database(data)
        with tables.reading() as connection:
            both.append(refs(connection, each.id, "branch"))
            query = "SELECT name, kind FROM accounts WHERE name NOT IN ('kim', 'lee', 'park', 'lab')"
            new = [tuple(row) for row in connection.exec_driver_sql(query)]
        tables.close()
    assert both[0] == both[1]
    assert new == [("physics", "organisation")]


def test_older_repeated_and_forked_bundles(source: Source, receiver: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(source.data, tmp_path / "source"))
    second, third = tmp_path / "second", tmp_path / "third"
    for folder in (second, third):
        put(data, MODEL, {"log": folder.name.encode()})
        export(data, folder, source.key, MODEL)
    refused(receiver, second, r"bundle \d is the next", source.trust)
    take(receiver, second, source.trust, accept_gap=True)
    for folder, why in ((second, "imported already"), (source.bundle, "an older one is refused")):
        with pytest.raises(UserError, match=why):
            take(receiver, folder, source.trust)
    forked = Path(shutil.copytree(third, tmp_path / "forked"))
    edit(forked, source.key, lambda value: value.update(previous="0" * 64))
    with pytest.raises(UserError, match="its hub has made two"):
        take(receiver, forked, source.trust)
    other = Path(shutil.copytree(third, tmp_path / "other"))
    edit(other, source.foreign, lambda value: None)
    with pytest.raises(UserError, match="new_key=true"):
        take(receiver, other, source.trust, source.foreign_trust)
    take(receiver, other, source.trust, source.foreign_trust, new_key=True)
    model = look(receiver, MODEL)
    assert model and model.gated == "manual"


def test_a_have_list_saves_bytes(source: Source, receiver: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(source.data, tmp_path / "source"))
    receiver_key, receiver_trust = make_key(tmp_path, "receiver")
    take(receiver, source.bundle, source.trust)
    put(receiver, "lab/own", {"own.bin": b"of the receiver alone"}, private=True)
    have, bundle = tmp_path / "have.json", tmp_path / "bundle"
    write_have(HaveConfig(data=str(receiver), output=str(have), key=receiver_key))
    listed = json.loads(have.read_bytes())
    assert hashlib.sha256(b"of the receiver alone").hexdigest() not in have.read_text()
    addition = b"what is new" * 1000
    put(data, MODEL, {"new.bin": addition})
    with pytest.raises(UserError, match="signed with none of the keys"):
        export(data, bundle, source.key, have=have, trust=source.trust)
    export(data, bundle, source.key, have=have, trust=receiver_trust)
    sent = sum(path.stat().st_size for path in bundle.glob("volume-*"))
    whole = sum(path.stat().st_size for path in source.bundle.glob("volume-*"))
    assert sent == len(addition) and whole > 170_000
    value = json.loads((bundle / "bundle.json").read_bytes())
    assert (value["receiver"], value["sequence"]) == (listed["receiver"], 1)
    take(receiver, bundle, source.trust)
    model, there = look(receiver, MODEL), look(data, MODEL)
    assert model and there and model.facts == there.facts
    people(tmp_path / "third")
    with pytest.raises(UserError, match="is for hub"):
        take(tmp_path / "third", bundle, source.trust)


def test_commits_that_do_not_follow(source: Source, receiver: Path, tmp_path: Path) -> None:
    take(receiver, source.bundle, source.trust)
    data = Path(shutil.copytree(source.data, tmp_path / "source"))
    put(data, MODEL, {"theirs": b"1"})
    own = put(receiver, MODEL, {"ours": b"2"})
    bundle = tmp_path / "bundle"
    export(data, bundle, source.key)
    with pytest.raises(UserError, match=rf"branch main is at {own[:12]} here.*rename the repository"):
        take(receiver, bundle, source.trust, accept_gap=True)
    text, model = look(receiver, TEXT, "dataset"), look(receiver, MODEL)
    assert text and model


def test_a_namespace_needs_an_owner(source: Source, unchanged: Path) -> None:
    refused(unchanged, source.bundle, "physics is not a user or organisation here", source.trust, owner="")
    refused(unchanged, source.bundle, "give owner=NAME", source.trust, owner="lab")


def test_another_user_does_not_leave_files_that_the_hub_cannot_read(
    source: Source, unchanged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: unchanged.stat().st_uid + 1)
    refused(unchanged, source.bundle, "run this as the user that the hub runs as", source.trust)


def test_two_repositories_that_are_one_here(source: Source, receiver: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(source.data, tmp_path / "source"))
    take(receiver, source.bundle, source.trust)
    tables = Database(receiver)
    with tables.writing() as connection:
        model = find(connection, "model", *MODEL.split("/"))
        assert model
        move(connection, model, model.owner, "other")
    tables.close()
    put(data, "physics/other", {"x": b"x"})
    export(data, tmp_path / "both", source.key, MODEL, "physics/other")
    with pytest.raises(UserError, match="are both physics/other here"):
        take(receiver, tmp_path / "both", source.trust, accept_gap=True)
    put(data, MODEL, {"config.json": b'{"model_type": "new"}'})
    export(data, tmp_path / "one", source.key, MODEL)
    take(receiver, tmp_path / "one", source.trust, accept_gap=True)
    here = look(receiver, "physics/other")
    assert here and here.facts["config"] == {"model_type": "new"}


def test_an_interrupted_import_copies_only_the_rest(source: Source, receiver: Path, tmp_path: Path) -> None:
    """kill -9 after the second content that was taken over."""
    program = (
        "import os, signal, sys\n"
        "from onnuri.hub.blobs import FileStore\n"
        "from onnuri.hub.bundles.config import ImportConfig\n"
        "from onnuri.hub.bundles.take import import_bundle\n"
        "add, number = FileStore.add, 0\n"
        "def add_or_die(store, path, sha256):\n"
        "    global number\n"
        "    add(store, path, sha256)\n"
        "    number += 1\n"
        "    if number == 2:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "FileStore.add = add_or_die\n"
        "data, folder, trust = sys.argv[1:]\n"
        "import_bundle(ImportConfig(data=data, input=folder, trust=[trust], owner='kim'))\n"
    )
    command = [sys.executable, "-c", program, str(receiver), str(source.bundle), source.trust]
    died = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    before = {path: path.stat().st_ino for path in (receiver / "contents").glob("??/*")}
    assert len(before) == 2 and look(receiver, MODEL) is None
    take(receiver, source.bundle, source.trust)
    value = json.loads((source.bundle / "bundle.json").read_bytes())
    (line,) = chain.read(receiver / state.TRANSFERS)
    assert line["copied"] == len(value["contents"]) - 2
    assert {path: path.stat().st_ino for path in before} == before
    assert look(receiver, MODEL) and len(stored(receiver)) == len(value["contents"])


def test_an_interrupted_export_gets_its_name(source: Source, tmp_path: Path) -> None:
    data, bundle = Path(shutil.copytree(source.data, tmp_path / "source")), tmp_path / "bundle"
    export(data, bundle, source.key, MODEL)
    whole = hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest()
    bundle.rename(tmp_path / "bundle.partial")  # as it is before its name
    export(data, bundle, source.key, MODEL)
    assert hashlib.sha256((bundle / "bundle.json").read_bytes()).hexdigest() == whole
    (tmp_path / "other.partial").mkdir()
    with pytest.raises(UserError, match=r"other.partial is there already"):
        export(data, tmp_path / "other", source.key, MODEL)


def test_what_is_not_exported(source: Source, tmp_path: Path) -> None:
    for name, why in (("lab/none", "there is no model lab/none"), (TEXT, "there is no model")):
        with pytest.raises(UserError, match=why):
            export(source.data, tmp_path / "bundle", source.key, name)
    data = Path(shutil.copytree(source.data, tmp_path / "source"))
    tables = Database(data)
    with tables.writing() as connection:
        connection.exec_driver_sql("UPDATE repositories SET disabled = 1")
        assert accounts.find_account(connection, "kim")
    tables.close()
    with pytest.raises(UserError, match="was closed by an administrator"):
        export(data, tmp_path / "bundle", source.key, MODEL)
    with pytest.raises(UserError, match="is not the folder of a hub"):
        export(tmp_path, tmp_path / "bundle", source.key, MODEL)
    (content,) = (data / "contents").glob(f"??/{hashlib.sha256(b'{}').hexdigest()}")
    content.write_bytes(b"[]")
    tables = Database(data)
    with tables.writing() as connection:
        connection.exec_driver_sql("UPDATE repositories SET disabled = 0")
    tables.close()
    with pytest.raises(UserError, match="is damaged: restore it from a backup"):
        export(data, tmp_path / "bundle", source.key, MODEL)


def test_what_may_leave_and_what_may_be_public(source: Source, receiver: Path, tmp_path: Path) -> None:
    """A source that may not be given on stays; what is stated of others arrives with them."""
    data = Path(shutil.copytree(source.data, tmp_path / "source"))
    statement = {"name": "minutes", "license": "KOGL-1", "legal_basis": "public-data"}

    def state_sources(hub: Path, **facts: Any) -> None:
        tables = Database(hub)
        with tables.writing() as connection:
            found = find(connection, "dataset", *TEXT.split("/"))
            assert found
            basis.state(connection, found, "kim", [statement | facts])
        tables.close()

    for facts, why in (
        ({"license": "LicenseRef-AIHub"}, "the licence forbids passing the data on"),
        ({"legal_basis": "unverified"}, "licence and legal basis are unverified"),
    ):
        state_sources(data, **facts)
        with pytest.raises(UserError, match=f"must not leave this hub: {why}"):
            export(data, tmp_path / "bundle", source.key)
    state_sources(data)
    export(data, tmp_path / "bundle", source.key)
    take(receiver, tmp_path / "bundle", source.trust, accept_gap=True)
    text = look(receiver, TEXT, "dataset")
    tables = Database(receiver)
    with tables.reading() as connection:
        assert text and basis.stated(connection, text)["minutes"]["license"] == "KOGL-1"
    tables.close()
    unverified = {"x": {"license": "", "legal_basis": "unverified", "reference": "", "recipients": []}}
    people(tmp_path / "third")
    edit(tmp_path / "bundle", source.key, lambda value: first(value).update(sources=unverified, gated=""))
    take(tmp_path / "third", tmp_path / "bundle", source.trust, accept_gap=True)
    model = look(tmp_path / "third", MODEL)
    assert model and model.private, "a hub that lets out what it must not does not make it public here"
