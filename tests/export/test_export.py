"""From a trained run to a Hugging Face folder: same logits, same greedy tokens, no code of ours needed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from onnuri.base.errors import UserError
from onnuri.checkpoint.shard_file import TensorSlice
from onnuri.checkpoint.store import load
from onnuri.corpus.documents import read_documents
from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export, find_source, plan_files, write_texts
from onnuri.model.config import ModelConfig
from onnuri.model.decoder import Decoder
from onnuri.run.checkpoints import newest_verified
from tests.conftest import pretrain, run_command

Sample = Callable[[str], str]


@pytest.fixture(scope="module", params=["qwen3", "llama"])
def trained(
    request: pytest.FixtureRequest,
    undisturbed: Path,
    sample: Sample,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """A run and its export: the default shape in fp32, and the other one in bf16 and with rows to spare."""
    root = tmp_path_factory.mktemp(request.param)
    run_dir = undisturbed
    if request.param == "llama":
        run_dir = root / "run"
        words = ["model.qk_norm=false", "model.tie_embeddings=false", "engine.precision=bf16"]
        words += ["model.vocab_size=1088"]  # rows beyond the tokenizer
        pretrain(2, sample, run_dir, *words, "train.steps=12")
    run_command("export", f"checkpoint={run_dir}", f"output={root / 'model'}")
    return run_dir, root / "model"


def training_model(run_dir: Path) -> Decoder:
    """The decoder with the weights of the newest checkpoint, without going through the export."""
    found = newest_verified(run_dir)
    assert found is not None
    config = ModelConfig(**json.loads((run_dir / "run.json").read_text())["config"]["model"])
    model = Decoder(config)
    flat = {f"weight/{name}": torch.empty(p.numel()) for name, p in model.named_parameters()}
    load(found[0], {name: TensorSlice(values, 0) for name, values in flat.items()})
    for name, parameter in model.named_parameters():
        parameter.data.copy_(flat[f"weight/{name}"].view(parameter.shape))
    return model.eval()


def real_text(sample: Sample) -> str:
    batch = next(iter(read_documents(sample("corpus"), "heldout", ["text", "lang"])))
    return next(t for t, lang in zip(batch["text"], batch["lang"], strict=True) if lang == "ko")


def test_logits_and_greedy_tokens_are_those_of_training(trained: tuple[Path, Path], sample: Sample) -> None:
    run_dir, folder = trained
    ours = training_model(run_dir)
    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([tokenizer(real_text(sample))["input_ids"][:64]])
    with torch.no_grad():
        expected, found = ours(ids)[..., : len(tokenizer)], theirs(ids).logits
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
        assert expected.std() > 0.1
        prompt = ids[:, :8]
        greedy = prompt
        for _ in range(30):
            logits = ours(greedy)[:, -1:, : len(tokenizer)]
            greedy = torch.cat([greedy, logits.argmax(-1)], dim=1)
    generated = theirs.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=30,
        eos_token_id=-1,
        pad_token_id=1,
    )
    assert generated.tolist() == greedy.tolist()


def test_folder_loads_without_this_project(trained: tuple[Path, Path]) -> None:
    _, folder = trained
    script = (
        "import sys\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
        "tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "model, info = AutoModelForCausalLM.from_pretrained(sys.argv[1], output_loading_info=True)\n"
        "assert not info['missing_keys'] and not info['unexpected_keys'], info\n"
        "ids = tokenizer('연구개발', return_tensors='pt')\n"
        "text = tokenizer.decode(model.generate(**ids, max_new_tokens=5)[0])\n"
        "assert text.startswith('연구개발'), text\n"
        "assert not any(name.split('.')[0] == 'onnuri' for name in sys.modules)\n"
        "print(type(model).__name__, model.dtype)\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split()[0] in ("Qwen3ForCausalLM", "LlamaForCausalLM")
    assert AutoTokenizer.from_pretrained(folder).model_max_length == 64
    assert {p.suffix for p in folder.iterdir()} == {".json", ".safetensors", ".md"}
    assert AutoConfig.from_pretrained(folder).max_position_embeddings == 64


def test_model_card_says_what_went_in(trained: tuple[Path, Path], sample: Sample) -> None:
    run_dir, folder = trained
    card = (folder / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert set(header["language"]) == {"ko", "en"}
    tokens = json.loads(Path(sample("tokens"), "manifest.json").read_text())["counts"]
    for source in tokens["sources"]:
        assert f"| {source['name']} |" in card
        assert source["license"] in card
    assert f"| tokens seen | {12 * 8 * 64:,}" in card
    run = json.loads((run_dir / "run.json").read_text())
    assert run["data"] in card
    assert "FLOPs" in card
    counts = json.loads((folder / "manifest.json").read_text())["counts"]
    config = ModelConfig(**run["config"]["model"] | {"vocab_size": tokens["vocab_size"]})
    assert counts["parameters"] == config.num_parameters()
    assert counts["training_flops"] >= 6 * config.num_parameters(include_embeddings=False) * 12 * 8 * 64


def test_only_what_was_trained_can_be_sampled(trained: tuple[Path, Path]) -> None:
    _, folder = trained
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert model.config.vocab_size == len(tokenizer) == 1024
    generation = json.loads((folder / "generation_config.json").read_text())
    assert "max_length" not in generation
    assert generation["eos_token_id"] == generation["bos_token_id"] == tokenizer.eos_token_id == 0


def test_the_end_of_a_text_is_the_separator_of_the_shards(undisturbed: Path, tmp_path: Path) -> None:
    """A tokenizer from elsewhere may end its texts with a token that training never saw."""
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    source = find_source(str(run_dir / "checkpoints" / "latest"))
    folder = source.tokens_folder / "tokenizer"
    described = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(described | {"eos_token": "<|im_end|>"}))
    write_texts(source, tmp_path, ExportConfig(checkpoint="x", output="y"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.eos_token == tokenizer.bos_token == "<|endoftext|>"
    assert tokenizer.pad_token == "<|pad|>"


def test_sharded_files_and_dtype(trained: tuple[Path, Path], tmp_path: Path) -> None:
    run_dir, whole = trained
    output = tmp_path / "sharded"
    words = [f"checkpoint={run_dir}", f"output={output}", "dtype=bfloat16", "max_shard_gb=0.0001"]
    run_command("export", *words)
    assert len(list(output.glob("model-*-of-*.safetensors"))) > 1
    sharded = AutoModelForCausalLM.from_pretrained(output)
    assert sharded.dtype == torch.bfloat16
    reference = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.bfloat16).state_dict()
    for name, value in sharded.state_dict().items():
        assert torch.equal(value, reference[name]), name
    (output / "evaluation.json").write_text("{}")
    assert "up to date" in run_command("export", *words).stdout
    assert (output / "evaluation.json").exists()
    again = run_command("export", *words[:-2], "dtype=float32").stdout
    assert f"evaluation.json in {output} is of the model before, and goes with it" in again


def test_mistakes_are_one_line(trained: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("do not touch")
    cases = {
        ("checkpoint=/no/such", f"output={tmp_path / 'a'}"): "does not exist",
        (f"checkpoint={tmp_path / 'empty'}", f"output={tmp_path / 'a'}"): "neither a run directory nor",
        ("checkpoint=", f"output={tmp_path / 'a'}"): "the name of the run directory is empty",
        (f"checkpoint={trained[0]}", f"output={mine}"): "no model folder made by onnuri",
        (f"checkpoint={trained[0]}", f"output={tmp_path / 'a'}", "dtype=int3"): "dtype",
    }
    for words, message in cases.items():
        result = run_command("export", *words, check=False)
        assert result.returncode == 2
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
    assert (mine / "thesis.txt").read_text() == "do not touch"
    with pytest.raises(UserError):
        find_source(str(tmp_path / "empty"))


def test_an_altered_run_is_one_line(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    shutil.copytree(undisturbed, run_dir)
    described = json.loads((run_dir / "run.json").read_text())

    def alter(part: str, **changes: Any) -> None:
        config = described["config"] | {part: described["config"][part] | changes}
        (run_dir / "run.json").write_text(json.dumps(described | {"config": config}))

    def refused(match: str) -> None:
        with pytest.raises(UserError, match=match):
            export(ExportConfig(checkpoint=str(run_dir), output=str(tmp_path / "out")))
        assert not list(tmp_path.glob("out*"))

    alter("model", dropout=0.1)
    refused("run.json has the model option 'dropout', which this version does not know")
    alter("model", hidden_size=128)
    refused(r"step-0000012: the checkpoint lacks values of weight/")
    (run_dir / "run.json").write_text(json.dumps(described | {"config": {"model": {}}}))
    refused("run.json is damaged .its config lacks 'model'")
    alter("model")
    (run_dir / "data" / "tokenizer" / "tokenizer_config.json").write_text("{}")
    refused(r"tokenizer_config.json has 2 bytes, the manifest says")


def test_files_are_filled_in_order_up_to_the_limit() -> None:
    assert plan_files({"a": 4, "b": 4, "c": 9, "d": 1}, 8) == [["a", "b"], ["c"], ["d"]]
    assert plan_files({"a": 100}, 8) == [["a"]]
