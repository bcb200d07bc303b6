"""Korean pages as sites lay them out, each with phrases of its content and of what is around it."""

# ruff: noqa: E501

from __future__ import annotations

from typing import NamedTuple


class Labelled(NamedTuple):
    name: str
    html: str
    content: list[str]
    boilerplate: list[str]


NAVIGATION = """<div id="gnb"><ul><li><a href="/">홈</a></li><li><a href="/politics">정치 뉴스</a></li>
<li><a href="/economy">경제 뉴스</a></li><li><a href="/society">사회 뉴스</a></li></ul>
<form action="/search"><input name="q" placeholder="검색어를 입력하세요"><button>검색하기</button></form></div>"""
FOOTER = """<div id="footer"><a href="/terms">이용약관 전문 보기</a> <a href="/privacy">개인정보처리방침 안내</a>
<p>상호: 온누리미디어 | 대표: 홍길동 | 사업자등록번호: 000-00-00000</p><p>Copyright © 온누리미디어 무단전재 금지</p></div>"""
FOOTER_TEXT = ["이용약관 전문 보기", "사업자등록번호", "무단전재 금지"]

NEWS = Labelled(
    "news",
    f"""<!DOCTYPE html><html lang="ko"><head><meta charset="utf-8"><title>한강 다리 새로 놓는다 - 온누리신문</title>
<script>window.dataLayer = ["광고 추적 코드"];</script><style>.a {{ color: red }}</style></head><body>
<header>{NAVIGATION}</header><div class="container"><article class="article-body"><h1>한강 다리 새로 놓는다</h1>
<p>서울시는 한강을 가로지르는 새 보행교를 내년부터 짓기 시작한다고 밝혔다.</p>
<div class="ad-banner"><a href="/ad">지금 가입하면 삼만 원 할인 쿠폰</a></div>
<p>다리는 길이 칠백 미터로, 걷는 사람과 자전거가 함께 건널 수 있게 설계되었다. 공사는 삼 년 걸린다.</p>
<p>주민들은 출퇴근 시간이 짧아질 것이라며 반겼지만, 조망을 걱정하는 목소리도 있었다.</p></article>
<aside class="related"><h3>많이 본 뉴스 순위</h3><ul><li><a href="/1">집값 다시 오르나 전망 엇갈려</a></li>
<li><a href="/2">올여름 장마 길어진다</a></li></ul></aside></div><footer>{FOOTER}</footer></body></html>""",
    ["새 보행교를 내년부터", "걷는 사람과 자전거가", "공사는 삼 년", "조망을 걱정하는"],
    [
        "정치 뉴스",
        "검색하기",
        "많이 본 뉴스",
        "집값 다시",
        "광고 추적",
        "color: red",
        "할인 쿠폰",
        *FOOTER_TEXT,
    ],
)
BLOG = Labelled(
    "blog",
    f"""<html><head><meta charset="utf-8"><title>제주 여행 둘째 날</title></head><body>{NAVIGATION}
<div id="wrap"><div class="post-view"><div class="se-main-container">
<div class="se-component se-text"><div class="se-section"><p class="se-text-paragraph"><span>아침 일찍 성산일출봉에 올랐는데
바람이 세서 모자를 꼭 잡아야 했다.</span></p><p class="se-text-paragraph"><span>내려와서 먹은 고기국수가 정말 맛있었고,
주인아주머니가 귤도 주셨다.</span></p></div></div><div class="se-component se-image"><img src="a.jpg" alt=""></div>
<div class="se-component se-text"><p><span>오후에는 비자림을 걸었다. 나무 냄새가 아직도 기억난다.</span></p></div></div></div>
<div class="sidebar"><div class="category">카테고리 전체보기 (312)</div><ul class="recent"><li><a href="/9">최근 글: 부산 맛집
다섯 곳</a></li></ul><div class="counter">오늘 방문자 12 전체 방문자 34,567</div></div></div>{FOOTER}</body></html>""",
    ["성산일출봉에 올랐는데", "고기국수가 정말", "비자림을 걸었다"],
    ["경제 뉴스", "카테고리 전체보기", "부산 맛집", "전체 방문자", *FOOTER_TEXT],
)
BOARD = Labelled(
    "board",
    f"""<HTML><HEAD><META HTTP-EQUIV="Content-Type" CONTENT="text/html; charset=euc-kr"><TITLE>자유게시판</TITLE></HEAD>
<BODY BGCOLOR=#FFFFFF><TABLE WIDTH=100% class=menu><TR><TD><A HREF=main.php>처음으로 가기</A></TD><TD><A HREF=list.php>목록
보기</A></TD><TD><A HREF=write.php>글쓰기 버튼</A></TD></TR></TABLE><TABLE WIDTH=600 BORDER=0><TR><TD><FONT SIZE=3><B>컴퓨터 조립
질문입니다</B></FONT></TD></TR><TR><TD><FONT SIZE=2>안녕하세요. 이번에 컴퓨터를 처음으로 조립해 보려고 하는데 전원 장치를 얼마짜리로
사야 할지 모르겠습니다.<BR><BR>그래픽 카드는 중고로 샀고 본체는 아버지가 쓰시던 것을 물려받았습니다.<BR>아시는 분은 꼭 답변 부탁드립니다.
</FONT></TD></TR></TABLE>{FOOTER}</BODY></HTML>""",
    ["컴퓨터를 처음으로 조립해", "중고로 샀고", "답변 부탁드립니다"],
    ["처음으로 가기", "글쓰기 버튼", *FOOTER_TEXT],
)
NOTICE = Labelled(
    "notice",
    f"""<!doctype html><html lang=ko><head><meta charset=utf-8><title>2024년도 장학생 선발 공고</title></head><body>
<nav>{NAVIGATION}</nav><main id="content"><h2>2024년도 장학생 선발 공고</h2><p>우리 재단은 다음과 같이 장학생을 선발하오니 많은 지원
바랍니다.</p><h3>지원 자격</h3><ul><li>국내 대학교에 재학 중인 학생</li><li>직전 학기 평균 성적이 B 이상인 학생</li></ul>
<table><caption>지급 내역</caption><thead><tr><th>구분</th><th>인원</th><th>금액</th></tr></thead><tbody><tr><td>이공계열</td><td>20명</td>
<td>학기당 이백만 원</td></tr><tr><td>인문계열</td><td>15명</td><td>학기당 백오십만 원</td></tr></tbody></table>
<p>신청서는 재단 누리집에서 내려받아 우편으로 제출하시기 바랍니다.</p></main><footer>{FOOTER}</footer></body></html>""",
    ["장학생을 선발하오니", "재학 중인 학생", "평균 성적이", "이공계열", "백오십만 원", "우편으로 제출"],
    ["사회 뉴스", "검색하기", *FOOTER_TEXT],
)
COMMUNITY = Labelled(
    "community",
    f"""<!doctype html><html><head><meta charset="utf-8"><title>고양이 자랑</title></head><body><div id="hd">{NAVIGATION}</div>
<div id="container"><div id="bo_v"><h2 id="bo_v_title">고양이 자랑</h2><section id="bo_v_info">작성자 나비집사 조회 1,204</section>
<div id="bo_v_con"><p>우리 집 고양이가 오늘로 세 살이 되었습니다.</p><p>처음 왔을 때는 손바닥만 했는데 이제는 들기도 무겁네요.</p>
<p>병원에서는 살을 조금 빼라고 하셔서 간식을 줄이는 중입니다.</p></div><ul class="bo_v_nb"><li><a href="/prev">이전글 강아지
산책 후기</a></li><li><a href="/next">다음글 햄스터 분양</a></li></ul></div></div><div id="ft" class="footer">{FOOTER}</div></body></html>""",
    ["세 살이 되었습니다", "손바닥만 했는데", "간식을 줄이는"],
    ["정치 뉴스", "검색하기", *FOOTER_TEXT],
)
PAGES = [NEWS, BLOG, BOARD, NOTICE, COMMUNITY]
