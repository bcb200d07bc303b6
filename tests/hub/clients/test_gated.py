"""Gated repositories, as stock clients and Onnuri's commands meet them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.hf.fetch import model_folder
from tests.hub import consents
from tests.hub.clients.client import VERSIONS, Client
from tests.hub.hubs import Server

NewName = Callable[[], str]
CARD = b"---\nlicense: cc-by-4.0\nextra_gated_prompt: for research\n---\n"
PROGRAM = """
import sys
from datasets import load_dataset
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import GatedRepoError

name, may, cache = sys.argv[1:]
api = HfApi()
assert api.dataset_info(name).gated == "auto"
for call in (lambda: api.auth_check(name, repo_type="dataset"),
             lambda: hf_hub_download(name, "rows.csv", repo_type="dataset"),
             lambda: load_dataset(name, cache_dir=cache)):
    try:
        call()
        assert may == "yes"
    except GatedRepoError:
        assert may == "no"
    except Exception as error:  # datasets has an error of its own
        assert may == "no" and "gated" in str(error), error
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_a_dataset_opens_when_its_terms_are_accepted(
    hub: Server, new_name: NewName, tmp_path: Path, version: str
) -> None:
    name, api = f"lab/{new_name()}", hub.api("kim")
    api.create_repo(name, repo_type="dataset")
    for path, content in (("README.md", CARD), ("rows.csv", b"a,b\n1,2\n")):
        api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id=name, repo_type="dataset")
    api.update_repo_settings(name, repo_type="dataset", gated="auto")
    older = VERSIONS[version]
    park = Client(hub.url, hub.tokens["park"], tmp_path / "park", [older] if older else [])
    park.python(PROGRAM, name, "no", str(tmp_path / "cache"))
    assert "requires approval" in park.hf("download", name, "rows.csv", "--type", "dataset", check=False)
    consents.ask(hub, "park", name)
    park.python(PROGRAM, name, "yes", str(tmp_path / "cache"))
    with hub.client("park") as client:
        client.post(f"/api/datasets/{name}/withdraw-access", json={}).raise_for_status()
    park.home = tmp_path / "another machine"
    park.home.mkdir()
    park.python(PROGRAM, name, "no", str(tmp_path / "another cache"))


def test_onnuri_names_the_page(
    hub: Server, new_name: NewName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, api = f"lab/{new_name()}", hub.api("kim")
    api.create_repo(name)
    api.upload_file(path_or_fileobj=CARD, path_in_repo="README.md", repo_id=name)
    api.update_repo_settings(name, gated="manual")
    monkeypatch.setenv("HF_TOKEN", hub.tokens["park"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(UserError, match=f"asks for consent first: .*; open {hub.url}/{name}$"):
        model_folder(name, hub.url)
