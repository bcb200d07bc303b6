"""Footers and menus off Korean web pages; gambling, adult and spliced-in spam out.

Footers (copyright, reporter's address, company data, "send us your story") go only from the end of a text,
line by line, until the first line that is none. Lines that hold nothing but menu words, and cookie banners,
go wherever they stand. A line of prose stays, also one that speaks of copyright or cookies.

Density shows spam, not by one bad word as in dps: a statute on casinos or a report of an arrest has
the words, a spam page has many different ones close together, and words of the trade ("먹튀검증",
"출장샵") among them. Spliced spam (a gambling noun pushed into clean text without a space, '사용되는지,
라이트닝 룰렛결과물이') has one, but nothing that Korean puts after a noun follows it.

Cost: RE2 looks at every text once; only texts with a suspect word meet the finer patterns below. They see
a text from its end, line by line, so that a footer costs as much as it is long.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# How far above the last line a copyright notice is looked for, in lines.
FOOTER_LINES = 30
# A headline among related links; longer lines are prose.
HEADLINE_CHARACTERS = 60
# No footer line is longer; it also bounds what the patterns may backtrack over.
FOOTER_CHARACTERS = 200

_NOTICE = (
    r"[\s<\[(【※▶☞*-]*(?:저작권|copyright|\(c\)|[ⓒ©]|무단|본 ?(?:기사|콘텐츠|사이트)|이 ?(?:기사"
    r"|콘텐츠)|출처)"
    r"[^\n]{0,100}?무단 ?(?:전재|복제|배포|도용|사용|전제|수집)[^\n]{0,50}"
    r"(?:금지|금합니다|금지합니다|금함|불허)(?:합니다)?[\s.>\])】]*(?:AI ?학습[^\n]{0,30}(?:금지"
    r"|불가)[\s.>\])】]*)?"
    r"|[\s<\[(【※]*무단 ?(?:전재|복제|배포|도용)[^\n]{0,50}(?:금지|금합니다|불허)[\s.>\])】]*"
)
_COPYRIGHT = (
    r"[\s<\[(【※]*(?:저작권자 ?|copyrights? ?)?(?:[ⓒ©]"
    r"|\(c\))[^\n]{1,60}(?:all ?rights? ?reserved)[\s.>\])】]*"
    r"|[\s<\[(【※]*(?:저작권자 ?|copyrights? ?)?[ⓒ©] ?[^\n.]{1,40}[\s>\])】]*"
    r"|[\s<\[(【]*저작권자 ?[ⓒ©(:][^\n]{1,60}"
)
_CONTACT = (
    r"\W*(?:기사 ?|뉴스 ?|영상 ?|카카오톡 ?|카톡 ?)?제보(?:하기| ?및 ?보도자료| ?[:：]| ?전화|는\s)"
    r"(?:[^\n]{0,80}[^\n다.?!])?"
    r"|\W*(?:사업자 ?(?:등록)? ?번호|통신판매업? ?(?:신고)? ?(?:번호)?|발행인|편집인|발행[··]편집인"
    r"|청소년 ?보호 ?책임자|개인정보 ?(?:관리|보호) ?책임자|대표전화|고객센터|정기간행물 ?등록번호"
    r"|인터넷신문 ?등록번호) ?[:：][^\n]{1,150}"
    r"|\W*(?:tel|fax|전화|팩스|대표전화|고객센터) ?[.:：)]? ?\(?\+?[0-9][0-9)( .~-]{6,18}"
    r"(?:[\s/|,·]*(?:tel|fax|전화|팩스|e-?mail|이메일) ?[.:：]?[^\n]{1,60})?"
    # The reporter: an address after at most four short Korean words (town, paper, name, "기자").
    r"|[\s/<\[(■▶]*(?:[가-힣]{1,8}+[ =/)(·|<]*+){0,4}+[a-z0-9_.+-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+[)\]>\s]*"
    r"|[\s/<\[(■▶]*[가-힣]{2,4} ?(?:기자|특파원|인턴기자|객원기자|선임기자|논설위원)[)\]>\s]*"
    r"|[▶▷☞→※■] ?[^\n]{0,60}(?:구독(?:하기|하세요)?|바로 ?가기|다운 ?받기|클릭|제보(?:하기)?"
    r"|채널 ?추가|친구 ?추가)[\s!~]*"
)
_MENU_WORD = (
    r"(?:좋아요|싫어요|공유 ?하기|공유|댓글 ?(?:쓰기|달기|보기|남기기)?|구독 ?(?:하기)?"
    r"|스크랩 ?(?:하기)?"
    r"|카카오 ?(?:톡|스토리)(?:으로)?|페이스북(?:으로)?|트위터(?:로)?|네이버 ?(?:블로그|밴드|카페)"
    r"|밴드|인스타그램|유튜브|라인"
    r"|(?:url|주소|링크) ?복사|글자 ?(?:크기|크게|작게|확대|축소)|글씨 ?(?:크기|크게|작게)|프린트"
    r"|인쇄 ?(?:하기)?|이메일|메일 ?보내기"
    r"|기사 ?(?:공유|저장|목록|스크랩|인쇄)|신고 ?(?:하기)?|추천 ?(?:하기)?|이전 ?글|다음 ?글"
    r"|목록(?:으로)?|맨 ?위로|top"
    r"|로그인|로그아웃|회원 ?가입|마이 ?페이지|장바구니|주문 ?조회|고객 ?센터|사이트 ?맵|홈"
    r"|메뉴 ?(?:열기|닫기)|전체 ?메뉴|검색|닫기"
    r"|개인정보 ?(?:처리|취급) ?방침|이용 ?약관|청소년 ?보호 ?정책"
    r"|이메일 ?(?:주소)? ?무단 ?수집 ?거부|회사 ?소개"
    r"|광고 ?(?:문의|안내)|제휴 ?(?:문의|안내)|기사 ?제보|공지 ?사항|자유 ?게시판|오시는 ?길"
    r"|찾아오시는 ?길|인사말)"
)
_BETWEEN = r"[ \t|/·ㆍ,:>+\-•()\[\]0-9]"
# Two menu words at least, the second not the first again: "좋아요 좋아요" is a comment.
_MENU = (
    rf"{_BETWEEN}*(?P<first>{_MENU_WORD}){_BETWEEN}+(?!(?P=first)){_MENU_WORD}"
    rf"(?:{_BETWEEN}+{_MENU_WORD})*{_BETWEEN}*"
)
_COOKIES = (
    r"[ \t]*(?:이|본|당|저희) ?(?:웹 ?)?(?:사이트|홈페이지)[^\n]{0,60}쿠키[^\n]{0,80}(?:사용|이용|저장)"
    r"[^\n]{0,120}(?:동의|수락|허용|자세히|설정)[^\n]{0,60}"
    r"|[ \t]*(?:모든 ?)?쿠키 ?(?:모두 ?)?(?:허용|수락|동의|거부|설정)(?:[ \t|/·]+(?:모두 ?"
    r"|전체 ?)?(?:허용|수락|동의|거부|설정|닫기|쿠키 ?설정))+[ \t]*"
)

NOTICE = re.compile(_NOTICE, re.IGNORECASE)
FOOTER = re.compile(rf"{_NOTICE}|{_COPYRIGHT}|{_CONTACT}|{_MENU}", re.IGNORECASE)
WHOLE_LINE = re.compile(rf"^(?:{_MENU}|{_COOKIES})\r?(?:\n|\Z)", re.IGNORECASE | re.MULTILINE)
PROSE = re.compile(r"(?:[다요죠까][.?!\"'”’)]*|[.?!])\s*\Z")
# One suspect word is enough for a closer look. Linear time (RE2), over every text.
SUSPECT_LINE = rf"쿠키|^{_BETWEEN}*{_MENU_WORD}{_BETWEEN}+{_MENU_WORD}"
SUSPECT_FOOTER = (
    r"무단|저작권|[ⓒ©]|\(c\)|제보|기자|등록 ?번호|통신판매|발행인|편집인|책임자|대표전화|고객 ?센터"
    rf"|tel|fax|전화|팩스|@|[▶▷☞→※■]|{SUSPECT_LINE}"
)

_TRADE = (
    r"토토 ?사이트|토토 ?(?:추천|검증|커뮤니티|꽁머니|총판|먹튀)|사설 ?토토|메이저 ?(?:토토|사이트"
    r"|놀이터)|안전 ?(?:놀이터|토토|공원)"
    r"|먹튀 ?(?:검증|폴리스|사이트|없는|제보|보증)|카지노 ?(?:사이트|추천|쿠폰|주소|게임사이트"
    r"|커뮤니티|꽁머니|먹튀|솔루션)"
    r"|(?:우리|더킹|에볼루션|라이브|퍼스트|샌즈|메리트|코인|호텔|바카라) ?카지노|(?:라이브|온라인"
    r"|실시간) ?바카라"
    r"|바카라 ?(?:사이트|추천|게임|룰|필승법|주소|전략|카지노)|슬롯 ?(?:사이트|추천|게임|나라"
    r"|커뮤니티|무료)|온라인 ?슬롯|파워볼 ?(?:사이트|추천|게임|픽)"
    r"|홀덤 ?사이트|라이트닝 ?룰렛|꽁머니|첫충|가입 ?쿠폰|롤링 ?(?:없는|이벤트)|사다리 ?사이트"
    r"|놀이터 ?추천|스포츠 ?중계 ?토토"
)
_GAMBLING = (
    rf"(?P<trade>{_TRADE})"
    r"|스포츠 ?토토|온라인 ?카지노|카지노|바카라|룰렛|블랙잭|슬롯 ?머신|잭팟|파워볼|홀덤|먹튀|배팅"
    r"|베팅|환전"
)
_PARLOUR = (
    r"출장 ?(?:안마|샵|마사지|업소|아가씨|만남|타이|홈타이|스웨디시|콜걸|서비스안마|건마)|콜걸"
    r"|애인 ?대행|조건 ?만남|오피 ?사이트|오피스걸"
    r"|키스방|립카페|휴게텔|안마방|건마|홈타이|유흥 ?알바|밤 ?알바|룸 ?알바|후불 ?(?:제 ?)?출장"
    r"|풀싸롱|섹파|야동 ?(?:사이트|추천)|19금 ?사이트"
)
_ADULT = rf"(?P<trade>{_PARLOUR})|야동|스웨디시|타이 ?마사지|마사지|안마|룸 ?싸롱|룸살롱|유흥|아가씨|섹스"
GAMBLING, ADULT = re.compile(_GAMBLING), re.compile(_ADULT)
# Words of courts, laws and help lines. A report or a statute has several; a spam page has none or one.
REPORT = re.compile(
    r"경찰|검찰|검거|혐의|구속|기소|법원|판결|징역|벌금|단속|적발|수사|피의자|국회|개정|법률|시행령"
    r"|조례|제\d+조|사행산업|중독|예방|문화체육관광부"
)

# From this share of suspect words among its words a text is spam; a report or statute gets three times it.
MAX_SHARE = 0.08
MIN_TERMS = 3
MIN_TRADE_HITS = 5
REPORT_TERMS = 2
REPORT_FACTOR = 3

_NOUN = rf"(?:{_TRADE}|온라인 ?카지노|카지노|바카라|룰렛|블랙잭|슬롯 ?머신|스포츠 ?토토|파워볼|꽁머니)"
# What every kind of spam has at least one of; linear time as above.
SUSPECT_SPAM = rf"{_NOUN}|{_PARLOUR}"
# What may follow such a noun without a space: particles, the copula, 하다, suffixes, common compounds.
_FOLLOWS = (
    r"을|를|이|가|은|는|의|에|로|으로|와|과|도|만|처럼|까지|부터|보다|라|란|나|든|마다|조차|밖|뿐|께"
    r"|한테|하|했|할|해|인|일|였|다|들|등|및"
    r"|업|장|사업|산업|게임|사이트|추천|머신|딜러|호텔|리조트|테이블|객장|시설|이용|출입|허가|관광"
    r"|자본|영업|고객|도박|칩|용|형|식|판|측|계|법|세"
    r"|대회|선수|사건|시장|매출|운영|업체|업계|업자|기구|기기|주변|내|안|앞|옆|전|후|중|때|주"
)
# Before it: the end of a clause, or a comma or full stop, and no space. After it: a few syllables, no more,
# for people who write without any spaces glue everything.
SPLICED = re.compile(
    rf"(?:(?<=[가-힣][,.])|(?<=[가-힣][는은을를의며])){_NOUN}(?=[가-힣]{{1,8}}(?![가-힣]))(?!{_FOLLOWS})"
)


def clean(texts: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Texts without footers, menus and cookie banners; and why a text should go altogether, "" to keep it.

    `texts` is a string array; both answers have its length (large strings, strings). The reasons are
    "gambling: ...", "adult: ...", "spliced spam: ...", and "boilerplate: ..." for a text of which nothing
    is left. Cleaning twice changes nothing more. Nulls count as empty.
    """
    texts = pc.fill_null(pc.cast(texts, pa.large_string()), "")
    rows = pc.indices_nonzero(_contains(texts, f"(?im){SUSPECT_FOOTER}|{SUSPECT_SPAM}"))
    if not len(rows):
        return texts, pa.repeat("", len(texts))
    suspects = texts.take(rows)
    footer = _contains(suspects, f"(?im){SUSPECT_FOOTER}").to_pylist()
    line = _contains(suspects, f"(?im){SUSPECT_LINE}").to_pylist()
    spam = _contains(suspects, SUSPECT_SPAM).to_pylist()
    answers = [""] * len(texts)
    cleaned: dict[int, str] = {}
    for index, row in enumerate(rows.to_pylist()):
        text = shorter = suspects[index].as_py()
        if footer[index]:
            shorter = _without_boilerplate(text, line[index])
        if shorter is not text:
            cleaned[row] = shorter
            if text.strip() and not shorter.strip():
                answers[row] = "boilerplate: nothing else in the text"
        if spam[index] and not answers[row]:
            answers[row] = _spam(shorter)
    if cleaned:
        mask = np.zeros(len(texts), np.bool_)
        mask[list(cleaned)] = True
        new = pa.array(cleaned.values(), pa.large_string())
        texts = pc.replace_with_mask(texts, pa.array(mask), new)
    return texts, pa.array(answers, pa.string())


def _contains(texts: pa.Array, pattern: str) -> pa.Array:
    return pc.match_substring_regex(texts, pattern)


def _without_boilerplate(text: str, has_whole_lines: bool) -> str:
    """The text itself where nothing goes."""
    shorter = WHOLE_LINE.sub("", text) if has_whole_lines else text
    end, num_feeds = len(shorter), shorter.count("\n")
    while (before := _last_footer(shorter, end, num_feeds)) is not None:
        num_feeds -= shorter.count("\n", max(before, 0), end)
        end = before
    shorter = shorter[: max(end, 0)]
    return text if shorter == text else shorter.rstrip()


def _last_footer(text: str, end: int, num_feeds: int) -> int | None:
    """The end of the line before the footer that ends at `end`, -1 if that is the first line, or None.

    Looks at the last line that is not blank, then for a copyright notice in the second half of the text
    with nothing but headlines under it. num_feeds: line feeds before `end`.
    """
    ink = _end_of_ink(text, end)
    if ink == 0:
        return None
    size = ink - (num_feeds - text.count("\n", ink, end))
    line_end, under = ink, 0
    for number in range(FOOTER_LINES):
        line_start = text.rfind("\n", 0, line_end) + 1
        if not number and _is(FOOTER, text, line_start, line_end):
            return line_start - 1
        under += line_end - line_start
        if _is(NOTICE, text, line_start, line_end):
            return line_start - 1 if under * 2 <= size else None
        if line_end - line_start > HEADLINE_CHARACTERS or PROSE.search(text[line_start:line_end]):
            return None
        if line_start == 0:
            return None
        line_end = line_start - 1
    return None


def _end_of_ink(text: str, end: int) -> int:
    """Where the text up to `end` ends without white space, 0 where there is nothing else."""
    while end > 0:
        start = max(0, end - FOOTER_CHARACTERS)
        ink = text[start:end].rstrip()
        if ink:
            return start + len(ink)
        end = start
    return 0


def _is(pattern: re.Pattern[str], text: str, start: int, end: int) -> bool:
    if end - start > FOOTER_CHARACTERS:
        return False
    return pattern.fullmatch(text[start:end].rstrip()) is not None


def _spam(text: str) -> str:
    """ "gambling: ...", "adult: ..." or "spliced spam: ..." where the text is that, else ""."""
    words = len(text.split())
    report = len(set(REPORT.findall(text))) >= REPORT_TERMS
    limit = MAX_SHARE * (REPORT_FACTOR if report else 1)
    for name, pattern in (("gambling", GAMBLING), ("adult", ADULT)):
        found = list(pattern.finditer(text))
        terms = {match[0].replace(" ", "") for match in found}
        trade = sum(match["trade"] is not None for match in found)
        share = len(found) / words
        if trade and (len(terms) >= MIN_TERMS or trade >= MIN_TRADE_HITS) and share >= limit:
            return f"{name}: {share:.2f} of words, {len(terms)} different terms"
    spliced = SPLICED.search(text)
    return f"spliced spam: {spliced[0]}" if spliced else ""
