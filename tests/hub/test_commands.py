"""Onnuri's own commands and a hub: what they push comes back, mistakes are one line."""

from __future__ import annotations

import json
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.hf.fetch import fetch, model_folder
from onnuri.hf.hub import endpoint, hub_name
from onnuri.hf.push import prepare, push_folder
from tests.conftest import SCRIPTS, made_once, pretrain, run_command
from tests.hub.apart import ServerApart
from tests.hub.hubs import Server
from tests.test_offline import Cell, cells

NewName = Callable[[], str]
SAMPLE_KINDS = {"model": "model", "corpus": "corpus", "tokens": "tokens"}


@pytest.fixture
def lee(hub: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The hub's address, with the token of `lee` and a cache of its own."""
    monkeypatch.setenv("HF_TOKEN", hub.tokens["lee"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    return hub.url


@pytest.fixture(scope="session")
def run_dir(sample: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, and beside it the exported model."""

    def make(folder: Path) -> None:
        pretrain(1, sample, folder / "run", "train.steps=2")
        run_command("export", f"checkpoint={folder / 'run'}", f"output={folder / 'model'}")

    return made_once(tmp_path_factory, "pushed", make) / "run"


@pytest.fixture
def copy(sample: Callable[[str], str], run_dir: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A folder of the sample run that a test may change."""

    def make(kind: str) -> Path:
        folder = tmp_path / kind
        shutil.copytree(run_dir.parent / "model" if kind == "model" else sample(kind), folder)
        return folder

    return make


def pushed(folder: Path, repository: str, url: str, kind: str) -> str:
    name = prepare(repository, url, "model" if kind == "model" else "dataset")
    assert name is not None
    return push_folder(folder, name, kind)


def test_a_model_goes_up_and_comes_back(
    lee: str, hub: Server, new_name: NewName, copy: Callable[[str], Path]
) -> None:
    folder, name = copy("model"), f"lab/{new_name()}"
    (folder / "evaluation.samples.jsonl").write_text("a licensed benchmark")
    commit = pushed(folder, name, lee, "model")
    info = hub.api("lee").model_info(name)
    assert (info.sha, info.private) == (commit, True)
    found = Path(model_folder(name, lee))
    assert (found.name, found.parent.name) == (name.partition("/")[2], commit)
    manifest.verify(found, manifest.read(found, "model"))
    assert manifest.read(found, "model").identity == manifest.read(folder, "model").identity
    assert not (found / "evaluation.samples.jsonl").exists()
    (folder / "model.sig").write_text("{}")
    with pytest.raises(UserError, match=r"covers evaluation\.samples\.jsonl, which does not go"):
        pushed(folder, name, lee, "model")
    (folder / "model.sig").unlink()
    # The same folder again is no new commit; one with less removes what is gone.
    assert pushed(folder, name, lee, "model") == commit
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "card.json").unlink()
    later = pushed(folder, name, lee, "model")
    assert later != commit and "card.json" not in hub.api("lee").list_repo_files(name)
    # A commit in the cache needs no hub; another branch is another commit.
    assert fetch(hub_name("model", f"{name}@{commit}", lee)) == found
    assert Path(model_folder(f"{name}@main", lee)).parent.name == later


def test_branches(lee: str, hub: Server, new_name: NewName, copy: Callable[[str], Path]) -> None:
    name = f"lab/{new_name()}"
    pushed(copy("model"), f"{name}@trial/1", lee, "model")
    assert "model.safetensors" not in hub.api("lee").list_repo_files(name)
    assert (Path(model_folder(f"{name}@trial/1", lee)) / "model.safetensors").is_file()


def test_a_corpus_goes_up_without_its_rejects(
    lee: str, hub: Server, new_name: NewName, copy: Callable[[str], Path], tmp_path: Path
) -> None:
    folder, name = copy("corpus"), f"lab/{new_name()}"
    assert (folder / "rejected").is_dir()
    pushed(folder, name, lee, "corpus")
    api = hub.api("lee")
    there = tmp_path / "there"
    api.snapshot_download(name, repo_type="dataset", local_dir=there)
    assert not (there / "rejected").exists()
    made, whole = manifest.read_whole(there, "corpus"), manifest.read(folder, "corpus")
    assert made.inputs["whole corpus"] == whole.identity
    card = (there / "README.md").read_text(encoding="utf-8")
    for source, facts in whole.counts["sources"].items():
        assert f"| {source} | {facts['license']} | {facts['legal_basis']} |" in card


def test_shards_go_up_whole(
    lee: str, new_name: NewName, copy: Callable[[str], Path], hub: Server, tmp_path: Path
) -> None:
    folder, name, there = copy("tokens"), f"lab/{new_name()}", tmp_path / "there"
    pushed(folder, name, lee, "tokens")
    hub.api("lee").snapshot_download(name, repo_type="dataset", local_dir=there)
    manifest.verify(there, manifest.read(there, "tokens"))
    assert manifest.read(there, "tokens").identity == manifest.read(folder, "tokens").identity


def test_the_commands(
    lee: str, new_name: NewName, sample: Callable[[str], str], run_dir: Path, tmp_path: Path
) -> None:
    """`export push=`, then `generate`, `evaluate` and `import` from the hub by HF_ENDPOINT or hub=."""
    name = f"lab/{new_name()}"
    words = [f"checkpoint={run_dir}", f"output={tmp_path / 'model'}", f"push={name}", f"hub={lee}"]
    assert f"{lee}/{name}" in run_command("export", *words).stdout
    here = [f"model={name}", f"hub={lee}"]
    text = run_command("generate", *here, "prompt=연구", "max_tokens=4").stdout
    assert text.splitlines()[-1].startswith("연구")
    imported = run_command("import", *here, f"output={tmp_path / 'weights'}").stdout
    assert "parameters" in imported and (tmp_path / "weights" / "manifest.json").is_file()
    scores = tmp_path / "scores.json"
    run_command("evaluate", *here, f"data={sample('corpus')}", "max_documents=2", f"output={scores}")
    assert "total" in json.loads(scores.read_text())


PUBLIC = (
    *(
        "https://huggingface.co",
        "http://HuggingFace.co.",
        "https://hub-ci.huggingface.co:443",
        "https://hf.co/",
    ),
    *("https://cas-server.xethub.hf.co", "https://ｈuggingface.co", "https://kim@huggingface.co"),
    *(
        "https://user@hub.example",
        "https://huggingface%2Eco",
        "hub.example",
        "ftp://hub.example",
        "https://",
    ),
    *("https://hub.example/a", "https://hub.example?x", "https://hub.example:99999", "https://[::1"),
)


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("by_environment", [False, True])
def test_the_public_hub_and_odd_addresses_are_refused(
    address: str, by_environment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_lookup(*_: object, **__: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", no_lookup)
    monkeypatch.setenv("HF_ENDPOINT", address if by_environment else "")
    monkeypatch.setenv("HF_TOKEN", "hf_anything")
    with pytest.raises(UserError, match=r"is the public hub|must be http"):
        prepare("lab/model", "" if by_environment else address, "model")
    with pytest.raises(UserError, match=r"is the public hub|must be http"):
        model_folder("lab/model-that-is-no-folder", "" if by_environment else address)


def test_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.go.kr/")
    assert endpoint("", "x") == "https://hub.example.go.kr"
    assert endpoint("http://[::1]:8080", "x") == "http://[::1]:8080"
    assert endpoint("http://nothuggingface.co:80", "x") == "http://nothuggingface.co:80"


@pytest.mark.parametrize(
    "name", ["lab", "a/b/c", "../b", "a/..", "a/b@", "a/b@x..y", "a--b/c", "lab/model.", ""]
)
def test_names(name: str) -> None:
    with pytest.raises(UserError, match="is no name on a hub"):
        hub_name("push", name, "http://127.0.0.1:1")


def test_mistakes_are_one_line(
    lee: str, hub: Server, new_name: NewName, run_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"lab/{new_name()}"
    words = [f"checkpoint={run_dir}", f"output={tmp_path / 'model'}"]

    def refused(command: str, *given: str) -> str:
        result = run_command(command, *given, check=False)
        assert result.returncode == 2, result.stdout + result.stderr
        (line,) = result.stderr.splitlines()
        return line

    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))
    assert "set HF_TOKEN" in refused("export", *words, f"push={name}", f"hub={lee}")
    assert "no hub is named" in refused("export", *words, f"push={name}")
    assert "give hub=URL or set HF_ENDPOINT" in refused("generate", f"model={name}")
    assert not (tmp_path / "model").exists()
    monkeypatch.setenv("HF_TOKEN", hub.tokens["park"])  # no member of lab
    assert "may not" in refused("export", *words, f"push={name}", f"hub={lee}")
    assert not (tmp_path / "model").exists()
    monkeypatch.setenv("HF_TOKEN", "onnuri_wrong")
    assert "valid token" in refused("export", *words, f"push={name}", f"hub={lee}")
    monkeypatch.setenv("HF_TOKEN", hub.tokens["lee"])
    assert f"has no model {name}" in refused("generate", f"model={name}", f"hub={lee}")
    hub.api("lee").create_repo(name, private=True)
    assert "has no branch, tag or commit v9" in refused("generate", f"model={name}@v9", f"hub={lee}")
    monkeypatch.setenv("HF_TOKEN", hub.tokens["park"])
    assert f"has no model {name}" in refused("generate", f"model={name}", f"hub={lee}")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{unused.getsockname()[1]}"
        assert "cannot be reached" in refused("generate", f"model={name}", f"hub={nobody}")


def test_damage_and_a_full_disk(
    lee: str,
    new_name: NewName,
    copy: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that is not what the hub lists is thrown away, and one that was cut off goes on."""
    name = f"lab/{new_name()}"
    commit = pushed(copy("model"), name, lee, "model")
    wanted = hub_name("model", name, lee)
    with monkeypatch.context() as patch, pytest.raises(UserError, match="9 are free; free some space"):
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=9))
        fetch(wanted)
    (partial,) = (tmp_path / "cache").glob(f"onnuri/hub/*/lab/{commit}/partial")
    whole = (tmp_path / "model" / "model.safetensors").read_bytes()
    (partial / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    (partial / "config.json").write_bytes(b"[")
    with pytest.raises(UserError, match=r"config\.json .* its hash differs"):
        fetch(wanted)
    found = fetch(wanted)
    manifest.verify(found, manifest.read(found, "model"))


@pytest.fixture
def cell(tmp_path: Path) -> Iterator[Cell]:
    yield from cells(tmp_path)


def test_only_the_hub_is_asked(
    cell: Cell, sample: Callable[[str], str], run_dir: Path, tmp_path: Path
) -> None:
    """In a network namespace without a route, whose name server writes down what is asked; no variable
    keeps a library from trying."""
    hub = ServerApart(tmp_path, cell)
    cell.variables = {"HF_TOKEN": hub.tokens["lee"]}

    def command(name: str, *words: str) -> str:
        return cell.python(str(SCRIPTS / f"{name}.py"), *words)

    try:
        push = [f"checkpoint={run_dir}", f"output={tmp_path / 'model'}", "push=lab/model"]
        here = ["model=lab/model", f"hub={hub.url}"]
        with pytest.raises(AssertionError, match="no hub is named"):
            command("export", *push)
        with pytest.raises(AssertionError, match="give hub=URL or set HF_ENDPOINT"):
            command("generate", *here[:1])
        with pytest.raises(AssertionError, match="is the public hub"):
            command("generate", *here[:1], "hub=https://huggingface.co")
        assert cell.attempts() == []
        command("export", *push, f"hub={hub.url}")
        command(
            "pack",
            f"input={sample('corpus')}",
            f"tokenizer={sample('tokenizer')}",
            f"output={tmp_path / 'tokens'}",
            "push=lab/tokens",
            f"hub={hub.url}",
        )
        command("generate", *here, "prompt=연구", "max_tokens=2")
        command("evaluate", *here, f"data={sample('corpus')}", "max_documents=1")
        command("import", *here, f"output={tmp_path / 'weights'}")
        assert cell.attempts() == []
    finally:
        assert hub.stop() == 0, hub.printed()


def test_a_hub_leads_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """A redirect to another address is not followed, though it is on this machine too."""
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{elsewhere.server_port}{self.path}")
            self.end_headers()

    monkeypatch.setenv("HF_TOKEN", "onnuri_secret")
    with (
        HTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere,
        HTTPServer(("127.0.0.1", 0), Redirecting) as hub,
    ):
        for server in (elsewhere, hub):
            threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(UserError, match="which is another address"):
            model_folder("lab/model-of-a-hub", f"http://127.0.0.1:{hub.server_port}")
        for server in (elsewhere, hub):
            server.shutdown()
    assert asked == []
