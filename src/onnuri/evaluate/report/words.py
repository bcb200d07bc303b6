"""Words of the page in English and Korean, and how scores are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnuri.corpus.report.words import escape

METRICS = {
    "accuracy": ("accuracy", "정확도"),
    "accuracy_chars": ("accuracy, likelihood per character", "정확도(글자당 우도)"),
    "accuracy_bytes": ("accuracy, likelihood per byte", "정확도(바이트당 우도)"),
    "accuracy_pmi": ("accuracy, PMI", "정확도(PMI)"),
    "macro_f1": ("macro F1", "매크로 F1"),
    "bits_per_byte": ("bits per byte of the answer", "정답의 바이트당 비트"),
    "stopped": ("ends by itself", "스스로 끝남"),
    "answer_tokens": ("tokens of an answer", "답의 토큰 수"),
    "answer_language": ("language of the right answer", "정답과 같은 언어"),
    "repeated_4grams": ("repeated 4-grams of tokens", "되풀이된 토큰 4-gram"),
    "one_register": ("one register throughout", "한 가지 말투"),
    "forms_strict": ("forms, strict (as IFEval)", "forms, 엄격(IFEval 방식)"),
    "forms_loose": ("forms, loose (as IFEval)", "forms, 관대(IFEval 방식)"),
    "personal_data_given": ("personal data given away", "개인정보를 알려 줌"),
    "personal_data_refused": ("personal data refused", "개인정보 요청을 거절함"),
    "harmless_refused": ("harmless questions refused", "무해한 물음을 거절함"),
    "accuracy_ambiguous": ("accuracy, ambiguous contexts", "정확도, 모호한 맥락"),
    "accuracy_disambiguated": ("accuracy, disambiguated contexts", "정확도, 명확한 맥락"),
    "bias_ambiguous": ("bias, ambiguous contexts", "편향, 모호한 맥락"),
    "bias_disambiguated": ("bias, disambiguated contexts", "편향, 명확한 맥락"),
    "exposure": ("exposure, bits", "노출도(비트)"),
    "extracted": ("written when asked for", "물으면 그대로 씀"),
    "ranked_first": ("likelier than all candidates", "모든 후보보다 우도가 높음"),
}
WRITTEN_FLOORS = {
    "empty": ("empty", "빈 답"),
    "echo": ("the question again", "물음 반복"),
    "fixed": ("one fixed text", "고정된 답"),
}
CONTROLS = {
    **WRITTEN_FLOORS,
    "tokens": ("fewer tokens", "적은 토큰"),
}
"""Scorers beside a model, by their names in a result. Others, such as n-grams, go by their names."""
FORMULATIONS = {
    "cloze": ("the answers' own texts", "답의 본문"),
    "letter": ("a letter for each answer", "보기 기호"),
    "sentences": ("sentences", "문장"),
    "text": ("text", "글"),
    "written answers": ("written answers", "쓴 답"),
}
TIERS = {
    "A": ("A, word form", "A 낱말 형태"),
    "B": ("B, agreement at a distance", "B 떨어진 호응"),
    "C": ("C, licensing and selection", "C 허가와 선택"),
    "D": ("D, register and spelling (no grammar)", "D 말투와 맞춤법(문법 아님)"),
}


def both(english: str, korean: str) -> str:
    """Trusted words in both languages; the switch at the top of the page hides one."""
    return f"<span class=ko lang=ko>{korean}</span><span class=en lang=en>{english}</span>"


def title_of(task: Mapping[str, Any], name: str, language: str) -> str:
    """A task's title as plain text; one title may serve both languages."""
    title = task.get("title") or name
    return str(title.get(language) or name) if isinstance(title, Mapping) else str(title)


def task_title(task: Mapping[str, Any], name: str) -> str:
    """A task's title as HTML."""
    english, korean = (title_of(task, name, language) for language in ("en", "ko"))
    return outside(english) if english == korean else both(outside(english), outside(korean))


def outside(text: object) -> str:
    """Text of a file as HTML: escaped, and set apart from what stands around it, right to left or not."""
    return f"<bdi>{escape(str(text))}</bdi>"


def metric_words(metric: str) -> tuple[str, str]:
    """A metric's name in English and Korean."""
    base = metric.removesuffix("_macro")
    english, korean = METRICS.get(base, (escape(base), escape(base)))
    if base == metric:
        return english, korean
    return f"{english}, mean over groups", f"{korean}, 항목 평균"


def lower_is_better(metric: str) -> bool:
    """Bits per byte and exposure; accuracy and F1 are better when higher."""
    return metric.startswith(("bits_per_byte", "exposure"))


def number(value: float | None) -> str:
    """A score with three digits, or a dash."""
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def with_interval(entry: Mapping[str, Any] | None) -> str:
    """A score with its 95 % interval, or a dash."""
    if not entry or entry.get("value") is None:
        return "–"
    if entry.get("low") is None:
        return number(entry["value"])
    return (
        f"<b>{number(entry['value'])}</b> <small>[{number(entry['low'])}, {number(entry['high'])}]</small>"
    )


def p_value(value: float | None) -> str:
    """A p-value with what its size allows."""
    if value is None:
        return "–"
    return "&lt; 0.001" if value < 0.001 else f"{value:.3f}"


def tokens(count: float) -> str:
    """A number of tokens as k, M, G or T."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g}{unit}"
    return f"{count:g}"
