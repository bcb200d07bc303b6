"""filter: rules for prose, and spam."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from onnuri.base.errors import UserError, nearest
from onnuri.corpus.stages.filter import rules, spam
from onnuri.corpus.stages.stage import Stage, one_array, with_columns


@dataclass
class FilterOptions:
    """Thresholds other than `KOREAN` and `ENGLISH` of rules.py, by the names in `Rules`."""

    ko: dict[str, Any] = field(default_factory=dict)
    """Thresholds for Korean, e.g. {min_words: 30}."""
    en: dict[str, Any] = field(default_factory=dict)
    """Thresholds for English."""

    def __post_init__(self) -> None:
        for lang, known in rules.RULES.items():
            names = vars(known)
            for key, value in getattr(self, lang).items():
                if key not in names:
                    raise UserError(f"{lang} has no threshold '{key}'{nearest(key, names)}")
                if not _alike(value, names[key]):
                    raise UserError(f"{lang}.{key} must be like {names[key]!r}, found {value!r}")


def _alike(value: Any, known: Any) -> bool:
    """Whether a value of a recipe has the shape of a known threshold.

    Not left to OmegaConf: it knows no tuples of fixed length (`top_ngrams`), and takes nan.
    """
    if isinstance(known, bool | str):
        return type(value) is type(known)
    if not isinstance(known, tuple):
        return type(value) in (int, float) and math.isfinite(value)
    pair = len(known) == 2 and not isinstance(known[0], tuple | str)
    return (
        isinstance(value, list)
        and (not pair or len(value) == 2)
        and all(_alike(each, known[0]) for each in value)
    )


def run(rows: pa.Table, options: FilterOptions) -> pa.Table:
    """The stage: spam and boilerplate first, then the rules of the document's language."""
    texts, spam_reasons = spam.clean(one_array(rows["text"]))
    chosen = {
        lang: replace(known, **_tuples(getattr(options, lang))) for lang, known in rules.RULES.items()
    }
    reasons = rules.reasons(texts, one_array(rows["lang"]), chosen)
    reasons = pc.if_else(pc.equal(spam_reasons, ""), reasons, spam_reasons)
    return with_columns(rows, text=texts, reason=reasons)


def _tuples(value: Any) -> Any:
    """Lists of a recipe as the tuples that the rules are made of."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


STAGE = Stage(
    name="filter",
    run=run,
    title="filter · 품질 규칙",
    options=FilterOptions,
    by_default=True,
    reasons={
        "words": "too few words · 단어 부족",
        "duplicate lines": "repeated lines · 줄 반복",
        "duplicate characters": "repeated text · 글 반복",
        "duplicate n-gram": "repeated phrases · 구절 반복",
        "top n-gram": "one phrase dominates · 한 구절 과다",
        "gambling": "gambling spam · 도박 광고",
        "adult": "adult spam · 성인 광고",
        "spliced spam": "spliced spam · 끼워 넣은 광고",
        "boilerplate": "boilerplate only · 상용구뿐",
        "ended lines": "lines without end · 끝맺지 않은 줄",
        "short lines": "short lines · 짧은 줄",
        "new lines": "too many line breaks · 줄바꿈 과다",
        "hangul share": "little Hangul · 한글 부족",
        "stop words": "no function words · 기능어 없음",
        "words with letters": "few words with letters · 글자 단어 부족",
        "word length": "odd word length · 단어 길이 이상",
        "number signs": "too many # · # 과다",
        "ellipses": "too many ellipses · 말줄임표 과다",
        "ellipsis lines": "lines cut off · 잘린 줄",
        "bullet lines": "mostly bullets · 글머리표 과다",
    },
)
