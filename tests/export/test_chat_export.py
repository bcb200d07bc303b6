"""Exports of chat models: they stop at the end of their turn, and have the template that was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.export.chat import template_sha256
from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from onnuri.tokenizer.special import CHAT_TEMPLATE
from tests.conftest import pretrain

Sample = Callable[[str], str]
ASKED = [{"role": "user", "content": "연구개발과제가 무엇인가요?"}]
SHA256 = template_sha256(CHAT_TEMPLATE)
BASE, CHAT = "base", "chat"


@pytest.fixture(scope="module")
def exports(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same checkpoint as a base model and as a chat model."""
    root = tmp_path_factory.mktemp("exports")
    export(ExportConfig(str(undisturbed), str(root / BASE)))
    export(ExportConfig(str(undisturbed), str(root / CHAT), chat="yes"))
    return {name: root / name for name in (BASE, CHAT)}


def read(folder: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name).read_text())
    return content


def trained_on_conversations(run_dir: Path, folder: Path, chat: dict[str, str], **files: str) -> Path:
    """A copy of a run whose shards are conversations by their manifest, and tokenizer files of its own."""
    shutil.copytree(run_dir, folder)
    data = folder / "data"
    for name, text in files.items():
        (data / "tokenizer" / name.replace("_jinja", ".jinja").replace("_json", ".json")).write_text(text)
    found = read(data, "manifest.json")
    for path in (data / "tokenizer").iterdir():
        facts = {"bytes": path.stat().st_size, "sha256": manifest.hash_file(path)}
        found["files"][f"tokenizer/{path.name}"] = facts
    found["counts"]["chat"] = chat
    manifest.write_json(data / "manifest.json", found)
    run = read(folder, "run.json")
    manifest.write_json(folder / "run.json", run | {"data": manifest.read(data, "tokens").identity})
    return folder


def test_a_chat_model_ends_its_turn(exports: dict[str, Path]) -> None:
    folder = exports[CHAT]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    end, separator = tokenizer.convert_tokens_to_ids(["<|im_end|>", "<|endoftext|>"])
    assert (tokenizer.eos_token, tokenizer.bos_token, tokenizer.pad_token) == (
        "<|im_end|>",
        "<|endoftext|>",
        "<|pad|>",
    )
    for name in ("config.json", "generation_config.json"):
        assert read(folder, name)["eos_token_id"] == [end, separator] == [3, 0]
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        assert read(folder, name)["eos_token"] == "<|im_end|>"
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert read(folder, "training.json")["chat"] == {"template_sha256": SHA256}
    assert f"| chat template | sha256 {SHA256} |" in (folder / "README.md").read_text()


def test_a_base_model_is_what_it_was_before_there_were_chat_models(
    exports: dict[str, Path], undisturbed: Path
) -> None:
    folder = exports[BASE]
    ids = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    sampled = {"do_sample": True, "temperature": 0.8, "top_p": 0.95}
    assert read(folder, "generation_config.json") == ids | sampled
    assert read(folder, "config.json").items() >= ids.items()
    roles = {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "pad_token": "<|pad|>"}
    assert read(folder, "special_tokens_map.json") == roles
    made = read(undisturbed / "data" / "tokenizer", "tokenizer_config.json")
    assert read(folder, "tokenizer_config.json") == made | roles | {"model_max_length": 64}
    assert read(folder, "manifest.json")["settings"] == {
        "dtype": "float32",
        "max_shard_gb": 5.0,
        "format": 3,
    }
    assert "chat" not in read(folder, "training.json")
    assert "chat template" not in (folder / "README.md").read_text()
    for name in ("model.safetensors", "tokenizer.json"):
        assert (folder / name).read_bytes() == (exports[CHAT] / name).read_bytes()


@pytest.mark.parametrize(("kind", "stops"), [(CHAT, True), (BASE, False)])
def test_transformers_stops_at_the_end_of_the_turn(
    kind: str, stops: bool, exports: dict[str, Path]
) -> None:
    """The output head is set so that <|im_end|> is the likeliest token after this prompt."""
    tokenizer = AutoTokenizer.from_pretrained(exports[kind])
    model = AutoModelForCausalLM.from_pretrained(exports[kind]).eval()
    prompt = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, return_tensors="pt")
    with torch.no_grad():
        last = model.model(**prompt).last_hidden_state[0, -1]
        head = model.lm_head.weight.clone()
        head[3] = 100 * last
        model.lm_head.weight = torch.nn.Parameter(head)
        ids = model.generate(**prompt, do_sample=False, max_new_tokens=8)[0].tolist()
    said = ids[prompt["input_ids"].shape[1] :]
    assert said[0] == 3
    assert len(said) == (1 if stops else 8)


def test_the_shards_decide_unless_the_request_does(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = trained_on_conversations(undisturbed, tmp_path / "run", {"template_sha256": SHA256})
    auto = export(ExportConfig(str(run_dir), str(tmp_path / "auto")))
    assert auto.settings["chat"] == {"template_sha256": SHA256}
    assert export(ExportConfig(str(run_dir), str(tmp_path / "auto"), chat="yes")) == auto
    base = export(ExportConfig(str(run_dir), str(tmp_path / "base"), chat="no"))
    assert "chat" not in base.settings
    assert read(tmp_path / "base", "generation_config.json")["eos_token_id"] == 0


def test_the_template_is_the_one_that_was_trained(undisturbed: Path, tmp_path: Path) -> None:
    other = "{% for m in messages %}{{ m['content'] }}<|im_end|>{% endfor %}"
    theirs = trained_on_conversations(
        undisturbed,
        tmp_path / "theirs",
        {"template_sha256": template_sha256(other)},
        chat_template_jinja=other,
    )
    export(ExportConfig(str(theirs), str(tmp_path / "a")))
    ours = trained_on_conversations(
        undisturbed, tmp_path / "ours", {"template_sha256": SHA256}, chat_template_jinja=other
    )
    export(ExportConfig(str(ours), str(tmp_path / "b")))
    for folder, template in ((tmp_path / "a", other), (tmp_path / "b", CHAT_TEMPLATE)):
        assert AutoTokenizer.from_pretrained(folder).chat_template == template
        assert (folder / "chat_template.jinja").read_text() == template
        assert read(folder, "tokenizer_config.json")["chat_template"] == template
        assert read(folder, "training.json")["chat"] == {"template_sha256": template_sha256(template)}
    lost = trained_on_conversations(undisturbed, tmp_path / "lost", {"template_sha256": "ab" * 32})
    with pytest.raises(
        UserError, match="chat=auto: the run was trained with the chat template abababababab"
    ):
        export(ExportConfig(str(lost), str(tmp_path / "c")))
    assert not (tmp_path / "c").exists()


def test_a_tokenizer_without_turns_is_no_chat_model(undisturbed: Path, tmp_path: Path) -> None:
    found = json.loads((undisturbed / "data" / "tokenizer" / "tokenizer.json").read_text())
    for token in found["added_tokens"]:
        token["content"] = token["content"].replace("im_end", "turn_end")
    vocab = found["model"]["vocab"]
    vocab["<|turn_end|>"] = vocab.pop("<|im_end|>")
    run_dir = trained_on_conversations(
        undisturbed, tmp_path / "run", {}, tokenizer_json=json.dumps(found, ensure_ascii=False)
    )
    with pytest.raises(
        UserError, match=r"chat=yes: the tokenizer has no token <\|im_end\|>; chat=no exports"
    ):
        export(ExportConfig(str(run_dir), str(tmp_path / "model"), chat="yes"))
    with pytest.raises(UserError, match="chat=maybe is not known; allowed: auto, yes, no"):
        ExportConfig("a", "b", chat="maybe")


def test_the_ledger_names_the_template(undisturbed: Path, sample: Sample, tmp_path: Path) -> None:
    """In a run whose shards are conversations; others have no such entry."""
    shards, run_dir = tmp_path / "tokens", tmp_path / "run"
    shutil.copytree(sample("tokens"), shards)
    found = manifest.read(shards, "tokens")
    marked = replace(found, counts=found.counts | {"chat": {"template_sha256": SHA256}})
    manifest.write_json(shards / "manifest.json", asdict(marked))
    pretrain(1, lambda _: str(shards), run_dir, "train.steps=1")
    for folder, expected in ((run_dir, SHA256), (undisturbed, None)):
        start = json.loads((folder / "ledger.jsonl").read_text().splitlines()[0])
        assert start["event"] == "start"
        assert start.get("chat_template") == expected
