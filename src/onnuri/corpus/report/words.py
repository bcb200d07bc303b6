"""Names of stages and values in English and Korean, and how numbers are written."""

from __future__ import annotations

import html

STAGES = {
    "read": "reading · 읽기",
    "normalise": "normalise · 정규화",
    "describe": "describe · 특성 기록",
    "filter": "filter · 품질 규칙",
    "pii": "personal data · 개인정보",
    "dedup": "duplicates · 중복",
    "decontaminate": "benchmarks · 평가 오염",
    "quality": "quality score · 품질 점수",
}
REGISTERS = {
    "formal": "formal · 하십시오체",
    "polite": "polite · 해요체",
    "plain": "plain · 해라체/문어체",
    "intimate": "intimate · 해체",
    "mixed": "mixed · 섞임",
    "none": "no Korean ending · 종결어미 없음",
}
PERSONAL_DATA = {
    "rrn": "resident number · 주민등록번호",
    "frn": "foreigner number · 외국인등록번호",
    "phone": "phone · 전화번호",
    "card": "card · 카드번호",
    "account": "bank account · 계좌번호",
    "passport": "passport · 여권번호",
    "driver_licence": "driver licence · 운전면허",
    "email": "e-mail · 전자우편",
    "ip": "IP address · IP 주소",
    "business_number": "business number · 사업자번호",
    "vehicle_plate": "vehicle plate · 차량번호",
    "health_insurance": "health insurance · 건강보험증번호",
    "address": "postal address · 주소",
}
PASSED_OVER = {
    "hidden": "hidden · 숨은 파일",
    "of no known format": "of no known format · 모르는 형식",
    "empty": "empty · 빈 파일",
    "a README beside data": "a README beside data · 데이터 설명(README)",
    "read under another name": "read under another name · 다른 이름으로 읽음",
    "a link to a folder above it or read already": "a link to a folder above it or read already · "
    "위쪽이나 이미 읽은 폴더로 가는 링크",
    "a broken link": "a broken link · 끊어진 링크",
    "a folder (end the glob in /** to read it)": "a folder (end the glob in /** to read it) · "
    "폴더(읽으려면 /**로 끝내기)",
    "no regular file": "no regular file · 일반 파일 아님",
}
"""Why files were not read, as `reading.discovery` calls it."""
REASONS = {
    "words": "too few words · 단어 부족",
    "too long": "too long · 너무 긺",
    "empty": "empty · 빈 글",
    "unreadable": "unreadable · 읽을 수 없음",
    "mojibake": "broken encoding · 깨진 글자",
    "opted out": "opted out · 학습 거부",
    "duplicate": "equal text · 완전 중복",
    "near duplicate": "near duplicate · 유사 중복",
    "too many candidates": "template, not compared · 서식 과다, 비교 생략",
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
    "contaminated": "benchmark text · 평가 문항 포함",
    "low quality": "low quality score · 품질 점수 낮음",
}


def escape(text: str) -> str:
    """Text as HTML; what cannot be shown is replaced, nothing in it is markup."""
    return html.escape("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text))


def name(value: str, names: dict[str, str]) -> str:
    """A value's name, or the value itself, ready for HTML."""
    return names.get(value) or escape(value)


def size(count: int) -> str:
    """Bytes as kB, MB, GB or TB (powers of 1,000)."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count / 1e3:,.1f} kB"


def power(count: int) -> str:
    """A power of two of bytes as B, KiB or MiB."""
    for unit, factor in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= factor:
            return f"{count // factor} {unit}"
    return f"{count} B"


def percent(part: float, whole: float) -> str:
    """A share with one digit, or two significant ones below 1 %."""
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1f} %" if share >= 1 or not share else f"{share:.2g} %"
