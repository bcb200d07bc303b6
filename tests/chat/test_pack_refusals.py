"""What is no conversation is refused by name, counted and listed; what can be read is read."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnuri.base.errors import UserError
from onnuri.chat.data import records as reading
from onnuri.chat.data import refusal, writing
from onnuri.chat.data.pack import pack as pack_conversations
from onnuri.tokenizer.huggingface import load_tokenizer
from onnuri.tokens.config import PackConfig
from onnuri.tokens.pack import pack as pack_text
from tests.chat.talks import ask, documents, packed, refused, turn, write
from tests.conftest import run_command

Sample = Callable[[str], str]
CALL = [{"function": {"name": "날씨", "arguments": {"곳": "부산"}}}]


def calling(arguments: Any, **call: Any) -> dict[str, Any]:
    """A turn with one call."""
    return turn(
        "assistant", None, tool_calls=[{"function": {"name": "날씨", "arguments": arguments}} | call]
    )


ASKED = [turn("user"), turn("assistant", None, tool_calls=CALL), turn("tool", "맑음")]

MISTAKES: list[tuple[dict[str, Any] | bytes, str, str]] = [
    (b'{"messages": [{"role": "user"', refusal.BROKEN_JSON, "line 1 column"),
    (b"[1, 2]", refusal.BROKEN_JSON, "a list, not an object"),
    (b'{"messages": [], "messages": [{"role": "user"}]}', refusal.BROKEN_JSON, "'messages' twice in one"),
    (
        b'{"messages": [{"role": "user", "content": 1, "content": 2}]}',
        refusal.BROKEN_JSON,
        "'content' twice",
    ),
    ({"messages": '[{"role": "user", "role": "user"}]'}, refusal.BROKEN_JSON, "'role' twice in one object"),
    (b'{"messages": "\xff\xfe\xff\x80\xff"}', refusal.UNREADABLE, "no encoding fits"),
    ({"message": ask()}, refusal.MISSING, "no messages; found message (did you mean 'messages'?)"),
    ({"instruction": "뭐예요?"}, refusal.MISSING, "instruction without output"),
    ({"prompt": "가", "chosen": "나", "rejected": "다"}, refusal.MISSING, "(kind=preference reads pairs)"),
    ({"family": "josa", "answer": "을"}, refusal.MISSING, "(onnuri tasks make kind=sft writes these)"),
    ({"messages": ask(), "conversations": ask()}, refusal.TWO_LAYOUTS, "messages and conversations"),
    ({"messages": [{"role": "user", "from": "human"}]}, refusal.TWO_LAYOUTS, "turn 1 has role and from"),
    ({"messages": "네"}, refusal.NO_LIST, "a str"),
    ({"messages": ["네"]}, refusal.NO_LIST, "turn 1 is a str"),
    (b'{"messages": ' + b"[" * 900 + b"]" * 900 + b"}", refusal.NO_LIST, "turn 1 is a list"),
    (b'{"id": "\\ud800", "messages": [{"role": "\\udc00"}]}', refusal.UNKNOWN_ROLE, "turn 1"),
    ({"messages": [turn("user"), turn("bot")]}, refusal.UNKNOWN_ROLE, "(did you mean 'assistant'?)"),
    (
        {"messages": [turn("asistant")]},
        refusal.UNKNOWN_ROLE,
        "turn 1: 'asistant' (did you mean 'assistant'?)",
    ),
    (
        {"conversations": [{"from": "humann", "value": "네"}]},
        refusal.UNKNOWN_ROLE,
        "(did you mean 'human'?)",
    ),
    ({"messages": []}, refusal.NO_ASSISTANT, "0 turn(s)"),
    (
        {"messages": [turn("user"), turn("assistant", weight=0)]},
        refusal.NO_ASSISTANT,
        "all have a weight of 0",
    ),
    (
        {"messages": [turn("user"), turn("assistant", weight=0.5)]},
        refusal.BAD_WEIGHT,
        "turn 2: weight is '0.5', not 0 or 1",
    ),
    ({"messages": [turn("user")]}, refusal.NO_ASSISTANT, "1 turn(s)"),
    ({"messages": [*ask(), turn("user")]}, refusal.NOT_LAST, "it is the user's"),
    ({"messages": [turn("user"), *ask()]}, refusal.NOT_ALTERNATING, "turn 2 (user) after user"),
    (
        {"messages": [*ask(), turn("assistant")]},
        refusal.NOT_ALTERNATING,
        "turn 3 (assistant) after assistant",
    ),
    ({"messages": [*ask(), turn("system"), *ask()]}, refusal.NOT_ALTERNATING, "turn 3 (system)"),
    ({"messages": [*ask(), turn("tool"), turn("assistant")]}, refusal.NOT_ALTERNATING, "turn 3 (tool)"),
    ({"messages": [turn("assistant")]}, refusal.NOT_ALTERNATING, "turn 1 (assistant) after start"),
    ({"messages": ask(answer=" \n")}, refusal.EMPTY, "turn 2 (assistant)"),
    ({"messages": ask("")}, refusal.EMPTY, "turn 1 (user)"),
    ({"messages": [turn("user", 3), turn("assistant")]}, refusal.NOT_TEXT, "turn 1 (user) holds a int"),
    (
        {"messages": [turn("user", [{"type": "image_url"}]), turn("assistant")]},
        refusal.NOT_TEXT,
        "image_url",
    ),
    (
        {"messages": [turn("user"), turn("assistant", "", tool_calls=[{}])]},
        refusal.BAD_CALL,
        "without a name",
    ),
    (
        {"messages": [turn("user", tool_calls=CALL), turn("assistant")]},
        refusal.BAD_CALL,
        "only the assistant",
    ),
    ({"messages": ask(), "tools": ["날씨"]}, refusal.BAD_CALL, "a list of objects"),
    (
        {"messages": [turn("user"), calling(None, function="날씨")]},
        refusal.BAD_CALL,
        "turn 2 has a call wi",
    ),
    (
        {"messages": [turn("user"), calling("{곳: 부산}")]},
        refusal.BAD_CALL,
        "arguments of 날씨 are no JSON",
    ),
    ({"messages": [turn("user"), calling('["부산"]')]}, refusal.BAD_CALL, "are a list, not an object"),
    (
        {"messages": [turn("user"), calling(["부산"])]},
        refusal.BAD_CALL,
        "turn 2: the arguments of 날씨 are a",
    ),
    (
        {"messages": [turn("user"), calling('{"곳": 1, "곳": 2}')]},
        refusal.BAD_CALL,
        "'곳' twice in one object",
    ),
    ({"messages": [turn("user"), calling('{"도": NaN}')]}, refusal.BAD_CALL, "are no JSON (Out of range"),
    (
        {"prompt": "뭐예요?", "completion": "값"},
        refusal.MISSING,
        "(rename prompt to instruction and complet",
    ),
    ({"messages": ask("긴 질문 " * 200)}, refusal.OVER, "tokens"),
    ({"messages": ask(), "license": "CC-BY-NC-4.0"}, refusal.NONCOMMERCIAL, "CC-BY-NC-4.0"),
    ({"messages": ask(), "license": ["mit", "cc-by-nc-sa-4.0"]}, refusal.NONCOMMERCIAL, "mit AND cc-by-nc"),
    ({"messages": ask(), "license": "KOGL-3"}, refusal.NO_DERIVATIVES, "KOGL-3"),
    ({"messages": ask(), "generated_by": "gpt-4o"}, refusal.BY_MODEL, "gpt-4o"),
    ({"messages": ask(), "made_by_model": True}, refusal.BY_MODEL, "a model"),
    ({"messages": ask(), "license": "LicenseRef-우리"}, refusal.NO_BASIS, "licence LicenseRef-우리"),
    ({"messages": ask(), "legal_basis": "consentt"}, refusal.UNKNOWN_BASIS, "(did you mean 'consent'?)"),
]
PAIR_MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"prompt": "뭐예요?", "chosen": "값", "rejected": "값"}, refusal.EQUAL, ""),
    ({"chosen": ask(), "rejected": ask()}, refusal.EQUAL, ""),
    ({"prompt": "뭐예요?", "chosen": "값"}, refusal.MISSING, "no rejected; found prompt, chosen"),
    ({"chosen": "값", "rejected": "갑"}, refusal.MISSING, "no prompt"),
    ({"messages": ask()}, refusal.MISSING, "found messages (kind=chat reads conversations)"),
    ({"prompt": "뭐예요?", "chosen": [], "rejected": "갑"}, refusal.MISSING, "an empty list"),
    ({"chosen": ask("가"), "rejected": ask("나")}, refusal.NO_PROMPT, "the same turns"),
    (
        {"prompt": "다", "chosen": ask("가", "나"), "rejected": ask("가", "다")},
        refusal.NO_PROMPT,
        "prompt is not",
    ),
    ({"prompt": "뭐예요?", "chosen": "", "rejected": "갑"}, refusal.EMPTY, "turn 2 (assistant)"),
    ({"prompt": "뭐예요?", "chosen": "긴 " * 999, "rejected": "갑"}, refusal.OVER, "tokens"),
    ({"prompt": ask(), "chosen": "값", "rejected": "갑"}, refusal.NOT_ALTERNATING, "turn 3 (assistant)"),
]


def test_every_mistake_is_counted_and_listed(sample: Sample, tmp_path: Path) -> None:
    good = [{"id": "first", "messages": ask("가")}, {"id": "last", "messages": [*ASKED, turn("assistant")]}]
    records = [good[0], *(record for record, _, _ in MISTAKES), b"", good[1], good[0]]
    found = packed(tmp_path, records, sample("tokenizer"), max_tokens=300)
    assert found.counts["chat"]["conversations"] == 2
    assert found.counts["chat"]["refused"] == Counter([r for _, r, _ in MISTAKES] + [refusal.DUPLICATE])
    lines = refused(tmp_path)
    for line, (number, (_, reason, detail)) in zip(lines, enumerate(MISTAKES, 2), strict=False):
        assert (line["file"], line["line"], line["reason"]) == ("in.jsonl", number, reason)
        assert detail in line["detail"], line
    assert lines[-1] == {
        **{"file": "in.jsonl", "line": len(records), "id": "first"},
        **{"reason": refusal.DUPLICATE, "detail": ""},
    }
    every = {value for name, value in vars(refusal).items() if name.isupper() and isinstance(value, str)}
    pairs_only = {refusal.EQUAL, refusal.NO_PROMPT}
    elsewhere = {refusal.NO_LICENCE, refusal.TOO_LONG, refusal.CUT_OFF, refusal.DUPLICATE}  # in other tests
    assert {reason for _, reason, _ in MISTAKES} == every - pairs_only - elsewhere


def test_calls_without_arguments_are_calls(sample: Sample, tmp_path: Path) -> None:
    records = [
        {"messages": [turn("user", str(number)), calling(none)]}
        for number, none in enumerate([None, "", " ", "null", "{}", {}])
    ]
    packed(tmp_path, records, sample("tokenizer"))
    tokenizer = load_tokenizer(Path(sample("tokenizer")))
    texts = [tokenizer.decode(tokens) for _, tokens, _ in documents(tmp_path / "out")]
    assert len(texts) == 6
    assert all('{"name": "날씨", "arguments": {}}' in text for text in texts)


def test_mistakes_in_pairs(sample: Sample, tmp_path: Path) -> None:
    good = {"prompt": "뭐예요?", "chosen": "값", "rejected": "갑"}
    records = [good, *(record for record, _, _ in PAIR_MISTAKES), good]
    found = packed(tmp_path, records, sample("tokenizer"), kind="preference", max_tokens=300)
    assert found.counts["chat"]["conversations"] == 2
    for line, (_, reason, detail) in zip(refused(tmp_path), PAIR_MISTAKES, strict=False):
        assert line["reason"] == reason and detail in line["detail"], line
    assert refused(tmp_path)[-1]["reason"] == refusal.DUPLICATE
    assert len(refused(tmp_path)) == len(PAIR_MISTAKES) + 1


def test_what_must_be_allowed_can_be(sample: Sample, tmp_path: Path) -> None:
    records = [
        {"messages": ask("가"), "license": "CC-BY-NC-ND-4.0", "legal_basis": "contract"},
        {"messages": ask("나"), "generated_by": "gpt-4o", "source": "made"},
        {"messages": ask("다"), "model": "human"},
    ]
    allow = ["noncommercial", "no-derivatives", "model-made"]
    counts = packed(tmp_path, records, sample("tokenizer"), allow=allow).counts
    assert counts["chat"]["refused"] == {}
    facts = {source["name"]: source for source in counts["sources"]}
    assert facts["made"]["kind"] == "synthetic" and facts["made"]["made_by"] == "gpt-4o"
    assert "kind" not in facts["chat"]
    assert facts["chat"]["license"] == "CC-BY-NC-ND-4.0, MIT"
    assert facts["chat"]["legal_basis"] == "contract, open-licence"
    records[0]["made_by"] = "사람"
    with pytest.raises(
        UserError, match=r"3 of 3 .* \(made by a model 3\).*1: made by a model: 한 모델; allow="
    ):
        packed(tmp_path, records, sample("tokenizer"), allow=allow[:2], made_by="한 모델")


def test_unverified_records_say_so(sample: Sample, tmp_path: Path) -> None:
    records = [{"messages": ask("가")}, {"messages": ask("나"), "source": "b", "license": "MIT"}]
    counts = packed(tmp_path, records, sample("tokenizer"), license="", unverified=True).counts
    assert [source["unverified"] for source in counts["sources"]] == [True, False]
    unknown = [{"messages": ask(n), "license": "unknown"} for n in "가나"]
    with pytest.raises(UserError, match=r"\(no licence 2\)"):
        packed(tmp_path, unknown, sample("tokenizer"), license="")
    assert packed(tmp_path, unknown, sample("tokenizer")).counts["sources"][0]["license"] == "MIT"
    with pytest.raises(
        UserError, match=r"no licence 2.*state license= and legal_basis=, or unverified=true"
    ):
        packed(tmp_path, [{"messages": ask(n)} for n in "가나"], sample("tokenizer"), license="")


def test_encodings_are_those_of_the_corpus(sample: Sample, tmp_path: Path) -> None:
    """CP949 lines, a byte order mark, UTF-16, several records on a line, lone surrogates."""
    line = json.dumps(
        {"messages": ask("안녕하세요, 오늘 날씨가 어때요?", "맑고 따뜻합니다.")}, ensure_ascii=False
    )
    plain = packed(tmp_path, [line.encode()], sample("tokenizer"))
    (expected,) = documents(tmp_path / "out")
    for raw in (line.encode("cp949"), b"\xef\xbb\xbf" + line.encode(), line.encode("utf-16")):
        (tmp_path / "in.jsonl").write_bytes(raw)
        words = {"license": "MIT", "kind": "chat", "output": str(tmp_path / "other")}
        pack_conversations(
            PackConfig(input=str(tmp_path / "in.jsonl"), tokenizer=sample("tokenizer"), **words)
        )
        assert list(documents(tmp_path / "other")) == [expected]
    two = packed(tmp_path, [b'{"messages": []}' + line.encode() + b","], sample("tokenizer"))
    assert two.counts["train"] == plain.counts["train"]
    broken = json.dumps({"messages": ask("\ud800 가", "나 \udc00")}).encode()
    packed(tmp_path, [broken], sample("tokenizer"))
    ((_, ids, _),) = documents(tmp_path / "out")
    assert "나 \ufffd" in load_tokenizer(sample("tokenizer")).decode(ids)


def test_json_of_every_shape(sample: Sample, tmp_path: Path) -> None:
    """A list, a list below the top, values one after the other, and a list that was cut."""
    records = [{"messages": ask(str(number))} for number in range(4)]
    whole = json.dumps(records, ensure_ascii=False, indent=1)
    usual = {"kind": "chat", "license": "MIT", "output": str(tmp_path / "out"), "most_refused": 1.0}
    words = {"tokenizer": sample("tokenizer"), "input": str(tmp_path / "in.json"), **usual}
    for raw, kept, refusals in (
        (whole.encode(), 4, 0),
        (whole.encode("cp949"), 4, 0),
        (json.dumps({"version": 1, "data": records}).encode(), 4, 0),
        ("\n".join(json.dumps(each, indent=1) for each in records).encode(), 4, 0),
        (whole[: whole.rindex("{")].encode(), 3, 1),
    ):
        (tmp_path / "in.json").write_bytes(raw)
        counts = pack_conversations(PackConfig(**words)).counts["chat"]
        assert counts["conversations"] == kept and sum(counts["refused"].values()) == refusals
    (cut,) = refused(tmp_path)
    assert (cut["line"], cut["reason"]) == (4, refusal.CUT_OFF)
    assert cut["detail"] == "the file ends within a value"
    with pytest.raises(
        UserError, match=r"in.json:4: rest of the file not read: .*; most_refused=1 packs what"
    ):
        pack_conversations(PackConfig(**words | {"most_refused": 0.9, "output": str(tmp_path / "none")}))
    assert not (tmp_path / "none").exists()


def test_files_that_are_large_packed_or_damaged(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [{"messages": ask(str(number), "긴 대답 " * number)} for number in range(1, 61)]
    talks = json.dumps(lines).encode()
    rows = b"\n".join(json.dumps(line).encode() for line in lines)
    table = pa.table({"messages": pa.array([json.dumps(ask()).encode(), b"\xff\xff\x80\xff"], pa.binary())})
    pq.write_table(table, tmp_path / "bytes.parquet")
    monkeypatch.setattr(reading, "SMALL_TREE_BYTES", 1 << 10)
    monkeypatch.setattr(reading, "MOST_RECORD_BYTES", 1 << 10)
    usual = {"kind": "chat", "license": "MIT", "output": str(tmp_path / "out"), "most_refused": 1.0}
    too_long = sum(len(row) > 1 << 10 for row in rows.split(b"\n"))
    for name, content, kept, reasons in (
        ("streamed.json", talks, 60, []),
        ("cut.json", talks[: talks.rindex(b"}, {")], 59, [refusal.CUT_OFF]),
        ("packed.jsonl.gz", gzip.compress(rows), 60 - too_long, [refusal.TOO_LONG] * too_long),
        ("cut.jsonl.gz", gzip.compress(rows[:4000])[:-30], None, [refusal.UNREADABLE]),
        ("bytes.parquet", None, 1, [refusal.UNREADABLE]),
        ("cut.parquet", (tmp_path / "bytes.parquet").read_bytes()[:-9], 0, []),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        config = PackConfig(input=str(tmp_path / name), tokenizer=sample("tokenizer"), **usual)
        if kept == 0:
            with pytest.raises(UserError, match="1 of 1 records are refused"):
                pack_conversations(config)
            continue
        chat = pack_conversations(config).counts["chat"]
        assert [line["reason"] for line in refused(tmp_path)] == reasons, name
        assert kept in (chat["conversations"], None), name
    assert 0 < too_long < 60


def test_a_source_for_each_record_is_refused(
    sample: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "MOST_SOURCES", 5)
    many = [{"messages": ask(str(number)), "source": f"page {number}"} for number in range(6)]
    with pytest.raises(UserError, match="more than 5 sources; give all of them one name with source="):
        packed(tmp_path, many, sample("tokenizer"))
    assert packed(tmp_path, many[1:], sample("tokenizer")).counts["train_shards"] == 5
    assert packed(tmp_path, many, sample("tokenizer"), source="pages").counts["train_shards"] == 1


def test_too_much_refused_ends_in_one_line(sample: Sample, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [{"messages": ask(str(n))} for n in range(7)] + [b"{"] * 2)
    usual = {"kind": "chat", "license": "MIT", "output": str(tmp_path / "out"), "input": str(path)}
    usual["tokenizer"] = sample("tokenizer")
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, "2 of 9 records are refused (broken JSON 2), such as in.jsonl:8: broken JSON: "),
        (
            {"most_refused": 0.0},
            "most_refused=0 allows fewer, with most_refused=1 refused.jsonl lists them",
        ),
        ({"on_error": "stop", "most_refused": 0.5}, "in.jsonl:8: broken JSON: "),
        ({"license": "CC-BY-NC-4.0"}, "refused (non-commercial licence 7, broken JSON 2)"),
        ({"legal_basis": "consentt"}, "did you mean 'consent'?"),
        ({"legal_basis": "consent"}, "needs a consent_id="),
        ({"allow": ["model"]}, "allow=model is not known"),
        ({"encoding": "cp94"}, "did you mean 'cp949'?"),
        ({"kind": "text"}, "license= goes with kind=chat and kind=preference"),
        ({"kind": "chats"}, "did you mean 'chat'?"),
        ({"heldout_share": 1.0}, "must be at least 0 and below 1"),
        ({"heldout_share": 0.9999999, "most_refused": 1.0}, "all of its 7 records are held out"),
        ({"input": sample("corpus")}, "is a corpus folder; conversations lie in .jsonl"),
        ({"input": __file__}, "no file of a known kind"),
    ]
    for words, message in cases:
        with pytest.raises(UserError) as caught:
            pack_conversations(PackConfig(**{**usual, **words}))
        assert message in str(caught.value) and "\n" not in str(caught.value)
        assert not list(tmp_path.glob("out*"))
    with pytest.raises(UserError, match=r"packed by onnuri\.chat\.data\.pack"):
        pack_text(PackConfig(**usual))


def test_what_the_command_says(sample: Sample, tmp_path: Path) -> None:
    path = write(tmp_path / "in.jsonl", [{"messages": ask(str(n))} for n in range(7)] + [b"{"] * 2)
    words = [f"input={path}", f"tokenizer={sample('tokenizer')}", f"output={tmp_path / 'out'}"]
    result = run_command("pack", *words, "kind=chat", "license=MIT", check=False)
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"error: {path}: 2 of 9 records are refused (broken JSON 2), such as ")
    result = run_command("pack", *words, "kind=chat", "license=MIT", "most_refused=0.3")
    said = result.stdout + result.stderr
    assert "7 conversations to train on and 0 held out" in said
    assert f"2 of 9 records refused: broken JSON 2; {tmp_path / 'out' / 'refused.jsonl'} lists them" in said


def test_the_same_request_is_not_packed_twice(
    sample: Sample, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "onnuri")
    first = packed(tmp_path, [{"messages": ask()}], sample("tokenizer"))
    assert packed(tmp_path, [{"messages": ask()}], sample("tokenizer")) == first
    assert caplog.messages[-1].endswith("is up to date")
    assert packed(tmp_path, [{"messages": ask("또?")}], sample("tokenizer")).inputs != first.inputs
