"""The shapes and the tell-tale words of personal data, as regular expressions over plain text.

Plain text (`plain`) is the text with every full-width digit, odd dash, odd space and middle dot replaced by
its ASCII or commonest form, character for character, so that a span in one is a span in the other and no
pattern has to list nine kinds of hyphen. The alternative, listing them, missed `０１０－１２３４－５６７８`.

Boundaries are ASCII look-arounds, never `\\b`: between a digit and a josa there is no `\\b`. Every repeat
is bounded or possessive, so that no text costs more than a constant a character.
"""

from __future__ import annotations

import re

import numpy as np

_SAME = {
    "-": "‐‑‒–—―−﹣－ㅡ",
    " ": "\u00a0\u2002\u2003\u2009\u3000",
    "·": "ㆍ•∙・･",
    "(": "（",
    ")": "）",
    ":": "：",
    "/": "／",
    ".": "．",
    "@": "＠",
    "+": "＋",
    "~": "～∼",
} | {str(digit): chr(0xFF10 + digit) for digit in range(10)}
ODD_CHARACTERS = "".join(_SAME.values())
"""What `plain` replaces."""
_PLAIN = np.arange(0x10000, dtype=np.uint16)
for _target, _sources in _SAME.items():
    _PLAIN[[ord(source) for source in _sources]] = ord(_target)


def plain(text: str) -> str:
    """`text` with the characters of ODD_CHARACTERS replaced, one for one."""
    if text.isascii():
        return text
    # Halves of a surrogate pair stand for themselves, so that UTF-16 will do.
    units = np.frombuffer(text.encode("utf-16-le", "surrogatepass"), np.uint16)
    # None of them is a Chinese character or a syllable.
    places = np.flatnonzero((units >= 0xA0) & ((units < 0x3200) | (units >= 0xFE00)))
    old = units[places]
    new = _PLAIN[old]
    if np.array_equal(old, new):
        return text
    units = units.copy()
    units[places] = new
    return units.tobytes().decode("utf-16-le", "surrogatepass")


# ---------------------------------------------------------------------------------------------- shapes

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
    rf"01(?:[016-9](?:{_MOBILE_JOINT}|[0-9]{{8}}\Z)|[16-9][0-9]{{7}}\Z)|{_ABROAD}1|00|0(?:{_AREA}|50|80) ?[-.·)]"
)
"""Enough by its form alone: a mobile number, or a landline with a mark after the area code."""
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
BUSINESS = re.compile(r"[0-9]{3} ?- ?[0-9]{2} ?- ?[0-9]{5}(?![0-9])")
ACCOUNT = re.compile(
    r"(?:[0-9]{2,6}(?: ?- ?[0-9]{1,8}){1,4}"
    r"|(?<![0-9] )[0-9]{3,6}(?: [0-9]{2,8}){1,3}(?: [0-9])?(?! [0-9])|[0-9]{10,14})(?![0-9])"
)
"""With spaces, not a part of a longer row of numbers."""
IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9]|\.[0-9])")
IPV6 = re.compile(r"[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![0-9A-Fa-f:])")
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
_AT = r" ?[(\[{<] ?(?:[Aa][Tt]?|앳|골뱅이|@) ?[)\]}>] ?| ?골뱅이 ?| @ "
_DOT = r"(?:\.| ?[(\[{] ?(?:[Dd]ot|DOT|점) ?[)\]}] ?)"
HIDDEN_EMAIL_DOMAIN = re.compile(
    rf"(?P<sign>{_AT})(?P<domain>[{_LABEL}][{_LABEL}-]{{0,62}}+(?:{_DOT}[{_LABEL}-]{{1,63}}+){{1,8}}+)"
    r"|(?P<spelt> at )(?P<words>[a-z0-9-]{1,63}(?: dot [a-z]{2,20}){1,8})"
)
"""'hong (at) naver.com', 'hong골뱅이naver.com', 'hong[at]naver[dot]com', 'hong at naver dot com'."""
LOCAL_PART = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._%+-"
TOP_LEVEL = re.compile(r"[a-z]{2,24}|[A-Z][a-z]{1,23}|[A-Z]{2,24}|한국|닷컴|닷넷")
USUAL_TOP_LEVEL = re.compile(r"(?:com|net|org|edu|gov|kr|io|me|co|info|biz|jp|cn|us|uk|de|dev|ai|app|shop|store|site|tech|한국)(?![A-Za-z0-9-])", re.I)
FILE_SUFFIXES = frozenset(
    ["png", "jpg", "jpeg", "gif", "webp", "svg", "bmp", "js", "ts", "css", "py", "json", "html", "txt", "md", "xml", "yml", "yaml", "mp4", "pdf"]
)

# ------------------------------------------------------------------------- what stands before and after

WORD = re.compile(r"[^\x00-@\[-`{-~]")
"""A letter or a sign beyond ASCII: without one, there is no context."""

LEFT_JOINED = re.compile(r"(?:[0-9A-Za-z][-_]?|[0-9]\.)\Z")
LEFT_LABEL = re.compile(
    r"(?:\\[nrt]|(?<![A-Za-z])(?:tel|hp|phone|mobile|cell|fax|ip|rrn|card|no|[tmfh])[-_]?)\Z", re.I
)
RIGHT_JOINED = re.compile(r"@?[0-9A-Za-z]|[-_][0-9A-Za-z]|\.[0-9]")
URL_BODY = re.compile(r"(?:[!#-&*-;=?-~]++|<\|[a-z_]{1,20}+\|>)*+")
"""The characters of a URL, with the placeholders of an earlier run."""

THING_LABEL = re.compile(
    r"(?:(?:주문|예약|접수|거래|결제|승인|문서|관리|상품권?|제품|품목|부품|품|자재|일련|시리얼|모델|배송|등기|출원|특허|분류"
    r"|공고|송장|쿠폰|핀|티켓|예매|바우처|인증|신고|허가|제조|영수증|사건|학|수험|접수증)"
    r" ?(?:번호?|코드|조회|명)(?:호)?|송장|영수증|바코드|시리얼|규격|모델|택배|대한통운|isbn|barcode|\blot|\bsku|\bean|[sp]/n"
    r"|\bserial|timestamp|epoch|(?<![a-z])ts(?![a-z])|(?:order|tracking|serial|part|model|product|item|invoice|coupon|ticket|receipt|booking)"
    r"[ _-]?(?:id|no|num|number|code|#))"
    r"[ \t\"'#:=.([은는이가]*(?:no\.? ?)?\Z",
    re.I,
)
AFTER_THING = " \t\"'#:=.([은는이가"
LAST_OF_THING = frozenset("호번드회명장증격델배운수ndemtulropshkNDEMTULROPSHK")
"""What may stand between the label of a thing and the number, and how such labels end."""
PERSON_BEFORE = re.compile(
    r"(?:환자|성명|이름|피고인?|원고|피의자|피해자|세대주|보호자|신청인|상속인|채무자|채권자|임차인|임대인|배우자"
    r"|자녀|본인|민증|신분증|(?<![A-Za-z])name)",
    re.I,
)
REGISTRATION_WORDS = re.compile(
    r"주민|외국인 ?(?:등록)?증? ?번호|생년월일|거소 ?신고|(?<![A-Za-z])(?:rrn|jumin|arc(?![a-z])|ssn)|민증"
    r"|(?:resident|alien|foreigner) ?reg|(?:resident|citizen) ?(?:id|no)",
    re.I,
)
# A company's number has 13 digits too, and those of the Seoul court start 110111: a birth on 2011-01-11.
COMPANY_BEFORE = re.compile(r"법인 ?(?:등록)? ?번호[ \t\"':=(은는이가]*\Z")
CARD_WORDS = re.compile(r"카드|(?<![a-z])card|visa|master|amex|결제", re.I)
PHONE_WORDS = re.compile(
    r"전화|연락|문의|휴대|핸드폰|대표|고객센터|콜센터|상담|팩스|예약|신고|접수처|안심번호|내선|문자|[☎☏✆📞📱]"
    r"|(?<![a-z])(?:fax|tel|phone|telephone|mobile|call|h\.?p|contact|dial|reach|office (?:on|at)|hotline|whatsapp|ars)(?![a-z])"
    r"|(?<![A-Za-z])[TMFHC][.:] ?\Z",
    re.I,
)
REGISTER_LABEL = re.compile(r"(?:신고|허가|등록|인증|심의)(?: ?번호)?[ :제]*\Z")
LICENCE_WORDS = re.compile(r"면허|licen[cs]e", re.I)
REGION_BEFORE = re.compile(
    r"(?:서울|부산|경기(?:남부|북부)?|강원|충북|충남|전북|전남|경북|경남|제주|대구|인천|광주|대전|울산|세종)"
    r"(?: ?- ?| )?\Z"
)
PASSPORT_WORDS = re.compile(r"여권|[Pp]assport|PASSPORT")
_BANKS = (
    r"(?:신한|농협|수협|신협|새마을금고|새마을|우체국|카뱅|토뱅|케뱅|(?:카카오|토스|케이|K) ?뱅크"
    r"|(?<![A-Za-z])(?:KB|NH|IBK|MG|DGB|BNK|SC|KDB)(?:국민|농협|기업|새마을금고|대구|부산|경남|제일|산업)?)"
)
# Everyday words too (우리 "our", 하나 "one", 부산): without 은행 they count only right beside the number.
_EVERYDAY_BANKS = r"(?:국민|우리|하나|기업|산업|제일|씨티|카카오|토스)"
_PLACE_BANKS = r"(?:대구|부산|경남|광주|전북|제주)"
ACCOUNT_WORDS = re.compile(
    r"계좌|입금|예금주|이체|송금|은행(?!권)|(?:카카오|토스|케이|K) ?뱅크|카뱅|신한(?! ?(?:카드|투자|금융|생명))|농협|새마을|우체국(?! ?(?:택배|등기|소포|쇼핑|EMS))"
    r"|수협|신협|SC제일|조의금|축의금|부의금|후원|회비"
    r"|bank account|(?<![a-z])acc(?:oun)?t?\.? ?(?:n[ou]|#)|(?<![a-z])(?:acct|a/c)(?![a-z])|(?<=[a-z]) ?bank(?![a-z])",
    re.I,
)
BANK_BEFORE = re.compile(
    rf"(?:{_BANKS}|{_EVERYDAY_BANKS}|{_PLACE_BANKS})(?: ?은행)?(?:\((?:KB|NH|IBK|MG|구[^)]{{1,6}})\))?(?: ?계좌)?"
    r"[ \t:)(\]\[|/,>=\"'-]{0,5}\Z"
    r"|(?:계좌|예금주|account|acct)[^0-9\n]{0,12}\Z|(?<=[a-z]) ?bank[ :,(]{0,3}\Z",
    re.I,
)
_END = r"(?=[ )\]/,|:.\n]|\Z)"
BANK_AFTER = re.compile(
    rf"[ (\[/|,:\"]{{0,3}}(?:(?:지역)?{_BANKS}{_END}|(?:KEB|NH|BNK|DGB|SC|지역|한국)?(?:{_BANKS}|{_EVERYDAY_BANKS}|{_PLACE_BANKS}) ?은행)"
    rf"| ?[ (\[/]{_EVERYDAY_BANKS}(?=[)\]/]|\Z|\n|[ ,]{{0,2}}예금주| [가-힣]{{2,4}}(?:[ ,)/\n]|\Z))| ?[(\[]{_PLACE_BANKS}[)\]]"
    r"|[ (/|,]{0,3}(?:예금주|계좌)|[ (/,]{1,3}(?:shinhan|woori|hana|kookmin|kakao|toss|nh|kb|ibk|k|citi) ?bank",
    re.I,
)
NOT_ACCOUNT_BEFORE = re.compile(
    r"(?:전화|팩스|tel|fax|연락처|휴대폰|문의|고객센터|우편번호|등록 ?번호|사업자 ?번호|법인 ?번호|금액|잔액|코드|면허(?:번호)?)"
    r"[은는이가 .:(]*\Z",
    re.I,
)
BUSINESS_WORDS = re.compile(r"사업자|등록 ?번호|[Bb]usiness reg|고유 ?번호")
AMOUNT_AFTER = re.compile(r" ?(?:원|won|krw|달러|만원|억|건|명|개|주(?![가-힣])|%|포인트)", re.I)
IP_WORDS = re.compile(
    r"아이피|접속|서버|주소|로그인|차단|공격"
    r"|(?<![a-z])(?:ip(?:v[46])?(?![a-z0-9])|host|server|addr|client|ping|dns|gateway|nameserver|inet|x-forwarded-for)"
    r"|(?<![a-z])(?:from|source|src|dst|proxy|connect(?:ed)? to|remote|ssh|peer)[ :=]{1,2}\Z",
    re.I,
)
IP_LINE_BEFORE = re.compile(r"(?:ip|아이피|nameserver)[^\n]{0,3}\n\Z", re.I)
LOG_AFTER = re.compile(r" - - \[|에서 (?:접속|로그인)")
VERSION_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])v|(?<![A-Za-z])ver|version|버전|빌드|build|release|릴리스|펌웨어|firmware|드라이버|driver|kernel|커널"
    r"|업데이트|패치|chrome|크롬|firefox|safari|windows|android|directx|java|jdk|sdk|oid|section|chapter|§|[A-Za-z]/)"
    r"(?:[ .:=]| ?정보| ?번호|[은는이가])*\Z|(?<=[a-z])@\Z|(?<![0-9A-Za-z])제 ?\Z",
    re.I,
)
VERSION_AFTER = re.compile(r" ?(?:버전|version|절|장|항|이상|이하|미만|beta|alpha|rc)")
LOGIN_BEFORE = re.compile(r"(?:root|admin|ubuntu|ec2-user|user|ssh[ \w.-]{1,12}|://[^ /]{0,40})@\Z")
HEADING_AFTER = re.compile(r"\. |\.? ?[A-Z가-힣\n]")
TIMESTAMP = re.compile(
    r"(?:19|20)[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])(?:[01][0-9]|2[0-3])[0-5][0-9]"
)
DATE_LED = re.compile(r"(?:19|20)[0-9]{2}[- ]{1,3}(?:0[1-9]|1[0-2])[- ]{1,3}[0-3][0-9](?![0-9])")
