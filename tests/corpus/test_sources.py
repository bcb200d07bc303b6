"""Sources as they are handed out: layouts of AI Hub and NIKL, mappings, legal terms, opt-out, languages."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.config import compose
from onnuri.corpus.config import CorpusConfig, ExplainConfig
from onnuri.corpus.execution.build import build
from onnuri.corpus.report.explain import explain
from onnuri.corpus.source import Source
from tests.conftest import SCRIPTS

FIRST = "어제 열린 회의에서 위원들은 새로운 계획을 두고 오랫동안 이야기를 나누었다."
SECOND = "강가의 마을에서는 봄마다 사람들이 모여 나무를 심고 음식을 나누어 먹는다."
THIRD = "연구원은 지난 십 년 동안 모은 자료를 바탕으로 보고서를 새로 썼다고 밝혔다."


def make(tmp_path: Path, *words: str) -> list[dict[str, Any]]:
    """Build a corpus without a held-out part; its kept documents."""
    output = tmp_path / "out"
    build(compose(CorpusConfig, [*words, f"output={output}", "heldout_share=0"]))
    return [row for path in sorted(output.glob("documents/*")) for row in pq.read_table(path).to_pylist()]


def rejected(tmp_path: Path) -> list[dict[str, Any]]:
    paths = sorted((tmp_path / "out" / "rejected").glob("*"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def dump(path: Path, content: Any, encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding=encoding)


def test_nikl_written(tmp_path: Path) -> None:
    document = {
        "id": "NWRW1800000001.1",
        "metadata": {"title": "신문", "author": "기자", "date": "20180101", "url": "https://example.kr/1"},
        "paragraph": [{"id": "NWRW.1.1", "form": FIRST}, {"id": "NWRW.1.2", "form": SECOND}],
    }
    other = {"id": "NWRW1800000001.2", "metadata": {}, "paragraph": [{"id": "NWRW.2.1", "form": THIRD}]}
    dump(
        tmp_path / "NIKL_NEWSPAPER_v2.0" / "NWRW1800000001.json",
        {"id": "NWRW1800000001", "metadata": {"title": "말뭉치"}, "document": [document, other]},
    )
    rows = make(tmp_path, "recipe=nikl-written", f"input={tmp_path / 'NIKL_NEWSPAPER_v2.0'}")
    assert [row["text"] for row in rows] == [f"{FIRST}\n{SECOND}", THIRD]
    assert rows[0]["url"] == "https://example.kr/1"
    assert {row["legal_basis"] for row in rows} == {"contract"}
    assert rows[0]["origin"] == "NWRW1800000001.json#document.0"


def test_nikl_spoken_in_a_zip(tmp_path: Path) -> None:
    turns = [
        {"id": f"SDRW.1.{n}", "form": text, "speaker_id": "P1"} for n, text in enumerate((FIRST, SECOND))
    ]
    content = {"id": "SDRW2000000001", "document": [{"id": "SDRW.1", "utterance": turns}]}
    with zipfile.ZipFile(tmp_path / "NIKL_DIALOGUE_2020.zip", "w") as archive:
        archive.writestr("대화/SDRW2000000001.json", json.dumps(content, ensure_ascii=False))
    rows = make(tmp_path, "recipe=nikl-spoken", f"input={tmp_path / 'NIKL_DIALOGUE_2020.zip'}")
    assert [row["text"] for row in rows] == [f"{FIRST}\n{SECOND}"]
    assert rows[0]["origin"] == "NIKL_DIALOGUE_2020.zip/대화/SDRW2000000001.json#document.0"


@pytest.mark.parametrize(
    ("recipe", "content", "texts"),
    [
        (
            "aihub-summary",
            {
                "name": "신문기사",
                "documents": [
                    {
                        "id": "340626877",
                        "text": [
                            [{"index": 0, "sentence": FIRST, "highlight_indices": ""}],
                            [{"index": 1, "sentence": SECOND, "highlight_indices": ""}],
                        ],
                        "abstractive": ["요약"],
                    }
                ],
            },
            [f"{FIRST}\n{SECOND}"],
        ),
        (
            "aihub-sns",
            {
                "data": [
                    {
                        "header": {"dialogueInfo": {"dialogueID": "a1", "topic": "여가"}},
                        "body": [
                            {"utteranceID": "U1", "participantID": "P01", "utterance": FIRST},
                            {"utteranceID": "U2", "participantID": "P02", "utterance": THIRD},
                        ],
                    }
                ]
            },
            [f"{FIRST}\n{THIRD}"],
        ),
        (
            "aihub-web",
            {
                "named_entity": [
                    {
                        "title": [{"sentence": "제목", "labels": []}],
                        "content": [
                            {"sentence": f"{FIRST} {SECOND} {THIRD}", "labels": []},
                            {"sentence": f"{THIRD[::-1]} {FIRST[::-1]}다.", "labels": []},
                        ],
                        "url": "https://example.kr/2",
                    }
                ]
            },
            [f"{FIRST} {SECOND} {THIRD}\n{THIRD[::-1]} {FIRST[::-1]}다."],
        ),
    ],
)
def test_ai_hub(tmp_path: Path, recipe: str, content: Any, texts: list[str]) -> None:
    dump(tmp_path / "in" / "1.Training" / "라벨링데이터" / "train.json", content, "utf-8-sig")
    rows = make(tmp_path, f"recipe={recipe}", f"input={tmp_path / 'in'}", "stages=[normalise,describe,pii]")
    assert [row["text"] for row in rows] == texts
    assert rows[0]["license"] == "LicenseRef-AIHub"


def test_large_json_is_read_record_by_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnuri.corpus.reading import readers, records
    from onnuri.corpus.reading.piece import Piece

    content = {
        "head": {"a": 1},
        "documents": [{"id": n, "body": [{"s": f"글 {n}"}, {"s": "끝"}]} for n in range(500)],
    }
    dump(tmp_path / "large.json", content)
    source = Source("x", input="x", records="documents", columns={"text": "body.s"}, unverified=True)
    piece = Piece(0, "large.json", str(tmp_path / "large.json"), "json")

    def texts() -> list[tuple[str, str, str]]:
        batches = list(readers.read([piece], source, 1 << 20))
        columns = ([v for b in batches for v in b[name].to_pylist()] for name in ("origin", "key", "text"))
        return list(zip(*columns, strict=True))

    small = texts()
    monkeypatch.setattr(records, "SMALL_TREE_BYTES", 100)
    assert texts() == small
    assert small[7] == ("large.json#documents.7", "7", "글 7\n끝")
    (tmp_path / "large.json").write_text(json.dumps(content)[:5000])
    assert len(texts()) > 20, "what comes before the damage"


def test_own_columns_terms_and_opt_out(tmp_path: Path) -> None:
    rows = [
        {"number": "a", "body": {"ko": [FIRST, SECOND]}, "link": "https://blog.example.kr/1?x=2"},
        {"number": "b", "body": {"ko": [THIRD]}, "link": "https://other.kr/5/"},
        {"number": "c", "body": {"ko": [SECOND]}, "link": "https://fine.kr/"},
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "opt-out.txt").write_text("# asked by mail\nexample.kr\n\nhttps://other.kr/5\n")
    (tmp_path / "own.yaml").write_text(
        f"""
stages: [normalise]
sources:
  - name: blogs
    input: {tmp_path}/in.jsonl
    columns: {{text: body.ko, id: number, url: link}}
    license: CC-BY-4.0
    legal_basis: consent
    consent_id: 2026-17
    collected_at: 2026-03-01
    kind: crawled
    opt_out: {tmp_path}/opt-out.txt
"""
    )
    kept = make(tmp_path, f"recipe={tmp_path / 'own.yaml'}")
    assert [(row["text"], row["url"]) for row in kept] == [(SECOND, "https://fine.kr/")]
    assert {row["reason"] for row in rejected(tmp_path)} == {
        "opted out: example.kr",
        "opted out: other.kr/5",
    }
    counts = manifest.read(tmp_path / "out", "corpus").counts
    blogs = counts["sources"]["blogs"]
    assert blogs["unverified"] is False
    assert (blogs["kind"], blogs["collected_at"]) == ("crawled", "2026-03-01")
    assert (blogs["opt_out"], blogs["opted_out"]) == (True, 2)
    assert (blogs["domains"], blogs["num_domains"]) == ({"fine.kr": len(SECOND.encode())}, 1)
    settings = manifest.read(tmp_path / "out", "corpus").settings
    assert settings["recipe"]["sources"][0]["consent_id"] == "2026-17"


def test_surrogates_and_kinds_by_recipe(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text(f"{FIRST} 문의: 010-1234-5678, hong@naver.com")
    source = f"sources: [{{name: a, input: {tmp_path}/in.txt, unverified: true}}]"
    (tmp_path / "own.yaml").write_text(f"stages: [{{pii: {{kinds: [phone], style: surrogate}}}}]\n{source}")
    (row,) = make(tmp_path, f"recipe={tmp_path / 'own.yaml'}")
    assert "010-0000-" in row["text"] and "010-1234-5678" not in row["text"]
    assert "hong@naver.com" in row["text"]
    assert row["personal_data"]["phone"] == 1
    assert manifest.read(tmp_path / "out", "corpus").counts["sources"]["a"]["unverified"] is True


def test_thresholds_by_recipe(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in (FIRST, SECOND * 9)))
    source = f"sources: [{{name: a, input: {tmp_path}/in.jsonl, unverified: true}}]"
    (tmp_path / "own.yaml").write_text(
        f"stages: [describe, {{filter: {{ko: {{min_words: 5, statistics_from_words: 50}}}}}}]\n{source}"
    )
    assert [row["text"] for row in make(tmp_path, f"recipe={tmp_path / 'own.yaml'}")] == [FIRST]
    (tmp_path / "own.yaml").write_text(f"stages: [{{filter: {{ko: {{min_wrds: 5}}}}}}]\n{source}")
    with pytest.raises(UserError, match="did you mean 'min_words'"):
        make(tmp_path, f"recipe={tmp_path / 'own.yaml'}")


def test_against_an_earlier_corpus(tmp_path: Path) -> None:
    long = " ".join(f"{FIRST} {SECOND} {n}번째 {THIRD}" for n in range(5))
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, texts in ((first, [long, FIRST]), (second, [long + " 덧붙임.", SECOND, FIRST])):
        folder.mkdir()
        (folder / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    make(first, "recipe=local", f"input={first / 'in.jsonl'}")
    kept = make(second, "recipe=local", f"input={second / 'in.jsonl'}", f"against=[{first / 'out'}]")
    assert [row["text"] for row in kept] == [SECOND]
    assert [row["reason"] for row in rejected(second)] == ["near duplicate", "duplicate"]
    with pytest.raises(UserError, match="does not exist"):
        make(second, "recipe=local", f"input={second / 'in.jsonl'}", "against=[/no/corpus]")


def test_ids_of_other_stages_and_corpora_may_meet(tmp_path: Path) -> None:
    text = f"{FIRST}ㅋㅋㅋㅋㅋㅋㅋㅋ {SECOND}\u200b {THIRD}"
    outputs = []
    for name, stages in (("a", "[describe,dedup]"), ("b", "[normalise,dedup]")):
        folder = tmp_path / name
        folder.mkdir()
        (tmp_path / "in.jsonl").write_text(json.dumps({"text": text}))
        make(folder, "recipe=local", f"input={tmp_path / 'in.jsonl'}", f"stages={stages}")
        outputs.append(folder / "out")
    against = f"against=[{outputs[0]},{outputs[1]}]"
    words = ["recipe=local", f"input={tmp_path / 'in.jsonl'}", "stages=[normalise,describe,dedup]", against]
    assert make(tmp_path, *words) == []
    assert make(tmp_path, *words[:3]) != []
    assert make(tmp_path, *words[:3], f"against=[{outputs[1]}]") == [], "another request, not up to date"
    odd = [{"id": "k", "text": "A 하나\0\0B 넷"}, {"id": "k\0\0A 하나", "text": "B 넷"}]
    (tmp_path / "in.jsonl").write_text("\n".join(map(json.dumps, odd)))
    assert len({row["id"] for row in make(tmp_path, *words[:3])}) == 2


def test_large_utf_16_and_odd_json(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    lines = "".join(json.dumps({"text": f"{FIRST} {n}"}, ensure_ascii=False) + "\n" for n in range(40_000))
    (folder / "a.jsonl").write_bytes(lines.encode("utf-16"))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines[:100_000].encode("utf-16")))
    big = json.dumps([{"text": f"{SECOND} {n}" * 40} for n in range(4_000)], ensure_ascii=False)
    (folder / "c.json").write_bytes(b"\xef\xbb\xbf" + big.encode())
    (folder / "d.json").write_bytes(big.encode("cp949"))
    rows = make(tmp_path, "recipe=local", f"input={folder}", "stages=[]")
    counts = Counter(row["origin"][0] for row in rows)
    assert (counts["a"], counts["c"], counts["d"]) == (40_000, 4_000, 4_000)
    assert counts["b"] == lines[:100_000].count("\n")


def test_places_that_would_eat_each_other(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jsonl").write_text(json.dumps({"text": FIRST}))
    make(tmp_path, "recipe=local", f"input={tmp_path / 'in'}")
    inside = f"output={tmp_path / 'in' / 'corpus'}"
    with pytest.raises(UserError, match="lies in input"):
        build(compose(CorpusConfig, ["recipe=local", f"input={tmp_path / 'in'}", inside]))
    for words in (
        ["recipe=local", f"input={tmp_path / 'out' / 'documents'}"],
        ["recipe=local", f"input={tmp_path / 'in'}", f"against=[{tmp_path / 'out'}]"],
    ):
        with pytest.raises(UserError, match="would be replaced"):
            make(tmp_path, *words)
    (tmp_path / "in" / "up").symlink_to(tmp_path / "in")
    assert len(make(tmp_path, "recipe=local", f"input={tmp_path / 'in'}/**/*.jsonl")) == 1


@pytest.mark.parametrize(
    ("entry", "url", "out"),
    [
        ("example.com", "https://forum.example.com?page=3", True),
        ("Example.COM", "http://me@Forum.Example.com:8080/x", True),
        ("//forum.example.com./x", "forum.example.com/x/", True),
        ("https://example.com/a?b=1", "http://example.com/a?b=1", True),
        ("https://example.com/a", "https://example.com/ab", False),
        ("example.com", "https://notexample.com/", False),
        ("id-7", "https://example.com/id-7", False),
    ],
)
def test_opt_out_addresses(entry: str, url: str, out: bool, tmp_path: Path) -> None:
    import pyarrow as pa

    from onnuri.corpus import opt_out

    (tmp_path / "list.txt").write_text(entry)
    listed = opt_out.entries(str(tmp_path / "list.txt"))
    found = opt_out.reasons(listed, pa.array(["a" * 32]), pa.array(["key"]), pa.array([url]))
    assert bool(found[0]) is out


def test_encodings(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_bytes(FIRST.encode("cp949"))
    (folder / "b.txt").write_bytes(SECOND.encode("utf-16"))
    line = json.dumps({"text": THIRD}, ensure_ascii=False)
    (folder / "c.jsonl").write_bytes(line.encode("cp949") + b"\n")
    (folder / "d.jsonl").write_bytes(
        json.dumps({"text": FIRST + THIRD}, ensure_ascii=False).encode("utf-16")
    )
    (folder / "e.html").write_bytes(
        f'<html><head><meta charset="euc-kr"></head><body><p>{SECOND} {FIRST}</p></body></html>'.encode(
            "cp949"
        )
    )
    rows = make(tmp_path, "recipe=local", f"input={folder}", "stages=[]")
    assert [row["text"].strip() for row in rows] == [
        FIRST,
        SECOND,
        THIRD,
        FIRST + THIRD,
        f"{SECOND} {FIRST}",
    ]


def test_explain(tmp_path: Path) -> None:
    texts = [FIRST + " 문의는 010-1234-5678로.", FIRST + " 문의는 010-1234-5678로.", "", SECOND]
    (tmp_path / "in.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    rows = make(tmp_path, "recipe=local", f"input={tmp_path / 'in.jsonl'}")
    masked = next(row for row in rows if "phone" in row["text"])
    words = ["explain", f"id={masked['id'][:12]}", f"input={tmp_path / 'out'}"]
    result = subprocess.run(
        [sys.executable, str(SCRIPTS / "corpus.py"), *words], capture_output=True, text=True, check=True
    )
    assert "phone 1" in result.stdout
    assert "2 copies" in result.stdout
    assert "REJECTED: duplicate" in result.stdout, "the copy has the same id"
    assert "(kept)" in result.stdout
    empty = next(row for row in rejected(tmp_path) if row["reason"] == "empty")
    assert "REJECTED: empty" in explain(ExplainConfig(empty["id"], str(tmp_path / "out")))
    for identity, message in (
        ("f" * 32, "no such document"),
        ("abc", "at least 6"),
        ("../../x", "hexadecimal"),
    ):
        with pytest.raises(UserError, match=message):
            explain(ExplainConfig(identity, str(tmp_path / "out")))
