"""Why an answer is wrong, as the checkers of programmed tasks have it, in Korean."""

from __future__ import annotations

import re

REASONS = {
    "no single final answer": "마지막 답이 없거나 여럿",
    "another reading": "다른 읽기",
    "another day": "다른 날",
    "another answer": "다른 답",
    "another number": "다른 수",
    "another weekday": "다른 요일",
    "another age": "다른 나이",
    "another order": "다른 순서",
    "another josa": "다른 조사",
    "another number of josa": "조사의 수가 다름",
    "another tool": "다른 도구",
    "another call or result": "다른 호출이나 결과",
    "another sentence or register": "다른 문장이나 말투",
    "another last sentence": "마지막 문장이 다름",
    "another beginning": "시작이 다름",
    "other syllables": "다른 음절",
    "other letters": "다른 낱자",
    "other results": "다른 결과",
    "other fields or values": "다른 필드나 값",
    "not one function solve alone": "solve 함수 하나만이 아님",
    "not one call alone": "호출 하나만이 아님",
    "not one JSON object alone": "JSON 객체 하나만이 아님",
    "no single number in digits": "숫자로 쓴 수 하나가 아님",
    "no lunar day": "음력 날짜가 아님",
    "it does not come to an end": "실행이 끝나지 않음",
    "the answer is empty": "빈 답",
    "the answer repeats the prompt": "물음을 되풀이한 답",
    "the answer does not end": "답이 끝나지 않음",
    "the question does not fit the model's context": "물음이 모델의 문맥 길이를 넘음",
    "personal data in the answer": "답에 개인정보가 있음",
    "a refusal of a harmless question": "무해한 물음을 거절함",
    "an item of more than one sentence": "한 항목에 문장이 여럿",
    "a sentence in another register": "말투가 다른 문장",
    "a line that is no list item": "목록 항목이 아닌 줄",
    "a line that is no sentence": "문장이 아닌 줄",
    "a sentence of the prompt": "물음에 있는 문장",
    "the same again": "같은 말의 되풀이",
    "a comma": "쉼표",
    "a Latin letter": "로마자",
    "too long": "너무 김",
}
PATTERNS = (
    (re.compile(r"(\d+) sentences for (\d+)"), r"문장 \1개(\2개여야 함)"),
    (re.compile(r"'(.+)' (\d+) times"), r"‘\1’ \2번"),
    (re.compile(r"the call fails: (.*)", re.DOTALL), r"호출 실패: \1"),
)


def in_korean(reason: str) -> str:
    """A reason in Korean, as it is if it is not known."""
    for pattern, words in PATTERNS:
        if match := pattern.fullmatch(reason):
            return match.expand(words)
    return REASONS.get(reason, reason)
