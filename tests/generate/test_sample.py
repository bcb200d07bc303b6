"""Sampling: greedy equals Hugging Face's own, seeds repeat, text is never half a syllable."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM, Qwen3ForCausalLM

from onnuri.base.errors import UserError
from onnuri.generate.config import GenerateConfig
from onnuri.generate.sample import Generator, choose, continuation, read_prompts
from tests.conftest import SCRIPTS, run_command, save_model, untrained_model

Sample = Callable[[str], str]


@pytest.fixture(scope="module")
def folder(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model: it says random tokens, many of which cut syllables."""
    folder = tmp_path_factory.mktemp("model")
    save_model(untrained_model(1024, 128), sample("tokenizer"), folder)
    return folder


def options(**values: object) -> GenerateConfig:
    return GenerateConfig(model="x", **values)  # type: ignore[arg-type]


def test_greedy_equals_hugging_face(folder: Path) -> None:
    model = Qwen3ForCausalLM.from_pretrained(folder)
    prompt = [0, 300, 400, 500]
    found = list(continuation(model, prompt, (), options(temperature=0.0, max_tokens=60)))
    ids = torch.tensor([prompt])
    expected = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=60, eos_token_id=-1
    )
    assert found == expected[0, 4:].tolist()
    stop = found[10]
    short = list(continuation(model, prompt, {stop}, options(temperature=0.0, max_tokens=60)))
    assert short == found[: found.index(stop)]


def test_a_folder_runs_in_our_model_or_in_transformers(
    folder: Path, sample: Sample, tmp_path: Path
) -> None:
    """The same text in both; architectures that we do not train keep transformers."""
    ours, prompts = Generator(str(folder)), [[0, 300, 400], [0], [0, 500, 600, 700]]
    assert ours.decoder is not None and ours.context == 128
    config = options(temperature=0.0, max_tokens=30)
    found = list(ours.tokens(prompts, config))
    theirs = Qwen3ForCausalLM.from_pretrained(folder)
    for number, prompt in enumerate(prompts):
        expected = list(continuation(theirs, prompt, ours.stops, config, ours.num_ids))
        assert [token for found_number, token in found if found_number == number] == expected
    assert [number for number, _ in found] == sorted(number for number, _ in found)
    pieces = list(ours.stream_all(prompts, config))
    for number, prompt in enumerate(prompts):
        alone = "".join(ours.stream(prompt, config))
        assert "".join(piece for found_number, piece in pieces if found_number == number) == alone
    assert list(ours.tokens([], config)) == []
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    other = Qwen2ForCausalLM(Qwen2Config(vocab_size=1024, num_key_value_heads=1, **shape))  # with biases
    save_model(other, sample("tokenizer"), tmp_path)
    generator = Generator(str(tmp_path))
    assert generator.decoder is None and generator.context == other.config.max_position_embeddings
    found = list(generator.tokens(prompts, config))
    assert {number for number, _ in found} == {0, 1, 2}


def test_ids_beyond_the_tokenizer_are_never_given_out(folder: Path) -> None:
    model = Qwen3ForCausalLM.from_pretrained(folder)
    config = options(temperature=5.0, top_p=1.0, max_tokens=20)
    assert max(continuation(model, [0, 300], (), config, 700)) < 700
    assert max(continuation(model, [0, 300], (), config)) >= 700


def test_every_end_that_the_model_names_ends_the_text(folder: Path, tmp_path: Path) -> None:
    """A chat model ends a turn with another token than a document: TRL #7039."""
    chat = shutil.copytree(folder, tmp_path / "chat")
    config = options(max_tokens=40, seed=5)
    whole = Generator(str(chat))
    prompt = whole.encode("연구")
    ids = [token for _, token in whole.tokens([prompt], config)]
    described = {"eos_token_id": [whole.tokenizer.eos_token_id, ids[12]]}
    (chat / "generation_config.json").write_text(json.dumps(described))
    short = Generator(str(chat))
    assert short.stops == {whole.tokenizer.eos_token_id, ids[12]}
    found = [token for _, token in short.tokens([prompt], config)]
    assert found == ids[: ids.index(ids[12])]


def test_prompts_that_no_model_can_read(folder: Path, tmp_path: Path) -> None:
    generator = Generator(str(folder))
    with pytest.raises(UserError, match="half a surrogate pair"):
        generator.encode("\ud83d")
    with pytest.raises(UserError, match="must be a text, it is of the type NoneType"):
        generator.encode(None)  # type: ignore[arg-type]
    save_model(untrained_model(900, 128), str(folder), tmp_path)
    with pytest.raises(UserError, match=r"has the token \d+, the model only 900"):
        Generator(str(tmp_path)).encode("연구개발기관은 연구노트를 작성하여야 한다. " * 4)


def test_the_seed_decides(folder: Path) -> None:
    model = Qwen3ForCausalLM.from_pretrained(folder)
    texts = [list(continuation(model, [0, 300], (), options(seed=seed))) for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]


def test_context_bounds_the_text(folder: Path) -> None:
    model = Qwen3ForCausalLM.from_pretrained(folder)
    assert len(list(continuation(model, [5] * 100, (), options(max_tokens=1000)))) == 28
    with pytest.raises(UserError, match="at most 127"):
        list(continuation(model, [5] * 128, (), options()))


def test_top_p_top_k_and_temperature_follow_their_definitions() -> None:
    logits = torch.log(torch.tensor([0.1, 0.4, 0.2, 0.3]))
    generator = torch.Generator().manual_seed(0)

    def draws(**values: object) -> list[float]:
        config = options(**values)
        found = torch.tensor([choose(logits, config, generator) for _ in range(4000)])
        return (torch.bincount(found, minlength=4) / 4000).tolist()

    assert draws(temperature=1.0, top_p=1.0) == pytest.approx([0.1, 0.4, 0.2, 0.3], abs=0.03)
    assert draws(temperature=1.0, top_p=0.6) == pytest.approx([0, 4 / 7, 0, 3 / 7], abs=0.03)
    assert draws(temperature=1.0, top_p=1.0, top_k=1) == [0, 1, 0, 0]
    assert draws(temperature=0.0) == [0, 1, 0, 0]
    cold = torch.softmax(logits / 0.5, 0).tolist()
    assert draws(temperature=0.5, top_p=1.0) == pytest.approx(cold, abs=0.03)


def test_command_streams_whole_characters(folder: Path) -> None:
    """Bytes as they arrive: after each flush what has been printed is valid UTF-8."""
    words = [f"model={folder}", "prompt=연구개발", "max_tokens=100", "seed=3"]
    command = [sys.executable, "-u", str(SCRIPTS / "generate.py"), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None
    received = b""
    while piece := process.stdout.read(4096):
        received += piece
        received.decode("utf-8")
    assert process.wait() == 0
    text = received.decode()
    assert text.startswith("연구개발")


def test_prompts_from_a_file_and_mistakes(folder: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("대한민국\nPython\n")
    shown = run_command("generate", f"model={folder}", f"prompts={prompts}", "max_tokens=5").stdout
    assert shown.startswith("대한민국")
    assert "\n\nPython" in shown
    prompts.write_text(f"대한민국\n\n{'강 ' * 200}\nPython\n")
    result = run_command("generate", f"model={folder}", f"prompts={prompts}", "max_tokens=5", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: {prompts}, line 3: the prompt has ")
    assert result.stderr.count("\n") == 1
    assert result.stdout.startswith("대한민국") and "\n\nPython" in result.stdout
    result = run_command("generate", f"model={folder}", f"prompt={'강 ' * 200}", check=False)
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    prompts.write_bytes("대한민국\n".encode("cp949"))
    for words, message in (
        ([f"model={folder}", "prompts=/no/such"], "cannot be read"),
        ([f"model={folder}", f"prompts={prompts}"], "is not UTF-8; convert it"),
        (["model=/no/such"], "does not exist"),
    ):
        result = run_command("generate", *words, check=False)
        assert result.returncode == 2
        assert message in result.stderr


def test_a_line_of_a_file_of_prompts_ends_with_a_line_feed_alone(tmp_path: Path) -> None:
    """A byte order mark is no text; a line separator, a form feed and NEL may be."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_bytes("\ufeff가나\r\n\r\n다\u2028라\x0c마\x85\n바".encode())
    found = read_prompts(options(prompts=str(prompts)))
    assert found == [(1, "가나"), (3, "다\u2028라\x0c마\x85"), (4, "바")]
