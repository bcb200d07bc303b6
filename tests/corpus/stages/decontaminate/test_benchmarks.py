"""Benchmark files of every layout in use give their texts; damaged ones one line that says why."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnuri.base.errors import UserError
from onnuri.corpus.stages.decontaminate import benchmarks

STEM = "다음 중 대한민국 헌법에 대한 설명으로 옳은 것은?"
CHOICES = ["주권은 국민에게 있다.", "수도는 부산이다.", "국회는 양원제다.", "대통령은 세습된다."]
PASSAGE = "대한민국은 민주공화국이다. 모든 권력은 국민으로부터 나온다."

KLUE_NLI = [
    {
        "guid": "klue-nli-v1_dev_00000",
        "source": "airbnb",
        "premise": "발코니에서 흡연이 가능합니다.",
        "hypothesis": "어떤 방에서도 흡연은 금지됩니다.",
        "gold_label": "contradiction",
        "author": "contradiction",
        "label2": "neutral",
    }
]
KLUE_STS = [
    {
        "guid": "klue-sts-v1_dev_00000",
        "source": "airbnb-rtt",
        "sentence1": "호스트분들이 너무 친절하셨습니다.",
        "sentence2": "호스트들은 매우 친절했습니다.",
        "labels": {"label": 4.9, "binary-label": 1},
        "annotations": {"agreement": "0:0:0:0:1:6", "annotators": ["17", "07 번 작업자"]},
    }
]
KLUE_MRC = {
    "version": "KLUE-MRC 1.1 dev",
    "data": [
        {
            "title": "헌법 이야기",
            "news_category": None,
            "source": "위키 백과",
            "paragraphs": [
                {
                    "context": PASSAGE,
                    "qas": [
                        {
                            "question": "권력은 어디에서 나오는가?",
                            "is_impossible": False,
                            "guid": "klue-mrc-v1_dev_1",
                            "answers": [{"text": "모든 국민", "answer_start": 27}],
                        },
                        {"question": "이 나라는 어떤 나라인가?", "answers": []},
                    ],
                }
            ],
        }
    ],
}
MRC_ITEMS = [
    ["헌법 이야기", PASSAGE, "권력은 어디에서 나오는가?", "모든 국민"],
    ["헌법 이야기", PASSAGE, "이 나라는 어떤 나라인가?"],
]
CLICK = [
    {"id": "KIIP_law_1", "paragraph": PASSAGE, "question": STEM, "choices": CHOICES, "answer": CHOICES[0]}
]
KMMLU = {"question": STEM, **dict(zip("ABCD", CHOICES, strict=True)), "answer": 1, "Category": "Law"}
HAERAE = {"query": STEM, "options": "['주권은 국민에게', '수도는 부산']", "answer": "(A)"}
KOBEST = [
    {"idx": 1, "paragraph": PASSAGE, "question": "권력은 왕에게 있는가?", "label": 0},
    {
        "premise": "물을 끓였다.",
        "question": "결과",
        "alternative_1": "김이 났다.",
        "alternative_2": "얼음이 됐다.",
    },
    {"context": "그가 문을 열었다.", **{f"ending_{n}": f"끝 맺음 {n}" for n in range(1, 5)}, "label": 2},
    {"word": "배", "context_1": "배를 [먹었다].", "context_2": "배가 [아프다].", "label": 0},
    {"sentence": "정말 맛있는 집이다.", "label": 1},
]
KOBEST_ITEMS = [
    [PASSAGE, "권력은 왕에게 있는가?"],
    ["물을 끓였다.", "결과", "김이 났다.", "얼음이 됐다."],
    ["그가 문을 열었다.", "끝 맺음 1", "끝 맺음 2", "끝 맺음 3", "끝 맺음 4"],
    ["배", "배를 [먹었다].", "배가 [아프다]."],
    ["정말 맛있는 집이다."],
]
BELEBELE = {
    "link": "https://en.wikibooks.org/wiki/A",
    "question_number": 1,
    "flores_passage": PASSAGE,
    "question": STEM,
    **{f"mc_answer{n}": choice for n, choice in enumerate(CHOICES, 1)},
    "correct_answer_num": "1",
    "dialect": "kor_Hang",
}
HRM8K = {
    "question": "사과 3개와 배 4개는 모두 몇 개인가?",
    "original": "How many fruits are there?",
    "answer": 7.0,
}
ARC = {
    "id": "Mercury_7",
    "question": {"stem": STEM, "choices": [{"text": c, "label": str(n)} for n, c in enumerate(CHOICES)]},
    "answerKey": "A",
}


def texts(path: Path | str) -> list[list[str]]:
    items = list(benchmarks.read(str(path)))
    assert [item.number for item in items] == list(range(len(items)))
    return [item.texts for item in items]


def table(rows: list[list[Any]], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


LAYOUTS: list[tuple[str, str, list[list[str]]]] = [
    ("klue-nli-v1.1_dev.json", json.dumps(KLUE_NLI), [[KLUE_NLI[0]["premise"], KLUE_NLI[0]["hypothesis"]]]),
    (
        "klue-sts-v1.1_dev.json",
        json.dumps(KLUE_STS, ensure_ascii=False, indent=4),
        [["호스트분들이 너무 친절하셨습니다.", "호스트들은 매우 친절했습니다."]],
    ),
    ("klue-mrc-v1.1_dev.json", json.dumps(KLUE_MRC), MRC_ITEMS),
    ("click.json", json.dumps(CLICK), [[PASSAGE, STEM, *CHOICES, CHOICES[0]]]),
    (
        "splits.json",
        json.dumps({"dev": CLICK, "test": [HRM8K]}),
        [[PASSAGE, STEM, *CHOICES, CHOICES[0]], [HRM8K["question"], HRM8K["original"]]],
    ),
    ("marked.json", "\ufeff" + json.dumps(CLICK), [[PASSAGE, STEM, *CHOICES, CHOICES[0]]]),
    ("by_id.json", json.dumps({"q-1": CLICK[0]}), [[PASSAGE, STEM, *CHOICES, CHOICES[0]]]),
    (
        "really_lines.json",
        f"{json.dumps(KMMLU)}\n{json.dumps(HRM8K)}\n",
        [[STEM, *CHOICES], [HRM8K["question"], HRM8K["original"]]],
    ),
    ("kmmlu.jsonl", json.dumps(KMMLU) + "\n\n" + json.dumps(KMMLU), [[STEM, *CHOICES]] * 2),
    ("kmmlu.csv", "\ufeff" + table([list(KMMLU), list(KMMLU.values())], ","), [[STEM, *CHOICES]]),
    ("no_header.csv", table([[STEM + STEM, *CHOICES, "A"]] * 2, ","), [[STEM + STEM, *CHOICES]] * 2),
    ("haerae.jsonl", json.dumps(HAERAE), [[STEM, HAERAE["options"]]]),
    ("kobest.jsonl", "\n".join(map(json.dumps, KOBEST)), KOBEST_ITEMS),
    ("belebele.jsonl", json.dumps(BELEBELE), [[PASSAGE, STEM, *CHOICES]]),
    ("arc.jsonl", json.dumps(ARC), [[STEM, *CHOICES]]),
    (
        "kornli.tsv",
        'sentence1\tsentence2\tgold_label\n그가 말했다, "엄마, 저 왔어요."\t그는 말이 "없었다.\tneutral\n',
        [['그가 말했다, "엄마, 저 왔어요."', '그는 말이 "없었다.']],
    ),
    (
        "korsts.tsv",
        "genre\tfilename\tyear\tid\tscore\tsentence1\tsentence2\n"
        "main-captions\tMSRvid\t2012test\t0024\t2.500\t한 소녀가 머리를 한다.\t한 소녀가 빗질을 한다.\r\n",
        [["한 소녀가 머리를 한다.", "한 소녀가 빗질을 한다."]],
    ),
    ("nsmc.tsv", "id\tdocument\tlabel\n6270596\t굳 ㅋ\t1\n9274899\t\t0\n", [["굳 ㅋ"], []]),
    ("plain.txt", f"{STEM}\n\n{PASSAGE}\r\n", [[STEM], [PASSAGE]]),
    ("strings.jsonl", json.dumps({"prompt": PASSAGE, "a": {"b": [[STEM], None, 3]}}), [[PASSAGE, STEM]]),
]


@pytest.mark.parametrize(("name", "content", "expected"), LAYOUTS, ids=[name for name, _, _ in LAYOUTS])
def test_layouts(name, content, expected, tmp_path):
    (tmp_path / name).write_text(content, "utf-8", newline="")
    assert texts(tmp_path / name) == expected


def test_parquet_and_compressed_files(tmp_path):
    pq.write_table(pa.Table.from_pylist([CLICK[0], CLICK[0]]), tmp_path / "click.parquet")
    assert texts(tmp_path / "click.parquet") == [[PASSAGE, STEM, *CHOICES, CHOICES[0]]] * 2
    with gzip.open(tmp_path / "click.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.write(json.dumps(CLICK[0]))
    assert texts(tmp_path / "click.jsonl.gz") == [[PASSAGE, STEM, *CHOICES, CHOICES[0]]]
    assert benchmarks.names([str(tmp_path / "click.jsonl.gz")]) == ["click"]


def test_a_folder_is_one_benchmark(tmp_path):
    folder = tmp_path / "kmmlu"
    (folder / "data").mkdir(parents=True)
    (folder / ".cache").mkdir()
    for name in ("data/law-test.jsonl", "data/art-test.jsonl", ".cache/old.jsonl", "dataset_infos.json"):
        (folder / name).write_text(json.dumps({"question": f"{STEM} {name}"}), "utf-8")
    (folder / "README.md").write_text(PASSAGE, "utf-8")
    (folder / "LICENSE.txt").write_text(PASSAGE, "utf-8")
    assert [tuple(item) for item in benchmarks.read(str(folder))] == [
        ("kmmlu", 0, [f"{STEM} data/art-test.jsonl"]),
        ("kmmlu", 1, [f"{STEM} data/law-test.jsonl"]),
    ]
    assert next(benchmarks.read(str(folder), "other")).benchmark == "other"


def parquet_cut_in_half() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"question": [STEM] * 99}), out)
    return out.getvalue()[: out.tell() // 2]


DAMAGED = [
    ("half.json", json.dumps(CLICK).encode()[:80], "cannot be read"),
    ("half.jsonl", json.dumps(KMMLU).encode() + b"\n" + json.dumps(KMMLU).encode()[:40], "line 2"),
    ("cp949.txt", PASSAGE.encode("cp949"), "not UTF-8"),
    ("half.parquet", parquet_cut_in_half(), "cannot be read"),
    ("half.jsonl.gz", gzip.compress(json.dumps(KMMLU).encode())[:60], "cannot be read"),
    ("quotes.csv", b'question,A\n"never closed,1\n', "cannot be read"),
    ("deep.json", b"[" * 90 + b"]" * 90, "nested too deep"),
    ("deeper.jsonl", b"[" * 10**5, "nested too deep"),
    ("empty.jsonl", b"", "holds no items"),
    ("none.json", b'{"data": []}', "holds no items"),
    ("slides.pptx", b"PK", "no known kind"),
]


@pytest.mark.parametrize(("name", "content", "message"), DAMAGED, ids=[name for name, _, _ in DAMAGED])
def test_damaged_files_say_so_in_one_line(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        list(benchmarks.read(str(tmp_path / name)))
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_linked_folder_is_read_and_what_is_not_read_is_named(tmp_path, terminal):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.jsonl").write_text(json.dumps(KMMLU))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "set" / "test.q7z").write_bytes(b"1")
    (tmp_path / "set" / "README.md").write_text("about")
    assert len(list(benchmarks.read(str(tmp_path / "set")))) == 1
    assert list(benchmarks.hashes(str(tmp_path / "set"))) == ["set/link/a.jsonl"]
    assert terminal.readouterr().out == (
        f"benchmark {tmp_path}/set: passed over 1 about the benchmark: README.md; "
        "1 of no known format: test.q7z\n"
    )


def test_missing_and_empty_paths(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        list(benchmarks.read(str(tmp_path / "none.jsonl")))
    with pytest.raises(UserError, match="no file of a known kind"):
        list(benchmarks.read(str(tmp_path)))
