"""Lines of web text with nothing personal in them (see labelled_web_text): one a line, by family."""

NEGATIVES = {
    "dates": """
{day} ~ {day}
{day} {time} 등록
작성일 {day} 조회 {nn}
출생 {day} 사망 {day}
기간: {day}-{day}
공연일시 {day} 오후 {n}시
게시 {stamp}
파일명 IMG_{day}_{d6}.jpg
최종수정 {day}T{time}+09:00
생년월일 {day}
임진왜란({range})
조선 후기 화가 김홍도({range})
통화시간 {time}, 통화일 {day}
전화 예약일 {day}
{range}년 사이에
입금일 {day} {time}
면허 취득 {day}
여권 만료일 {day}
""",
    "prices": """
가격 {won}
총 결제금액 {won} (배송비 {won})
입금액 {won} 잔액 {won}
{won} → {won} {n}% 할인
매출액 {won}, 영업이익 {won}
우리은행 {won} 입금되었습니다
농협 {day} {time} 출금 {won} 잔액 {won}
전세 {won} 월세 {won}
$1,234.56 (약 {won})
합계 {d10}원
계좌 잔액 {d10} 원
대출금 {won} 중 {won} 이체
""",
    "orders": """
주문하신 상품(주문번호 {d13})이 발송되었습니다
송장: CJ {d12}
롯데택배 {d4}-{d4}-{d4}
GS25 편의점택배 {d12}
고객번호 {d10}
회원번호 {d8}
계약번호 {d12}
증권번호 {d4}-{d8}
품의번호 {day}-{d4}
청구번호 {d16}
전표번호 {stamp}
접수일시 {day} {time}
가맹점번호 {d8}
단말기 {d8} 승인 {d8}
납세번호 {d4}-{d7}
주문번호 {day}-0001{d4}
주문번호: {d16}
주문번호 {d13}
주문 번호는 {d10}입니다
Order #112-{d7}-{d7}
Order ID: {d12}
예약번호 {d8}-{d4}
결제번호 {d16} 승인번호 {d8}
거래번호 {stamp}{d4}
접수번호 {day}-{d6}
주문번호 [{d13}]
order no. {d4}-{d4}-{d4}
주문코드 {code}
티켓번호 180-{d10}
쿠폰번호 {d4}-{d4}-{d4}-{d4}
상품권 번호 {d4} {d4} {d4} {d4}
관리번호 41135-{d4}-{d4}
invoice no 2024-{d6}-{d4}
영수증 No.{d12}
""",
    "books": """
ISBN-13 {isbn}
{isbn} (양장)
바코드번호 {ean}
제{nn}조의{n}제{n}항
{court} 판결
헌재 {day} 결정
특허 제10-{d7}호 (출원 10-2019-{d7})
공고 제2024-{d4}호
KS X 1001:2004
RFC {d4}
ISBN {isbn}
ISBN: {isbn} 03810
ISBN {isbn} (세트)
{name} 지음, {year}, {isbn}
도서 {isbn} 가격 {won}
바코드 {ean}
상품 바코드: {ean}
{ean} 신라면 {won}
EAN {ean}
청구기호 813.7-{d4}
ISSN 1225-{d4}
DOI 10.{d4}/jkss.{year}.{n}.{n}.{nn}
pp. {nn}-{nn}
""",
    "registers": """
법인등록번호 110111-{d7}
법인번호: 131111-{d7}
(주)한국 법인등록번호 134511-{d7}
출원번호 10-{year}-{d7}
특허 제10-{d7}호
등록번호 40-{d7}
상표등록 제40-2020-{d7}호
통신판매업 제2019-서울강남-0{d4}호
공고 제{year}-{d4}호
문서번호 총무과-{d4} ({day})
의료기기 제허 15-{d4}호
수험번호 {d8}
학번 {year}-{d6}
우편번호 06236 서울
행사 안내 {n}가{d4}
벤처기업 확인 제20{d10}호
""",
    "versions": """
S/W v{version} 배포 ({day})
iOS {version}
펌웨어 버전 {version}
Build {version}
{version} → {version} 업그레이드
NVIDIA driver {version}
버전 {version}
v{version} 업데이트
Version {version} (build {d4})
Chrome/{version} Safari/537.36
ver. {version}에서 수정
python {version}
펌웨어 {version}으로 올렸더니
npm install react@{version}
드라이버 버전: {version}
libssl {version}
Windows 10.0.19045.{d4}
release {version}
kernel-{version}-generic
DirectX {version} 이상
{n}.{n}.{n}.{n} 항목 참조
제{n}.{n}.{n}.{n}절
OID 1.3.6.1.4.1.{nn}.{n}
lodash@{version}, axios@{version}
""",
    "products": """
모델명 {code}
품번 {code}-{d4}
제품번호 {d4}-{d4}-{d4}
P/N {d6}-{d4}-{d4}
부품번호 010-{d4}-{d4}
시리얼 {m8}
S/N: {m8}
Serial No. {code}{d8}
상품코드 {d10}
제품 코드 {m8}
모델 {d4}-{d6}
SKU {d8}
규격 {nn}-{nn}-{nn} 재질 SUS304
자재코드 {d6}-{d4}
형식승인번호 {d12}
LOT {day}-{d4}
""",
    "tracking": """
운송장번호 {d12}
운송장번호: {d4}-{d4}-{d4}
송장번호 {d10}
CJ대한통운 {d12}
CJ대한통운 운송장 {d4}-{d4}-{d4} 배송중
우체국택배 {d13} 배달완료
등기번호 {d13}
EMS {ems}
tracking number {d12}
택배 조회 {d4} {d4} {d4}
로젠택배 {d4}-{d4}-{d4}
배송조회 {ems} 통관 완료
한진택배 송장 {d10}
tracking no: 1Z999AA10{d8}
UPS 1Z{d10}
""",
    "times": """
{time} {time} {time}
00:{n}:{n},567 --> 00:{n}:{n},000
{time}~{time}
기록 {time}
[{time}] 로그 시작
배차 {time} {time} {time} {time}
마라톤 2:{n}:{n}
epoch {epoch}
timestamp={epoch}
{"ts": {epoch}, "v": {n}}
t={epoch}&r={n}
""",
    "coordinates": """
{lat}, {lon}
위도 {lat} 경도 {lon}
({lon}, {lat})
lat={lat}&lng={lon}
POINT({lon} {lat})
좌표 {lat},{lon}
37°33′{n}″ N 126°58′{n}″ E
원주율 3.14159265358979323846
계수 {decimal} {decimal} {decimal}
x={decimal} y=-{decimal}
""",
    "law": """
민법 제{nn}조 제{n}항
대법원 {year}. {n}. {n}. 선고 {court} 판결
법률 제{d4}호
헌법재판소 2004. 5. 14. 2004헌나1
형법 제{nn}조의{n} 제{n}항 제{n}호
고시 제{year}-{nn}호({day})
서울중앙지방법원 {court}, {court}(병합)
대통령령 제{d4}호, {day}, 일부개정
사건번호 {court}
의안번호 21{d4}
판결 {year}. {n}. {n}. 자 {court}
""",
    "stocks": """
경기 결과 {score}, {score}, {score}
{n}승 {n}패 {n}무
{set}, {set}, 15-{n}
코스닥 {decimal} 코스피 {decimal}
거래대금 {d13}
{d6} {d6} {d6} {d6}
2020 2021 2022 2023 2024
매출 {won} 순이익 {won}
인구밀도 {decimal}
GPS {lat},{lon}
코스피 2,{nn}.28 (+{n}.34, +0.{n}%)
삼성전자(005930) {won} ▲{n}00
거래량 {d8} 거래대금 {d12}
005930 000660 035420 051910
KOSPI200 {decimal}
시가총액 {won}
종목코드 {d6}, 현재가 {d6}
외국인 -{d7} 기관 +{d7} 개인 {d7}
환율 1,{nn}.50 {nn}.20
AAPL {decimal} TSLA {decimal}
2023 {d7} 2024 {d7} 2025 {d7}
{d7}\\t{d7}\\t{d7}\\t{d7}
인구 {d7}명 (남 {d7} 여 {d7})
""",
    "scores": """
우리은행 {score} 신한은행
{set} {set} {set}
국민은행 {score}, 하나은행 {score} 승
전적 {n}-{n}-{n}
세트스코어 3-{n} ({set}, {set}, 23-25, {set})
안산 신한은행 {score} 승리
타율 0.{nn} {n}홈런 {nn}타점
토익 {nn}점 {d4}
로또 {n} {n} {n} {n} {n} {n}
학점 4.{n} / 4.5
KB스타즈 {score} 우리은행 ({n}-{n}, {n}-{n}, {n}-{n}, {n}-{n})
""",
    "masked": """
주민번호 {d6}-1******
010-****-{d4}
010-{d4}-****
카드 {d4}-****-****-{d4}
계좌 110-***-{d6}
신한 110-***-****{n}
이메일 ho***@naver.com
접속 IP 211.34.***.***
주민등록번호 앞자리 {d6}
여권 M****{d4}
카드번호 {d4}-{n}**-****-{d4} 승인
""",
    "addresses": """
{private}
공유기 주소 {private}
ping {private}
서버 {private}:8080
서브넷 255.255.255.0 게이트웨이 {private}
@hong_gildong 님
img@2x.png
git@github.com:user/repo.git
user@localhost
사과 3개@1,000원
https://n.news.naver.com/article/001/00{d8}
https://shop.kr/p/{d12}?id={d8}
http://example.com/{uuid}
https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=010{d8}
https://medium.com/@hong.gildong/title-{hex}
@Autowired @app.route("/x")
국번없이 112, 119, 1339
1588 번 버스
테헤란로 152, 3층 301호 (역삼동 123-45)
10{n}동 {d4}호
""",
    "hashes": """
{uuid}
md5 {hex}
sha1:{hex}{d8}
commit {hex}
session={hex}; id={d8}
MAC 00:1A:2B:3C:4D:5E
ssh 지문 SHA256 24:ab:cd:ef:01:23:45:67
color #0a1b2c #102030
0x{hex}
{d16}{d16}
{d16}{d4}
1{d16}{d16}{d16}
base64 aGVsbG8gd29ybGQ{d8}==
{decimal}e-{n}
""",
    "prose": """
{day} 은행 방문, {time} 번호표 {nn}번
우리은행 배구단 {score}
하나 둘 셋 {d4} {d4}
신한 {won} 입금 {day} {time}
카드 {won} {day} {time} 승인
전화 {nn}통
이메일 {nn}통, 문자 {d4}건
면허 {day} 갱신
여권 만료 {day}
IP {nn}대
조선시대 인구는 {d7}명이었고 {year}년에는 {d7}명이었다.
총 {n}개국 {nn}명이 참가해 {won}의 상금을 놓고 겨뤘다.
{year}년 {n}월 {n}일 서울에서 태어났다.
전화 한 통이면 {n}분 안에 도착합니다
은행에서 {n}시간을 기다렸다
우리 {nn}명은 {day}에 만났다
하나 {d4}, 둘 {d4}
국민 {d8}명이 투표했다
In {year}, about {d7} people lived here; see pages {nn}-{nn}.
Copyright 1998-2024, 2001-2023 by the authors
RFC {d4}, section {n}.{n}.{n}
카드 {nn}장을 {n}명에게
면허 소지자 {d7}명
여권 {nn}만 권 발급, {day} 기준
""",
}
