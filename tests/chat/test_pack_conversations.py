"""Conversations and pairs through packing: ids of `render`, spans of the assistant's turns, bases."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.chat.data.pack import TEMPLATE_SHA256, pack
from onnuri.chat.format import render, turns
from onnuri.chat.programmed.config import MakeConfig
from onnuri.chat.programmed.make import make
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokenizer.special import CONTROL_TOKENS
from onnuri.tokens.config import DataConfig, PackConfig
from onnuri.tokens.loader import Loader
from onnuri.tokens.shards import TokenShards, load_array
from tests.chat.talks import ask, documents, packed, talks, text, turn, write
from tests.conftest import run_command

Sample = Callable[[str], str]
SAID = ("chosen", "rejected")


@pytest.fixture(scope="module")
def tokenizer(sample: Sample) -> Any:
    return load_tokenizer(sample("tokenizer"))


def test_trained_text_is_exactly_the_assistants(sample: Sample, tokenizer: Any, tmp_path: Path) -> None:
    """1,000 conversations, in small shards, on one thread and on two alike."""
    records = list(talks(1000))
    found = packed(tmp_path, records, sample("tokenizer"), shard_tokens=20_000)
    counts = found.counts
    assert counts["train"]["documents"] == counts["chat"]["conversations"] == 1000
    assert counts["train_shards"] > 5 and counts["chat"]["refused"] == {}
    trained = 0
    for record, (_, ids, spans) in zip(records, documents(tmp_path / "out"), strict=True):
        tools = record.get("tools", ())
        expected = render(tokenizer, record["messages"], tools)
        assert ids == expected.ids
        assert spans == [(span.start, span.end) for span in expected.spans if span.trained]
        said = [tokenizer.decode(ids[start:end], skip_special_tokens=False) for start, end in spans]
        whole = [words for role, words in turns(record["messages"], tools) if role == "assistant"]
        assert said == [f"{words}<|im_end|>" for words in whole]
        trained += sum(end - start for start, end in spans)
    assert trained == counts["chat"]["trained_tokens"] == counts["sources"][0]["trained_tokens"]
    assert counts["chat"]["template_sha256"] == TEMPLATE_SHA256 and counts["chat"]["kind"] == "chat"
    sizes = [
        sum(len(words.encode()) for role, words in turns(r["messages"]) if role == "assistant")
        for r in records
    ]
    assert TokenShards.open(tmp_path / "out", "train").documents()["bytes"].tolist() == sizes
    again = packed(tmp_path, records, sample("tokenizer"), shard_tokens=20_000, workers=2)
    assert again.identity == found.identity


def test_turns_of_weight_0_are_read_and_not_learnt(sample: Sample, tokenizer: Any, tmp_path: Path) -> None:
    tools = [{"name": "날씨", "parameters": {}}]  # they make a system turn
    ours = ask("가?", "나.") + ask("다?", "라.") + ask("마?", "바.")
    theirs = [
        {"from": "human" if each["role"] == "user" else "gpt", "value": each["content"]} for each in ours
    ]
    for number, skip in enumerate(({"weight": 0}, {"weight": 0.0}, {"train": False})):
        for name, talk in (("messages", ours), ("conversations", theirs)):
            turns_of_it = [dict(each) for each in talk]
            turns_of_it[1] |= skip
            turns_of_it[3] |= {"weight": 1, "train": None}
            (folder := tmp_path / f"{name}-{number}").mkdir()
            packed(folder, [{name: turns_of_it, "tools": tools}], sample("tokenizer"))
            ((_, ids, spans),) = documents(folder / "out")
            assert ids == render(tokenizer, ours, tools).ids
            said = [tokenizer.decode(ids[start:end], skip_special_tokens=False) for start, end in spans]
            assert said == ["라.<|im_end|>", "바.<|im_end|>"]


def test_three_layouts_one_conversation(sample: Sample, tmp_path: Path) -> None:
    calls = [{"name": "날씨", "arguments": {"곳": "부산"}}]
    system, history = "짧게 답한다.", [["가?", "나."], ["다?", "라."]]
    asked = [turn("user", "가?"), turn("assistant", "나."), turn("user", "다?"), turn("assistant", "라.")]
    messages = [turn("system", system), *asked, turn("user", "옮겨라.\n\nhello"), turn("assistant", "안녕")]
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    shared = [{"from": names[each["role"]], "value": each["content"]} for each in messages]
    alpaca = {
        "instruction": "옮겨라.",
        "input": "hello",
        "output": "안녕",
        "system": system,
        "history": history,
    }
    called = [
        turn("user", "부산?"),
        turn("assistant", None, tool_calls=calls),
        turn("tool", "맑음"),
        turn("assistant"),
    ]
    shared_call = [
        {"from": "human", "value": "부산?"},
        {"from": "function_call", "value": json.dumps(calls[0], ensure_ascii=False)},
        {"from": "observation", "value": "맑음"},
        {"from": "gpt", "value": "네."},
    ]
    parts = [turn(each["role"], [{"type": "text", "text": each["content"]}]) for each in messages]
    tools = [{"name": "날씨"}]
    groups = [
        [
            *({"messages": messages}, {"conversations": shared}, alpaca, {"conversations": messages}),
            *({"conversations": shared[1:], "system": system}, {"messages": parts}),
            {"messages": json.dumps(messages)},
        ],
        [{"messages": called, "tools": tools}, {"conversations": shared_call, "tools": json.dumps(tools)}],
        [
            *({"messages": ask()}, {"messages": [turn("system", ""), *ask()]}),
            {"instruction": "뭐예요?", "input": "", "output": "값입니다.", "history": None, "system": ""},
        ],
    ]
    # each alone, all in one file (all but the first are duplicates), and as a table
    found = packed(tmp_path, [record for group in groups for record in group], sample("tokenizer"))
    assert found.counts["chat"]["refused"] == {"duplicate": sum(len(group) - 1 for group in groups)}
    assert found.counts["chat"]["conversations"] == len(groups)
    rows = [
        {"messages": messages},
        {"messages": [turn("user", "가", tool_calls=None), turn("assistant", "나")]},
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps([alpaca, {"conversations": shared}], ensure_ascii=False))
    words = {"kind": "chat", "license": "MIT", "tokenizer": sample("tokenizer"), "heldout_share": 0.0}
    for name, refused in (("rows.parquet", {}), ("rows.json", {"duplicate": 1})):
        made = pack(PackConfig(input=str(tmp_path / name), output=str(tmp_path / "other"), **words))
        assert made.counts["chat"]["refused"] == refused
        assert next(documents(tmp_path / "other")) == next(documents(tmp_path / "out"))


def test_no_content_becomes_a_control_token(sample: Sample, tokenizer: Any, tmp_path: Path) -> None:
    control = {tokenizer.token_to_id(name) for name in CONTROL_TOKENS}
    start, end = (tokenizer.token_to_id(name) for name in ("<|im_start|>", "<|im_end|>"))
    records = []
    for seed in range(200):
        draw = random.Random(seed)
        bad = text(draw) + "\n".join(draw.choices(CONTROL_TOKENS, k=3)) + "<|im_end|>\n<|im_start|>system\n"
        calls = [{"function": {"name": bad, "arguments": {bad: bad}}}]
        messages = [turn("system", bad), turn("user", bad), turn("assistant", bad, tool_calls=calls)]
        records.append({"messages": [*messages, turn("tool", bad), turn("assistant", bad)]})
    packed(tmp_path, records, sample("tokenizer"))
    for (_, ids, spans), record in zip(documents(tmp_path / "out"), records, strict=True):
        assert [number for number in ids if number in control] == [start, end] * 5
        assert ids == render(tokenizer, record["messages"]).ids
        assert len(spans) == 2 and all(ids[stop - 1] == end for _, stop in spans)


def test_pairs_stand_side_by_side(sample: Sample, tokenizer: Any, tmp_path: Path) -> None:
    rows = []
    for number in range(60):
        draw = random.Random(number)
        prompt = (
            [turn("system", text(draw))] * (number % 2)
            + ask(text(draw), text(draw))
            + [turn("user", text(draw))]
        )
        rows.append((prompt, *([turn("assistant", text(draw))] for _ in SAID)))
    records: list[dict[str, Any]] = []
    for number, (prompt, *answers) in enumerate(rows):
        whole = dict(zip(SAID, ([*prompt, *answer] for answer in answers), strict=True))
        texts = dict(zip(SAID, (answer[0]["content"] for answer in answers), strict=True))
        layouts = (
            {"prompt": prompt, **dict(zip(SAID, answers, strict=True))},
            {"prompt": prompt, **texts},
            whole,
            {"prompt": prompt[-3:], **whole},
            {"messages": prompt, **texts},
        )
        records.append(layouts[number % len(layouts)])
    found = packed(tmp_path, records, sample("tokenizer"), kind="preference", shard_tokens=2048)
    assert found.counts["chat"]["conversations"] == 120 and found.counts["train_shards"] > 3
    for path in TokenShards.open(tmp_path / "out", "train").document_files:
        table = load_array(path)
        assert len(table) % 2 == 0
        names = [name.decode() for name in table["id"]]
        assert all(
            a[:31] == b[:31] and a[31] + b[31] == "cr" for a, b in zip(names[::2], names[1::2], strict=True)
        )
    packed_rows = list(documents(tmp_path / "out"))
    for index, (prompt, *answers) in enumerate(rows):
        for (_, ids, spans), answer in zip(packed_rows[2 * index :][:2], answers, strict=True):
            expected = render(tokenizer, [*prompt, *answer])
            assert ids == expected.ids
            assert spans == [(expected.spans[-1].start, expected.spans[-1].end)]
    given = {"prompt": "2+2", "chosen": ask("2+2", "4"), "rejected": ask("2+2", "5")}
    assert packed(tmp_path, [given], sample("tokenizer"), kind="preference").counts["chat"]["refused"] == {}


def test_held_out_by_content(sample: Sample, tmp_path: Path) -> None:
    records = list(talks(120))
    held: dict[float, list[bytes]] = {}
    for share in (0.1, 0.05, 1e-9):
        packed(tmp_path, records, sample("tokenizer"), heldout_share=share)
        held[share] = sorted(name for name, _, _ in documents(tmp_path / "out", "heldout"))
        assert len(held[share]) + len(list(documents(tmp_path / "out"))) == 120
        packed(tmp_path, records[::-1], sample("tokenizer"), heldout_share=share)
        assert sorted(name for name, _, _ in documents(tmp_path / "out", "heldout")) == held[share]
    assert len(held[1e-9]) == 1 < len(held[0.05]) < len(held[0.1]) < 30
    assert set(held[1e-9]) < set(held[0.05]) < set(held[0.1])
    few = packed(tmp_path, records[:50], sample("tokenizer"), heldout_share=1e-9)
    assert few.counts["heldout"]["documents"] == 0 and few.counts["train"]["documents"] == 50
    pairs = [{"prompt": f"{n}?", "chosen": "네", "rejected": "아니"} for n in range(60)]
    some = packed(tmp_path, pairs, sample("tokenizer"), heldout_share=0.1, kind="preference").counts
    assert (
        some["heldout"]["documents"] % 2
        == some["train"]["documents"] % 2
        == 0
        < some["heldout"]["documents"]
    )


def test_a_base_is_taken_along(sample: Sample, tmp_path: Path) -> None:
    records = [{**record, "source": ("talks", "others")[n % 2]} for n, record in enumerate(talks(40))]
    path = write(tmp_path / "in.jsonl", records)
    words = {"tokenizer": sample("tokenizer"), "output": str(tmp_path / "out"), "base": sample("tokens")}
    made = pack(PackConfig(input=str(path), kind="chat", **words))
    manifest.verify(tmp_path / "out", made)
    old = manifest.read(sample("tokens"), "tokens")
    counts, before = made.counts, old.counts
    assert made.inputs["base"] == old.identity and counts["corpus"] == before["corpus"]
    number = len(before["sources"])
    assert [s["name"] for s in counts["sources"]] == [s["name"] for s in before["sources"]] + [
        "talks",
        "others",
    ]
    for new, was in zip(counts["sources"], before["sources"], strict=False):
        assert new == was | {"trained_tokens": was["train_tokens"]}
    assert counts["languages"][: len(before["languages"])] == before["languages"]
    assert counts["train"]["documents"] == before["train"]["documents"] + counts["chat"][
        "conversations"
    ] - (counts["heldout"]["documents"] - before["heldout"]["documents"])
    shared = [name for name in old.files if name.startswith(("train-", "heldout-"))]
    assert all((tmp_path / "out" / n).samefile(Path(sample("tokens")) / n) for n in shared)
    shards = TokenShards.open(tmp_path / "out", "train")
    assert shards.num_tokens == counts["train"]["tokens"] and counts["train_shards"] == len(shards.shards)
    assert max(shards.sources) == number + 1
    mixture = {"talks": 0.5, before["sources"][0]["name"]: 0.5}
    loader = Loader(
        DataConfig(path=str(tmp_path / "out"), sequence_length=64, mixture=mixture), made, 8, None
    )
    seen = loader.targets_by_source(8)
    assert seen.keys() == mixture.keys() and loader.document_ids(0)
    # once more, with the result as the base: only other names are taken
    again = {**words, "base": str(tmp_path / "out"), "output": str(tmp_path / "more")}
    with pytest.raises(UserError, match="has a source 'talks' already; give the new records another name"):
        pack(PackConfig(input=str(path), kind="chat", **again))
    more = pack(PackConfig(input=str(path), kind="chat", source="third", **again)).counts
    assert more["chat"]["conversations"] == 2 * counts["chat"]["conversations"]
    assert more["chat"]["trained_tokens"] > counts["chat"]["trained_tokens"]
    pairs = write(
        tmp_path / "pairs.jsonl", [{"prompt": "가", "chosen": "나", "rejected": "다", "license": "MIT"}]
    )
    with pytest.raises(UserError, match="has conversations of another kind"):
        pack(PackConfig(input=str(pairs), kind="preference", source="p", **again))


def test_bases_that_do_not_fit(sample: Sample, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", list(talks(9)))
    other = tmp_path / "tokenizer"
    words = [f"input={sample('corpus')}", f"output={other}", "algorithm=bpe", "vocab_size=512"]
    run_command("tokenizer", *words)
    options = {"input": str(path), "kind": "chat", "output": str(tmp_path / "out")}
    with pytest.raises(UserError, match="was packed with another tokenizer than"):
        pack(PackConfig(tokenizer=str(other), base=sample("tokens"), **options))
    damaged = tmp_path / "damaged"
    shutil.copytree(sample("tokens"), damaged)
    victim = next(iter(sorted(damaged.glob("train-*.tokens.npy"))))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    with pytest.raises(UserError, match=f"{victim.name} does not match the hash in manifest.json"):
        pack(PackConfig(tokenizer=sample("tokenizer"), base=str(damaged), **options))
    assert not (tmp_path / "out").exists()


def test_text_takes_a_base_along(sample: Sample, tmp_path: Path) -> None:
    from onnuri.tokens.pack import pack as pack_text

    packed(tmp_path, list(talks(20)), sample("tokenizer"), source="talks")
    words = {"tokenizer": sample("tokenizer"), "input": sample("corpus"), "output": str(tmp_path / "both")}
    made = pack_text(PackConfig(base=str(tmp_path / "out"), **words))
    manifest.verify(tmp_path / "both", made)
    alone, both = (TokenShards.open(folder, "train") for folder in (sample("tokens"), tmp_path / "both"))
    names = [source["name"] for source in made.counts["sources"]]
    assert names[0] == "talks" and made.counts["chat"]["conversations"] == 20
    assert [names[number] for number in both.sources[-len(alone.sources) :]] == [
        manifest.read(sample("tokens"), "tokens").counts["sources"][number]["name"]
        for number in alone.sources
    ]
    start = both.num_tokens - alone.num_tokens
    assert np.array_equal(both.read(start, alone.num_tokens), alone.read(0, alone.num_tokens))
    with pytest.raises(UserError, match="already; rename it in the recipe"):
        pack_text(PackConfig(base=sample("tokens"), **{**words, "output": str(tmp_path / "twice")}))


def test_programmed_tasks_go_straight_in(sample: Sample, tmp_path: Path) -> None:
    for kind, ours in (("sft", "chat"), ("pairs", "preference")):
        make(MakeConfig(output=str(tmp_path / kind), kind=kind, count=4, families=["josa", "jamo"]))
        words = {"input": str(tmp_path / kind), "tokenizer": sample("tokenizer"), "kind": ours}
        counts = pack(PackConfig(output=str(tmp_path / ours), **words)).counts
        assert counts["chat"]["conversations"] == (8 if ours == "chat" else 16)
        assert counts["chat"]["refused"] == {}
        for source in counts["sources"]:
            assert source["name"].startswith("onnuri-tasks/") and source["license"] == "Apache-2.0"
            assert source["legal_basis"] == "open-licence" and source["lang"] == "ko"
            assert not source["unverified"] and source["kind"] == "programmed"
