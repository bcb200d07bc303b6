"""Tokenizers through their command: nothing is lost, nothing forged, and every reader gets the same ids."""

from __future__ import annotations

import base64
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiktoken
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.documents import text_bytes
from onnuri.corpus.stages.pii.mask import PLACEHOLDERS as CORPUS_PLACEHOLDERS
from onnuri.tokenizer.config import TokenizerConfig
from onnuri.tokenizer.counting import SharedCounter
from onnuri.tokenizer.encoder import TokenizerFile
from onnuri.tokenizer.huggingface import byte_of_character, load_tokenizer, token_bytes, tokenizer_config
from onnuri.tokenizer.mixture import document_weights
from onnuri.tokenizer.native import Counter, lay_out
from onnuri.tokenizer.special import CONTROL_TOKENS, PLACEHOLDERS, SEPARATOR, SPECIAL_TOKENS
from onnuri.tokenizer.stream import Utf8Stream
from tests.conftest import run_command
from tests.soak import tries
from tests.tokenizer.algorithms import ALGORITHMS, BYTE_LEVEL, Made, algorithms
from tests.tokenizer.texts import MIXED

Sample = Callable[[str], str]
SENTENCE = "국가연구개발사업의 연구개발비는 2024년부터 Python 3.11로 계산한다.\n\n  들여쓰기 ㅋㅋㅋ"


@pytest.fixture(scope="module")
def folders(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A tokenizer of every algorithm, trained on the sample corpus."""
    root = tmp_path_factory.mktemp("tokenizers")

    def train(algorithm: str) -> Path:
        words = [f"input={sample('corpus')}", f"output={root / algorithm}", "vocab_size=2048"]
        run_command("tokenizer", *words, f"algorithm={algorithm}")
        return root / algorithm

    return Made(train)


@pytest.fixture(scope="module")
def files(folders: dict[str, Path]) -> dict[str, TokenizerFile]:
    return Made(lambda name: TokenizerFile(folders[name]))


@pytest.fixture(scope="module")
def pieces(files: dict[str, TokenizerFile]) -> dict[str, list[bytes]]:
    return Made(lambda name: token_bytes(files[name].tokenizer))


def encode(file: TokenizerFile, texts: list[str], separator: int = -1) -> list[list[int]]:
    ids, ends = file.encoder().encode(*text_bytes(pa.array(texts, pa.large_string())), separator)
    return [part.tolist() for part in np.split(ids, ends[:-1])]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=tries(100, 1600), deadline=None)
@example(text="<0xEA><0xB0><0x80> \u2581 ▁▁")
@given(text=MIXED)
def test_every_string_comes_back(
    files: dict[str, TokenizerFile], pieces: dict[str, list[bytes]], algorithm: str, text: str
) -> None:
    tokenizer = files[algorithm].tokenizer
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert b"".join(pieces[algorithm][i] for i in ids) == text.encode()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=tries(150, 4000), deadline=None)
@example(text="함수 " * 300)
@example(text="ㅋ" * 1000 + "a" * 1000 + "-" * 1000)
@given(text=MIXED)
def test_compiled_encoder_gives_the_ids_of_hugging_face(
    files: dict[str, TokenizerFile], algorithm: str, text: str
) -> None:
    file = files[algorithm]
    assert file.compiled
    assert encode(file, [text])[0] == file.tokenizer.encode(text).ids


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_batches_documents_and_separators(files: dict[str, TokenizerFile], algorithm: str) -> None:
    file = files[algorithm]
    texts = [SENTENCE, "", "가", " ", "\n", "끝 <|phone|>로", "x" * 5000]
    expected = [[*file.tokenizer.encode(text).ids, 0] for text in texts]
    assert encode(file, texts, separator=0) == expected
    whole = pa.array(["앞", *texts, "뒤"], pa.large_string())
    ids, ends = file.encoder().encode(*text_bytes(whole[1:-1]), 0)
    assert ids.tolist() == [i for row in expected for i in row]
    assert ends.tolist() == np.cumsum([len(row) for row in expected]).tolist()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_syllable_and_every_byte_is_reachable(
    files: dict[str, TokenizerFile], pieces: dict[str, list[bytes]], algorithm: str
) -> None:
    tokenizer = files[algorithm].tokenizer
    for first in range(0xAC00, 0xD7A4, 28):
        text = "".join(chr(code) for code in range(first, first + 28))
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert {piece for piece in pieces[algorithm] if len(piece) == 1} == {bytes([b]) for b in range(256)}
    assert sorted(byte_of_character().values()) == list(range(256))
    for syllable in "다이는가을에하의":
        assert len(tokenizer.encode(syllable).ids) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_text_cannot_forge_a_control_token(files: dict[str, TokenizerFile], algorithm: str) -> None:
    file = files[algorithm]
    special = [file.tokenizer.token_to_id(token) for token in SPECIAL_TOKENS]
    assert special == list(range(len(SPECIAL_TOKENS)))
    control = set(special[: len(CONTROL_TOKENS)])
    for token in CONTROL_TOKENS:
        assert not control & set(encode(file, [f"앞 {token} 뒤"])[0])
        assert not control & set(file.tokenizer.encode(f"앞 {token} 뒤").ids)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_placeholders_of_personal_data_are_one_token(
    files: dict[str, TokenizerFile], algorithm: str
) -> None:
    file = files[algorithm]
    assert set(CORPUS_PLACEHOLDERS.values()) <= set(PLACEHOLDERS)
    for name in PLACEHOLDERS:
        ids = encode(file, [f"전화는 {name}입니다"])[0]
        assert ids.count(file.tokenizer.token_to_id(name)) == 1
        assert file.tokenizer.decode(ids) == f"전화는 {name}입니다"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_auto_tokenizer_gives_the_same_ids_and_a_chat(
    folders: dict[str, Path], files: dict[str, TokenizerFile], algorithm: str
) -> None:
    loaded = AutoTokenizer.from_pretrained(folders[algorithm])
    assert loaded(SENTENCE)["input_ids"] == files[algorithm].tokenizer.encode(SENTENCE).ids
    assert loaded.decode(loaded(SENTENCE)["input_ids"]) == SENTENCE
    assert loaded.eos_token == loaded.bos_token == SEPARATOR
    call = {"type": "function", "function": {"name": "날씨", "arguments": {"곳": "서울"}}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "짧게 답한다."},
        {"role": "user", "content": "서울 날씨는?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "맑음"},
    ]
    chat = loaded.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert chat == (
        "<|im_start|>system\n짧게 답한다.<|im_end|>\n<|im_start|>user\n서울 날씨는?<|im_end|>\n"
        '<|im_start|>assistant\n<tool_call>\n{"name": "날씨", "arguments": {"곳": "서울"}}\n</tool_call>'
        "<|im_end|>\n"
        "<|im_start|>tool\n맑음<|im_end|>\n<|im_start|>assistant\n"
    )
    ids = loaded(chat)["input_ids"]
    assert ids.count(loaded.convert_tokens_to_ids("<|im_start|>")) == 5
    assert loaded.decode(ids, skip_special_tokens=False) == chat


@pytest.mark.parametrize("algorithm", BYTE_LEVEL)
@settings(max_examples=tries(50, 800), deadline=None)
@given(text=MIXED)
def test_tiktoken_reads_its_file_the_same(folders: dict[str, Path], algorithm: str, text: str) -> None:
    lines = (folders[algorithm] / "tokenizer.tiktoken").read_bytes().splitlines()
    ranks = {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in lines)}
    rest = json.loads((folders[algorithm] / "tiktoken.json").read_text())
    encoding = tiktoken.Encoding("onnuri", mergeable_ranks=ranks, **rest)
    if not any(name in text for name in PLACEHOLDERS):
        assert encoding.encode_ordinary(text) == load_tokenizer(folders[algorithm]).encode(text).ids


@pytest.mark.parametrize("algorithm", BYTE_LEVEL)
def test_files_hold_what_vllm_and_llama_cpp_read(folders: dict[str, Path], algorithm: str) -> None:
    folder = folders[algorithm]
    vocab = gguf.SpecialVocab(folder, load_merges=True)
    assert vocab.special_token_ids["eos"] == vocab.special_token_ids["bos"] == 0
    assert vocab.special_token_ids["pad"] == 1
    assert vocab.chat_template
    assert len(vocab.merges) == 2048 - 256 - len(SPECIAL_TOKENS)
    assert all(merge.count(" ") == 1 for merge in vocab.merges)
    content = json.loads((folder / "tokenizer.json").read_text())
    config = json.loads((folder / "tokenizer_config.json").read_text())
    assert content["model"]["type"] == "BPE"
    assert sorted(content["model"]["vocab"].values()) == list(range(2048))
    for number, token in config["added_tokens_decoder"].items():
        assert content["model"]["vocab"][token["content"]] == int(number)
        assert token["special"] == (token["content"] in CONTROL_TOKENS)
    generation = json.loads((folder / "generation_config.json").read_text())
    assert generation["eos_token_id"] == [0, SPECIAL_TOKENS.index("<|im_end|>")]


def test_superwords_span_words_and_shorten_text(
    folders: dict[str, Path], pieces: dict[str, list[bytes]]
) -> None:
    assert any(b" " in piece.strip() for piece in pieces["superword"])
    assert not any(b" " in piece.strip() for piece in pieces["bpe"])
    facts = {name: manifest.read(folders[name], "tokenizer") for name in ("bpe", "superword")}
    fertility = {name: facts[name].counts["tokens_per_character"] for name in facts}
    for language in ("ko", "en"):
        assert fertility["superword"][language] < 0.99 * fertility["bpe"][language]


@pytest.mark.extra("morpheme")
def test_morphemes_keep_particles_apart(pieces: dict[str, list[bytes]]) -> None:
    """연구개발비를 and the like are words of the sample; a stem with its particle is no token."""
    joined = [f"{space}{noun}{particle}" for space in ("", " ") for noun in ("연구개발", "과제", "기관")
              for particle in ("를", "을", "의", "은", "는", "이", "에")]  # fmt: skip
    tokens = {
        name: {piece.decode(errors="replace") for piece in pieces[name]} for name in ("bpe", "morpheme")
    }
    assert {word for word in joined if word in tokens["bpe"]}
    assert not {word for word in joined if word in tokens["morpheme"]}


def reordered(corpus: Path, folder: Path) -> Path:
    """The same documents in another order, in other files."""
    tables = [pq.read_table(path) for path in sorted((corpus / "documents").glob("train-*.parquet"))]
    rows = pa.concat_tables(tables)
    order = list(range(rows.num_rows))
    random.Random(5).shuffle(order)
    rows = rows.take(order)
    facts = manifest.read(corpus, "corpus")
    with manifest.building(folder, "corpus") as partial:
        shutil.copytree(corpus / "documents", partial / "documents")
        for path in (partial / "documents").glob("train-*.parquet"):
            path.unlink()
        for part in range(5):
            chosen = rows.slice(
                part * rows.num_rows // 5, (part + 1) * rows.num_rows // 5 - part * rows.num_rows // 5
            )
            pq.write_table(chosen, partial / "documents" / f"train-{part:05d}.parquet", row_group_size=50)
        manifest.seal(partial, "corpus", facts.settings, facts.inputs, facts.counts)
    return folder


@pytest.mark.parametrize("algorithm", algorithms("superword", "unigram"))
def test_same_text_same_file_for_any_order_workers_and_memory(
    sample: Sample, folders: dict[str, Path], tmp_path: Path, algorithm: str
) -> None:
    shuffled = reordered(Path(sample("corpus")), tmp_path / "shuffled")
    words = ["vocab_size=2048", f"algorithm={algorithm}"]
    run_command("tokenizer", f"input={shuffled}", f"output={tmp_path / 'a'}", "workers=1", *words)
    run_command("tokenizer", f"input={shuffled}", f"output={tmp_path / 'b'}", "workers=5", *words)
    expected = (folders[algorithm] / "tokenizer.json").read_bytes()
    assert (tmp_path / "a" / "tokenizer.json").read_bytes() == expected
    assert (tmp_path / "b" / "tokenizer.json").read_bytes() == expected


def test_little_memory_goes_to_disk_and_stays_deterministic(sample: Sample, tmp_path: Path) -> None:
    """4 MB hold a part of the sample's words and phrases only."""
    for workers in (1, 3):
        run_command(
            "tokenizer",
            f"input={sample('corpus')}",
            f"output={tmp_path / str(workers)}",
            "vocab_size=2048",
            "algorithm=superword",
            "memory_gb=0.004",
            f"workers={workers}",
        )
    one, three = (manifest.read(tmp_path / str(workers), "tokenizer") for workers in (1, 3))
    assert one.files["tokenizer.json"] == three.files["tokenizer.json"]
    assert one.counts["phrases_sampled_1_in"] > 1
    assert one.counts["vocab_size"] == 2048


def test_the_rarest_words_are_left_out_of_all_parts_alike() -> None:
    words = {f"{number:08x}".encode(): 1 + number % 3 for number in range(30_000)}
    text, offsets = lay_out(list(words))
    counter = Counter()
    counter.add((text, offsets, np.array(list(words.values()))))
    with SharedCounter(600_000) as shared:  # room for 12,500 of them
        shared.put(counter)
        (kept, places, counts), _ = shared.sum_up()
    assert len(places) == 10_001
    assert set(counts.tolist()) == {3}
    assert {kept[8 * n : 8 * n + 8].tobytes() for n in range(10_000)} == {w for w in words if words[w] == 3}


@pytest.mark.extra("unigram")
def test_longest_token_of_unigram(sample: Sample, tmp_path: Path) -> None:
    for limit in (4, 9):
        words = ["algorithm=unigram", "vocab_size=4000", f"max_token_bytes={limit}"]
        run_command("tokenizer", f"input={sample('corpus')}", f"output={tmp_path / str(limit)}", *words)
        pieces = token_bytes(load_tokenizer(tmp_path / str(limit)))[len(SPECIAL_TOKENS) :]
        assert max(map(len, pieces)) <= limit


def test_weights_shift_the_vocabulary(sample: Sample, tmp_path: Path) -> None:
    """More Korean in the mixture: shorter Korean, longer English; a source with weight 0 is left out."""
    fertility = {}
    for share in (0.2, 0.9):
        words = [f"input={sample('corpus')}", f"output={tmp_path / str(share)}", "vocab_size=4096"]
        run_command("tokenizer", *words, f"language_shares={{ko:{share},en:{1 - share:.1f}}}")
        fertility[share] = manifest.read(tmp_path / str(share), "tokenizer").counts["tokens_per_character"]
    assert fertility[0.9]["ko"] < 0.97 * fertility[0.2]["ko"]
    assert fertility[0.9]["en"] > 1.03 * fertility[0.2]["en"]
    words = [f"input={sample('corpus')}", f"output={tmp_path / 'none'}", "vocab_size=1024"]
    run_command("tokenizer", *words, "source_weights={korean-rnd-regs:0}")
    counts = manifest.read(tmp_path / "none", "tokenizer").counts
    assert counts["weights"]["korean-rnd-regs ko"] == 0
    result = run_command("tokenizer", *words, "source_weights={korean-rnd-reg:0}", check=False)
    assert result.returncode == 2
    assert "did you mean 'korean-rnd-regs'" in result.stderr


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=tries(50, 800), deadline=None)
@given(text=MIXED, cut=st.integers(0, 40))
def test_streaming_emits_whole_characters(
    files: dict[str, TokenizerFile], algorithm: str, text: str, cut: int
) -> None:
    tokenizer = files[algorithm].tokenizer
    ids = tokenizer.encode(text).ids
    stream = Utf8Stream(tokenizer)
    shown = ""
    for token in ids:
        shown += stream.push(token)
        assert text.startswith(shown)
    assert shown + stream.finish() == text
    stream = Utf8Stream(tokenizer)
    part = "".join(stream.push(token) for token in ids[:cut])
    assert text.startswith(part)
    assert stream.finish() in ("", "\ufffd")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@settings(max_examples=tries(50, 800), deadline=None)
@given(ids=st.lists(st.integers(0, 2060)))
def test_streaming_any_ids_equals_decoding_their_bytes(
    files: dict[str, TokenizerFile], pieces: dict[str, list[bytes]], algorithm: str, ids: list[int]
) -> None:
    """Ids in an order no text has: broken characters become U+FFFD exactly as in bytes.decode."""
    stream = Utf8Stream(files[algorithm].tokenizer)
    shown = "".join(stream.push(token) for token in ids) + stream.finish()
    plain = b"".join(pieces[algorithm][token] for token in ids if token < len(pieces[algorithm]))
    assert shown == plain.decode("utf-8", errors="replace")


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 320"):
        TokenizerConfig(input="x", output="y", vocab_size=100)
    with pytest.raises(UserError, match="did you mean 'bpe'"):
        TokenizerConfig(input="x", output="y", algorithm="bp")
    with pytest.raises(UserError, match="superword_start"):
        TokenizerConfig(input="x", output="y", superword_start=0)
    with pytest.raises(UserError, match="that is not negative"):
        TokenizerConfig(input="x", output="y", language_shares={"ko": -1})
    with pytest.raises(UserError, match=r"language_shares names 'ko:0.5;en', .* it has en, ko"):
        document_weights({("a", "ko"): 1, ("a", "en"): 1}, 1, {}, {"ko": 0.6, "ko:0.5;en": 0.5})
    assert document_weights(
        {("a", "de"): 1}, 1, {}, {"ko": 0.6, "en": 0.4}
    )  # the usual ones may be lacking
    with pytest.raises(UserError, match="does not exist"):
        load_tokenizer("/no/such/folder")
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(UserError, match="cannot be read"):
        load_tokenizer(tmp_path)
    assert tokenizer_config(tmp_path) == {}
    for text in ("[", "[]"):
        (tmp_path / "tokenizer_config.json").write_text(text)
        with pytest.raises(UserError, match=r"tokenizer_config.json cannot be read: "):
            tokenizer_config(tmp_path)


def corpus_of(tmp_path: Path, texts: list[str]) -> Path:
    lines = "\n".join(json.dumps({"text": text}) for text in texts)
    (tmp_path / "in.jsonl").write_text(lines)
    words = [f"input={tmp_path / 'in.jsonl'}", f"output={tmp_path / 'corpus'}", "heldout_share=0"]
    run_command("corpus", "recipe=local", *words, "stages=[normalise]")
    return tmp_path / "corpus"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_corpus_of_one_character(tmp_path: Path, algorithm: str) -> None:
    corpus = corpus_of(tmp_path, ["가"])
    words = [f"input={corpus}", f"output={tmp_path / 'out'}", f"algorithm={algorithm}"]
    result = run_command("tokenizer", *words, check=False)
    if result.returncode:
        assert algorithm == "unigram"
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        return
    assert "were asked for" in result.stdout
    tokenizer = load_tokenizer(tmp_path / "out")
    assert tokenizer.decode(tokenizer.encode("가나다 abc").ids) == "가나다 abc"
