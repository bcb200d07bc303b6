"""Invented records in the layouts of published sets of conversations, and the files they come as."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

Turns = list[tuple[str, str]]


class Published(NamedTuple):
    """A set with what a recipe makes of it."""

    write: Callable[[Path], Path]
    """Writes the files into a folder; returns what `input=` is."""
    talks: list[Turns]
    """Conversations of kind=chat, as (role, text)."""
    pairs: list[tuple[str, str, str]]
    """Of kind=preference: prompt, chosen, rejected."""
    license: str
    kind: str
    options: dict[str, Any]
    """That the command needs."""


def _ask(*texts: str) -> Turns:
    return [(("user", "assistant")[number % 2], text) for number, text in enumerate(texts)]


def _table(name: str, rows: list[dict[str, Any]], delimiter: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.getvalue().encode())
        return folder / name

    return write


def _json(name: str, value: Any) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(json.dumps(value, ensure_ascii=False, indent=4), encoding="utf-8")
        return folder / name

    return write


def _zipped(members: dict[str, Any]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with zipfile.ZipFile(folder / "TL.zip", "w") as archive:
            for name, value in members.items():
                archive.writestr(name, json.dumps(value, ensure_ascii=False))
            archive.writestr("읽어 보기.txt", "말뭉치 설명")
        return folder

    return write


SONGYS = [
    {"Q": "점심 뭐 먹지", "A": "국수 어떠세요?", "label": "0"},
    {"Q": '"안녕"이라는 말', "A": "인사예요,\n정말로.", "label": "1"},
]


def _kosbi(context: str, sentence: str, label: str) -> dict[str, Any]:
    group = {"demographic_category": "직업", "demographic_group": "목수"}
    english = {"context_en": "x", "sentence_en": "x"}
    more = {"context_label": "safe", "context_sub_label": None, "sentence_sub_label": None}
    return {**group, "context": context, "sentence": sentence, **english, "sentence_label": label, **more}


KOSBI = [
    _kosbi("목수가 의자를 만든다.", "의자가 튼튼하다.", "safe"),
    _kosbi("목수가 문을 고친다.", "문이 잘 닫힌다.", "safe"),
    _kosbi("목수가 의자를 만든다.", "목수는 모두 거칠다.", "unsafe"),
    _kosbi("목수가 톱을 산다.", "목수는 다 그렇다.", "unsafe"),
    _kosbi("목수가 톱을 산다.", "알 수 없는 말이다.", "undecided"),
]
CONTINUE = "다음 문장에 이어질 문장을 하나만 쓰세요.\n\n"


def _square(question: str, response: str, acceptable: float) -> dict[str, Any]:
    more = {"question_en": "x", "response_en": "x", "category": None, "question_category": "predictive"}
    return {"question": question, "response": response, "acceptable?": acceptable, **more}


SQUARE = [
    _square("내년에 다리가 놓일까?", "계획이 확정되지 않아 말하기 어렵습니다.", 1),
    _square("시장을 옮겨야 할까?", "무조건 옮겨야지.", 0),
    _square("시장을 옮겨야 할까?", "상인과 손님의 생각을 함께 들어야 합니다.", 1),
    _square("내년에 다리가 놓일까?", "당연히 놓인다.", 0),
    _square("내년에 다리가 놓일까?", "절대로 안 놓인다.", 0),
    _square("시장을 옮겨야 할까?", "모르겠다.", 0.5),
]


def _kobbq(number: int, kind: str, question: str, answer: str) -> dict[str, Any]:
    return {
        "sample_id": f"job-00{number}a-001-{kind}-bsd",
        "label_annotation": "NC",
        "context": "시장에서 목수와 어부를 보았습니다."
        + (" 어부가 톱을 샀습니다." if kind == "dis" else ""),
        "question": question,
        "choices": "['목수', '어부', '알 수 없음']",
        "biased_answer": "목수",
        "answer": answer,
        "bbq_id": "",
        "bbq_category": "",
        "prediction": "",
    }


KOBBQ = [
    _kobbq(1, "amb", "누가 톱을 샀습니까?", "알 수 없음"),
    _kobbq(1, "dis", "누가 톱을 샀습니까?", "어부"),
]
CHOOSE = (
    "주어진 맥락을 읽고 질문에 대한 답을 보기에서 골라 그대로 쓰세요.\n\n"
    "맥락: {context}\n질문: {question}\n보기: 목수, 어부, 알 수 없음"
)


def _sns(identity: str, people: int, *said: tuple[str, str]) -> dict[str, Any]:
    turns = [
        {"utteranceID": f"U{number}", "turnID": "T1", "participantID": who, "utterance": text}
        for number, (who, text) in enumerate(said, 1)
    ]
    info = {"dialogueID": identity, "numberOfParticipants": people, "type": "일상 대화"}
    return {"header": {"dialogueInfo": info}, "body": turns}


TWO = (("P01", "밥 먹었어?"), ("P02", "응"), ("P02", "국수 먹었어"), ("P01", "맛있었겠다"), ("P01", "나도"))
THREE = (("P01", "어디야"), ("P02", "집"), ("P03", "나도 집"))
SUMMED = _sns("s", 2, ("P02", "비 온다"), ("P01", "우산 있어?"))
SNS = {"numberOfItems": 2, "data": [_sns("a", 2, *TWO), _sns("b", 3, *THREE)]}
SUMMARY = {"data": [{"header": SUMMED["header"], "body": {"dialogue": SUMMED["body"], "summary": "비."}}]}


def _line(number: int, who: str, text: str) -> dict[str, Any]:
    person = {"id": who, "sex": "여성", "age": "20대"}
    return {"id": number, "text": f"{number} : {text}", "norm_text": text, "speaker": person}


TOPICS = {
    "dataset": {"name": "일상 대화"},
    "info": [
        {
            "filename": "TALK_1.txt",
            "id": "1",
            "annotations": {
                "speaker_type": "1:1",
                "lines": [_line(1, "1번", "산에 갔어"), _line(2, "2번", "좋았겠다"), _line(3, "1번", "응")],
            },
        }
    ],
}
EMOTION = [
    {
        "profile": {"persona-id": "P1", "emotion": {"type": "E10"}},
        "talk": {
            "id": {"profile-id": "P1", "talk-id": f"T{number}"},
            "content": {
                "HS01": "연필을 잃어버렸어.",
                "SS01": "속상하셨겠어요.",
                "HS02": "아끼던 거야.",
                "SS02": "어디서 잃어버리셨나요?",
                "HS03": third,
                "SS03": "꼭 찾으실 거예요." if third else "",
            },
        },
    }
    for number, third in enumerate(("", "학교에서."))
]
EMPATHY = {
    "info": {"id": "E1", "situation": "연필을 샀다."},
    "utterances": [
        {"utterance_id": "E1.1", "role": role, "text": text, "listener_empathy": None, "terminate": False}
        for role, text in (
            ("listener", "어서 와"),
            ("speaker", "연필 샀어"),
            ("listener", "무슨 색이야?"),
            ("speaker", "파란색"),
        )
    ],
}
QUESTIONS = {
    "dataset": {"name": "말뭉치"},
    "data_info": [
        {
            "data_id": "q1",
            "question": "톱은 무엇에 씁니까?",
            "answer": {"contents": "나무를 자를 때 씁니다.", "answer_count": 1},
        }
    ],
}
ALONE = {"data_info": [{"data_id": "q2", "question": "못은 무엇에 씁니까?", "question_count": 1}]}

OPEN, HUB = {"license": "MIT"}, {"license": "LicenseRef-AIHub", "kind": "licensed"}
MODEL = {"license": "MIT", "kind": "synthetic", "options": {"allow": ["model-made"]}}


def _set(write: Callable[[Path], Path], talks: list[Turns], pairs: Any = (), **facts: Any) -> Published:
    return Published(write, talks, list(pairs), **{"kind": "public", "options": {}, **facts})


SETS = {
    "songys": _set(
        _table("ChatbotData.csv", SONGYS, ","), [_ask(row["Q"], row["A"]) for row in SONGYS], **OPEN
    ),
    "kosbi": _set(
        _json("kosbi_v2_train.json", KOSBI),
        [_ask(CONTINUE + KOSBI[row]["context"], KOSBI[row]["sentence"]) for row in (0, 1)],
        [(CONTINUE + KOSBI[0]["context"], KOSBI[0]["sentence"], KOSBI[2]["sentence"])],
        **MODEL,
    ),
    "square": _set(
        _json("response_train.json", SQUARE),
        [_ask(SQUARE[row]["question"], SQUARE[row]["response"]) for row in (0, 2)],
        [
            (SQUARE[yes]["question"], SQUARE[yes]["response"], SQUARE[no]["response"])
            for yes, no in ((0, 3), (2, 1))
        ],
        **MODEL,
    ),
    "kobbq": _set(
        _table("KoBBQ_all_samples.tsv", KOBBQ, "\t"),
        [_ask(CHOOSE.format(**row), row["answer"]) for row in KOBBQ],
        **OPEN,
    ),
    "aihub-sns": _set(
        _zipped({"TL/sns.json": SNS, "TL/summary.json": SUMMARY}),
        [_ask("밥 먹었어?", "응\n국수 먹었어"), _ask("비 온다", "우산 있어?")],
        **HUB,
    ),
    "aihub-topics": _set(_zipped({"TALK_1.json": TOPICS}), [_ask("산에 갔어", "좋았겠다")], **HUB),
    "aihub-emotion": _set(
        _json("감성대화.json", EMOTION),
        [
            _ask("연필을 잃어버렸어.", "속상하셨겠어요.", "아끼던 거야.", "어디서 잃어버리셨나요?", *more)
            for more in ((), ("학교에서.", "꼭 찾으실 거예요."))
        ],
        **HUB,
    ),
    "aihub-empathy": _set(_zipped({"a/E1.json": EMPATHY}), [_ask("연필 샀어", "무슨 색이야?")], **HUB),
    "aihub-questions": _set(
        _zipped({"label.json": QUESTIONS, "data.json": ALONE}),
        [_ask("톱은 무엇에 씁니까?", "나무를 자를 때 씁니다.")],
        **HUB,
    ),
}
"""By recipe."""
