"""From a Hugging Face folder to weights to start from, and back: the same bits, the same logits."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.checkpoint.shard_file import TensorSlice
from onnuri.checkpoint.store import load
from onnuri.checkpoint.weights import read_weights_folder, tensor_name
from onnuri.export import import_model as module
from onnuri.export.config import ImportConfig
from onnuri.export.huggingface import write_weights
from onnuri.export.import_model import import_model
from onnuri.export.weights import Weights
from onnuri.hf.weights import load_decoder
from onnuri.model.decoder import Decoder
from onnuri.tokenizer.huggingface import load_tokenizer
from tests.conftest import run_command, save_model, untrained_model

KINDS = {"qwen3": (Qwen3Config, Qwen3ForCausalLM), "llama": (LlamaConfig, LlamaForCausalLM)}
Change = Callable[[Path, dict[str, Any]], None]


def make(folder: Path, kind: str = "qwen3", tied: bool = True, dtype: torch.dtype = torch.float32) -> Path:
    """A random model: every weight, norms too, large enough to matter; several files where it is untied."""
    torch.manual_seed(0)
    config, model = KINDS[kind]
    values = {
        "vocab_size": 250,
        "hidden_size": 48,
        "intermediate_size": 80,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 128,
        "initializer_range": 0.15,
        "rope_theta": 50000.0,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": tied,
    }
    made = model(config(**values)).to(dtype)
    for parameter in made.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    made.save_pretrained(folder, max_shard_size="10GB" if tied else "60KB")
    return folder


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back(kind: str, tied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARD_BYTES", 50_000)
    dtype = torch.float32 if tied else torch.bfloat16
    folder, output = make(tmp_path / "hf", kind, tied, dtype), tmp_path / "weights"
    assert tied == (folder / "model.safetensors").is_file()
    assert import_model(ImportConfig(str(folder), str(output))) == manifest.read(output, "weights")
    facts, config = read_weights_folder(output)
    manifest.verify(output, facts)
    assert len(list(output.glob("shard-*.safetensors"))) > 3
    assert facts.counts == {"parameters": config.num_parameters(), "context_length": 128}
    assert (config.qk_norm, config.tie_embeddings, config.rope_theta) == (kind == "qwen3", tied, 50000.0)

    back = tmp_path / "back"
    back.mkdir()
    write_weights(
        Weights((output,)), config, config.vocab_size, back, str(dtype).removeprefix("torch."), 5.0
    )
    before = {name: part for path in folder.glob("*.safetensors") for name, part in load_file(path).items()}
    after = load_file(back / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) and after[name].dtype == dtype for name in before)

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokens = torch.randint(250, (2, 100), generator=torch.Generator().manual_seed(3))
    model = Decoder(config)
    for name, parameter in model.named_parameters():  # as a rank would read its share
        start = parameter.numel() // 3
        for piece in (
            TensorSlice(parameter.data.view(-1)[:start], 0),
            TensorSlice(parameter.data.view(-1)[start:], start),
        ):
            load(output, {tensor_name(name): piece})
    with torch.no_grad():
        expected = theirs(tokens).logits
        assert expected.std() > 0.5
        torch.testing.assert_close(model(tokens), expected, rtol=0, atol=1e-5)
        assert torch.equal(load_decoder(folder)(tokens), model(tokens))


def test_a_second_time_nothing_is_done(tmp_path: Path, sample: Callable[[str], str]) -> None:
    """Through the command; the tokenizer comes along, and one that does not fit is refused."""
    folder, output = make(tmp_path / "hf"), tmp_path / "weights"
    words = ("import", f"model={folder}", f"output={output}")
    assert "no tokenizer.json: none was imported" in run_command(*words).stdout
    before = (output / "manifest.json").stat().st_mtime_ns
    assert "is up to date" in run_command(*words).stdout
    assert (output / "manifest.json").stat().st_mtime_ns == before
    shutil.copyfile(Path(sample("tokenizer")) / "tokenizer.json", folder / "tokenizer.json")
    refused = run_command(*words, check=False)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1
    assert "has embeddings for 250 tokens, its tokenizer has 1,024" in refused.stderr
    assert "Hugging Face folder of the type qwen3" in run_command("import", "--help").stdout


def test_the_tokenizer_comes_along(tmp_path: Path, sample: Callable[[str], str]) -> None:
    save_model(untrained_model(1024, 64), sample("tokenizer"), tmp_path / "hf")
    import_model(ImportConfig(str(tmp_path / "hf"), str(tmp_path / "weights")))
    assert load_tokenizer(tmp_path / "weights" / "tokenizer").get_vocab_size() == 1024


def config_with(**changes: Any) -> Change:
    def change(folder: Path, config: dict[str, Any]) -> None:
        kept = {name: value for name, value in (config | changes).items() if value != "absent"}
        (folder / "config.json").write_text(json.dumps(kept))

    return change


def weights_with(**changes: torch.Tensor | None) -> Change:
    def change(folder: Path, _: dict[str, Any]) -> None:
        tensors = load_file(folder / "model.safetensors")
        names = {name.replace("__", "."): value for name, value in changes.items()}
        kept = {name: value for name, value in (tensors | names).items() if value is not None}
        save_file(kept, folder / "model.safetensors")

    return change


def replaced(name: str, content: bytes) -> Change:
    return lambda folder, _: (folder / name).write_bytes(content) and None


def index_of(names: Any) -> Change:
    text = json.dumps({"weight_map": names}).encode()
    return replaced("model.safetensors.index.json", text)


def pickled(folder: Path, _: dict[str, Any]) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def cut(folder: Path, _: dict[str, Any]) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


NORM = "model__norm__weight"
REFUSED: dict[str, tuple[Change, str]] = {
    "another type": (
        config_with(model_type="gemma3"),
        "the type 'gemma3', which cannot be imported; known:",
    ),
    "no type": (config_with(model_type="absent"), "is of the type 'None'"),
    "type no text": (config_with(model_type=["qwen3"]), "which cannot be imported"),
    "rope scaling, 4": (
        config_with(rope_parameters=None, rope_scaling={"rope_type": "yarn", "factor": 4.0}),
        "rotary positions are scaled .rope_scaling: yarn",
    ),
    "rope scaling, 5": (
        config_with(rope_parameters={"rope_type": "llama3", "rope_theta": 1e4}),
        "scaled .rope_parameters: llama3",
    ),
    "rope no table": (config_with(rope_scaling=[1]), "rope_scaling is no table"),
    "two thetas": (config_with(rope_theta=1.0), "two values of rope_theta"),
    "part of a head": (config_with(partial_rotary_factor=0.5), "only a part of each head"),
    "bias": (config_with(attention_bias=True), "attention_bias=True is not supported, only False"),
    "activation": (config_with(hidden_act="gelu"), "hidden_act=gelu is not supported, only silu"),
    "window": (config_with(use_sliding_window=True), "sliding windows"),
    "windows": (config_with(layer_types=["full_attention", "sliding_attention"]), "sliding windows"),
    "layers no list": (config_with(layer_types=7), "sliding windows"),
    "quantised": (config_with(quantization_config={"bits": 4}), "quantised"),
    "code": (config_with(auto_map={"AutoModel": "x.Y"}), "code of its own"),
    "no size": (config_with(hidden_size="absent"), "lacks 'hidden_size'"),
    "a text": (config_with(num_hidden_layers="3"), "num_hidden_layers is 3, no such value"),
    "a truth value": (config_with(num_attention_heads=True), "num_attention_heads is True, no such"),
    "no number": (config_with(rms_norm_eps=float("nan")), "rms_norm_eps is nan, no such"),
    "endless": (config_with(hidden_size=10**400), "hidden_size is 1000"),
    "negative": (config_with(head_dim=-2), "must be at least 1"),
    "too large": (config_with(hidden_size=1 << 40), "one of its sizes is a mistake"),
    "many blocks": (config_with(num_hidden_layers=10**6), "35 weights, too few for 1000000 blocks"),
    "a block more": (config_with(num_hidden_layers=4), "has no weight model.layers.3.input_layernorm"),
    "a block less": (config_with(num_hidden_layers=2), "has the weight model.layers.2"),
    "other shape": (config_with(vocab_size=260), r"embed_tokens.weight is \[250, 48\], by its config.json"),
    "config is a list": (replaced("config.json", b"[]"), "holds no JSON object"),
    "config is cut": (replaced("config.json", b'{"a'), "config.json is damaged"),
    "config is deep": (replaced("config.json", b"[" * 100_000), "config.json is damaged"),
    "config is not UTF-8": (replaced("config.json", b"\xff\xfe{}"), "config.json is damaged"),
    "no config": (lambda folder, _: (folder / "config.json").unlink(), "no Hugging Face model folder"),
    "pickle": (pickled, "pytorch_model.bin, which may run code when it is opened"),
    "no weights": (lambda folder, _: (folder / "model.safetensors").unlink(), "has neither"),
    "cut weights": (cut, "model.safetensors cannot be read"),
    "no safetensors": (replaced("model.safetensors", b"\x80" * 64), "model.safetensors cannot be read"),
    "endless header": (
        replaced("model.safetensors", (1 << 60).to_bytes(8, "little") + b"{}"),
        "model.safetensors cannot be read",
    ),
    "index leads out": (index_of({"a": "../x.safetensors"}), "must name safetensors files in its own"),
    "index leads away": (index_of({"a": "/etc/x.safetensors"}), "must name safetensors files in its own"),
    "index to a pickle": (index_of({"a": "x.bin"}), "must name safetensors files in its own"),
    "index of numbers": (index_of({"a": 1}), "must name safetensors files in its own"),
    "index of a list": (index_of([1]), "must name safetensors files in its own"),
    "index of a missing file": (index_of({"a": "b.safetensors"}), "b.safetensors is missing, though"),
    "a weight less": (weights_with(**{NORM: None}), "has no weight model.norm.weight"),
    "a weight more": (weights_with(extra__bias=torch.zeros(1)), "has the weight extra.bias, which this"),
    "integers": (weights_with(**{NORM: torch.zeros(48, dtype=torch.int8)}), "norm.weight is I8, allowed"),
    "8 bits": (weights_with(**{NORM: torch.zeros(48).to(torch.float8_e4m3fn)}), "is F8_E4M3, allowed"),
    "another head": (
        weights_with(lm_head__weight=torch.zeros(250, 48)),
        "lm_head.weight is .* they differ",
    ),
}


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("hf") / "tied")


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_ours_is_one_line(name: str, tied: Path, tmp_path: Path) -> None:
    change, message = REFUSED[name]
    folder = tmp_path / "hf"
    shutil.copytree(tied, folder)
    change(folder, json.loads((folder / "config.json").read_text()))
    with pytest.raises(UserError, match=message) as error:
        import_model(ImportConfig(str(folder), str(tmp_path / "weights")))
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    assert not list(tmp_path.glob("weights*"))


def test_older_folders(tied: Path, tmp_path: Path) -> None:
    """A copy of the embedding as head, buffers of rotary positions, a config as transformers 4 wrote it."""
    folder = tmp_path / "hf"
    shutil.copytree(tied, folder)
    config = json.loads((folder / "config.json").read_text())
    old = {"rope_parameters": None, "rope_theta": 50000, "rope_scaling": None, "sliding_window": None}
    config_with(**old, layer_types="absent", attention_bias="absent")(folder, config)
    head = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    inverse = {"model__layers__0__self_attn__rotary_emb__inv_freq": torch.zeros(8)}
    weights_with(lm_head__weight=head, **inverse)(folder, config)
    tokens = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(load_decoder(folder)(tokens), load_decoder(tied)(tokens))


def test_a_small_llama_config(tmp_path: Path) -> None:
    """Without head_dim and key/value heads, as the first ones were."""
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, num_hidden_layers=1, intermediate_size=64)
    config.vocab_size = 100
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    config_with(head_dim="absent", num_key_value_heads="absent", tie_word_embeddings="absent")(
        tmp_path, values
    )
    found = load_decoder(tmp_path).config
    assert (found.head_dim, found.num_kv_heads, found.tie_embeddings) == (16, 4, False)
