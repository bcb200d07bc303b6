"""The shapes of personal data, as regular expressions over plain text.

Plain text (`plain`) is the text with every full-width letter and digit, odd dash, odd space and middle dot
replaced by its ASCII or commonest form, character for character, so that a span in one is a span in the
other and no pattern has to list nine kinds of hyphen. The alternative, listing them, missed full-width
numbers.

Boundaries are ASCII look-arounds, never `\\b`: between a digit and a josa there is no `\\b`. Every repeat
is bounded or possessive, so that no text costs more than a constant a character.
"""

from __future__ import annotations

import re
from string import ascii_letters, digits

import numpy as np
import numpy.typing as npt

_SAME = {
    "-": "‐‑‒–—―−﹣－ㅡー─━➖⁃˗﹘⸺⸻〜〰",
    " ": "\u00a0\u2002\u2003\u2009\u3000",
    "·": "ㆍ•∙・･‧⋅",
    "|": "｜│┃",
    "_": "＿",
    "[": "［",
    "]": "］",
    "(": "（",
    ")": "）",
    ":": "：",
    "/": "／",
    ".": "．",
    "@": "＠",
    "+": "＋",
    "~": "～∼",
} | {char: chr(ord(char) + 0xFEE0) for char in ascii_letters + digits}
ODD_CHARACTERS = "".join(_SAME.values())
"""What `plain` replaces."""
_PLAIN = np.arange(0x10000, dtype=np.uint16)
for _target, _sources in _SAME.items():
    _PLAIN[[ord(source) for source in _sources]] = ord(_target)


def plain(text: str) -> str:
    """`text` with the characters of ODD_CHARACTERS replaced, one for one."""
    return text if text.isascii() else plain_units(text)[0]


def plain_units(text: str) -> tuple[str, npt.NDArray[np.uint16]]:
    """The same, with its UTF-16 units. Halves of a surrogate pair stand for themselves."""
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    # None of them is a Chinese character or a syllable.
    positions = np.flatnonzero((units >= 0xA0) & ((units < 0x3200) | (units >= 0xFE00)))
    old = units[positions]
    new = _PLAIN[old]
    if np.array_equal(old, new):
        return text, units
    units = units.copy()
    units[positions] = new
    return units.tobytes().decode("utf-16-le", "surrogatepass"), units


_JOINT = r"(?:\) ?| ?[-.·] ?| )"
_MOBILE_JOINT = r"(?:\) ?| ?[-.·/_~] ?|  ?)"
_AREA = r"(?:2|3[1-3]|4[1-4]|5[1-5]|6[1-4]|[67]0|50[2-8])"
_EXCHANGE = rf"{_JOINT}?[1-9][0-9]{{2,3}}{_JOINT}?[0-9]{{4}}"
_MOBILE = rf"1[016-9]{_MOBILE_JOINT}?(?!000)[0-9]{{3,4}}{_MOBILE_JOINT}?[0-9]{{4}}"
_FREE_CALL = rf"80{_JOINT}?[0-9]{{3,4}}{_JOINT}?[0-9]{{4}}"
_NATIONAL = rf"(?:{_MOBILE}|50-[2-9][0-9]{{3}}-[0-9]{{4}}|{_FREE_CALL}|{_AREA}{_EXCHANGE})"
_ABROAD = rf"(?:00[1-9]?{_JOINT}?)?82{_JOINT}?(?:\(0\)|0)?{_JOINT}?"
SERVICE_HEAD = (
    r"1(?:522|533|544|5[5-9]{2}|600|6(?:11|33|44|55|6[0-9]|7[0-9]|88|99)|8(?:00|11|33|55|66|77|99))"
)
SERVICE = rf"{SERVICE_HEAD}{_JOINT}?[0-9]{{4}}"

MOBILE = re.compile(r"01[016-9]-(?!000)[0-9]{3,4}-[0-9]{4}(?![0-9])")
"""Most of all numbers found, and nothing else: tried first."""
PHONE = re.compile(rf"(?:0{_NATIONAL}|{_ABROAD}{_NATIONAL}|{SERVICE})(?![0-9])")
SURE_PHONE = re.compile(
    rf"01(?:[016-9](?:{_MOBILE_JOINT}|[0-9]{{8}}\Z)|[16-9][0-9]{{7}}\Z)"
    rf"|0(?:70|50[2-8])[0-9]{{8}}\Z|{_ABROAD}1|00|0(?:{_AREA}|50|80) ?[-.·)]"
)
"""Enough by its form alone: mobile and internet numbers, and a landline with a mark after the area code."""
SPACED_LANDLINE = re.compile(r"0(?:2|[3-6][1-5]) [1-9][0-9]{2,3} [0-9]{4}")
HYPHENED_SERVICE = re.compile(rf"{SERVICE_HEAD} ?- ?[0-9]{{4}}")
REGISTRATION = re.compile(r"[0-9]{6} ?[-.]? ?[1-8][0-9]{6}(?![0-9])")
_SPACED_CARD = (
    r"(?<![0-9]{4} )[0-9]{4}(?: [0-9]{4}){3}(?: [0-9]{3}(?!원|만|,[0-9]))?(?! [0-9]{4}(?![0-9원,]))"
)
"""Not four of a longer row of years."""
CARD = re.compile(
    rf"(?:{_SPACED_CARD}"
    r"|[0-9]{4}(?P<by4> ?- ?|\.)[0-9]{4}(?P=by4)[0-9]{4}(?P=by4)[0-9]{4}(?:(?P=by4)[0-9]{3})?"
    r"|[0-9]{4}(?P<by6> ?- ?|[ .])[0-9]{6}(?P=by6)[0-9]{4,5}|[0-9]{6}[- ][0-9]{13}|[0-9]{14,19})(?![0-9])"
)
ROUGH_CARD = (
    rf"{_SPACED_CARD}|[0-9]{{4}}(?: ?- ?|\.)[0-9]{{4}}(?: ?- ?|\.)[0-9]{{4}}(?: ?- ?|\.)[0-9]{{4}}"
    r"|[0-9]{4}(?: ?- ?|[ .])[0-9]{6}(?: ?- ?|[ .])[0-9]{4}|[0-9]{6}[- ][0-9]{13}|[0-9]{14}"
)
"""What CARD begins with, for look-behinds, in which a group cannot be named."""
_LICENCE_JOINT = r"(?: ?- ?| )"
DRIVER_LICENCE = re.compile(
    rf"(?:(?:1[1-9]|2[0-68]){_LICENCE_JOINT}?)?[0-9]{{2}}{_LICENCE_JOINT}?[0-9]{{6}}{_LICENCE_JOINT}?[0-9]{{2}}"
    r"(?![0-9])"
)
BUSINESS = re.compile(r"[0-9]{3}(?: ?- ?| )?[0-9]{2}(?: ?- ?| )?[0-9]{5}(?![0-9])")
ACCOUNT = re.compile(
    r"(?:[0-9]{2,6}(?: ?- ?[0-9]{1,8}){1,4}"
    r"|(?<![0-9] )[0-9]{3,6}(?: [0-9]{2,8}){1,3}(?: [0-9])?(?! [0-9])|[0-9]{10,14})(?![0-9])"
)
"""With spaces, not a part of a longer row of numbers."""
HEALTH_INSURANCE = re.compile(r"[1-9](?: ?- ?| )?[0-9]{10}(?![0-9])")
VEHICLE_PLATE = re.compile(
    r"[0-9]{2,3}[ \n]?[가나다라마거너더러머버서어저고노도로모보소오조구누두루무부수우주바사아자배하허호]"
    r"[ \n]?[0-9]{4}"
    r"(?![0-9]|[,.][0-9]|년|원|명|개|대|%)"
)
"""Also old Supreme Court numbers (98다1234): only a label or a region tells them apart."""
IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])")
IPV6 = re.compile(
    r"[23][0-9A-Fa-f]{3}(?:(?::[0-9A-Fa-f]{1,4}){7}(?![0-9A-Fa-f])|(?::[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Fa-f:]))"
)
PASSPORT = re.compile(
    r"(?<![0-9A-Za-z])(?:[A-Za-z]{1,2}[- ]?[0-9]{7,8}|[A-Za-z][- ]?[0-9]{3}[- ]?[A-Za-z][- ]?[0-9]{4})"
    r"(?![0-9A-Za-z]|-[0-9A-Za-z])"
)
"""Old, foreign, spaced and lower-case ones too, which only the word passport beside them gives away."""
NEW_PASSPORT = re.compile(r"[MSRODG][0-9]{3}[A-Z][0-9]{4}")

_LABEL = "A-Za-z0-9가-힣"
EMAIL_DOMAIN = re.compile(
    rf"@(?=[{_LABEL}.-]{{1,250}}?\.(?:[A-Za-z]{{2}}|한국|닷))[{_LABEL}][{_LABEL}-]{{0,62}}+(?:\.[{_LABEL}-]{{1,63}}+){{1,8}}+"
)
# At most two blanks and a line end.
_GAP = r"[ \t]{0,2}+(?:\n[ \t>]{0,3}+)?+"
_OPEN, _CLOSE = r"[(\[{<]", r"[)\]}>]"
_AT = (
    rf"(?:{_GAP}(?:@|골뱅이|앳|{_OPEN} ?(?:[Aa][Tt]|앳|골뱅이|@) ?{_CLOSE}){_GAP}"
    rf"| ?{_OPEN} ?[Aa] ?{_CLOSE} ?(?=[A-Za-z0-9가-힣-]+\.[A-Za-z0-9]))"
)
"""(a) only beside a domain: a call such as f(a) stands in any text on code."""
_DOT_WORD = "[Dd]ot|DOT|점|쩜|닷"
_TIGHT_DOT = rf"\.| ?{_OPEN} ?(?:{_DOT_WORD}|\.) ?{_CLOSE} ?| ?[점쩜닷] ?| (?:dot|DOT) "
_LOOSE_DOT = rf"{_GAP}\.{_GAP}|[,·]| (?=com|net|co\.kr)"
TIGHT_DOT, DOT_WORD = re.compile(_TIGHT_DOT), re.compile(_DOT_WORD)
_HOST_LABEL = (
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?+"
    r"|네이버|지메일|다음|한메일|네이트|구글|카카오|핫메일|컴|넷|한국|[가-힣]{2,20}(?=\.))"
)
HOST_LABEL = re.compile(_HOST_LABEL)
HIDDEN_EMAIL_DOMAIN = re.compile(
    rf"(?P<sign>{_AT}| (?:at|AT) (?=[A-Za-z0-9-]{{1,63}} (?:dot|DOT) ))"
    rf"(?P<domain>{_HOST_LABEL}(?:(?:{_TIGHT_DOT}|{_LOOSE_DOT}){_HOST_LABEL}){{1,8}}+)"
)
"""'hong (at) naver.com', 'hong골뱅이네이버닷컴', 'hong[at]naver[dot]com', 'hong at naver dot com', and with
blanks or line ends beside the signs."""
MAIL_HOST = re.compile(
    r"(?:naver|gmail|daum|hanmail|nate|kakao|hotmail|outlook|yahoo|icloud|korea|네이버|지메일|다음|한메일|네이트|구글|카카오"
    r"|핫메일)(?![A-Za-z0-9가-힣-])|[a-z0-9-]{2,30}\.(?:co|ac|go|or|re)\.kr(?![A-Za-z0-9-])"
)
"""A host that a mere blank or line end beside an at-sign cannot make doubtful."""
LOCAL_PART = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-"
TOP_LEVEL = re.compile(r"[a-z]{2,24}|[A-Z][a-z]{1,23}|[A-Z]{2,24}|한국|닷컴|닷넷|컴|넷")
USUAL_TOP_LEVEL = re.compile(
    r"(?:com|net|org|edu|gov|kr|io|me|co|info|biz|jp|cn|us|uk|de|dev|ai|app|shop|store|site|tech|한국|컴|넷)"
    r"(?![A-Za-z0-9-])",
    re.I,
)
FILE_SUFFIXES = frozenset(
    ("png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "mp4", "pdf", "txt", "md", "js", "ts", "css", "py")
)

URL_BODY = re.compile(r"(?:[!#-&*-;=?-~]++|<\|[a-z_]{1,20}+\|>)*+")
"""The characters of a URL, with the placeholders of an earlier run."""
TIMESTAMP = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9]"
)
DATE_LED = re.compile(r"(?:19|20)[0-9]{2}[- ]{1,3}(?:0[1-9]|1[0-2])[- ]{1,3}[0-3][0-9](?![0-9])")
"""What an account number is not."""
