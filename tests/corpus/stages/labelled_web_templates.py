"""Lines of web text for labelled_web_text: one template a line, a family a block."""

# ruff: noqa: E501  (one template a line)

POSITIVES = {
    "rrn": """
주민등록번호 {rrn!}
주민등록번호: {rrn!}
■ 주민번호 : {rrn!}
성명: {name}, 주민등록번호: {rrn!}, 연락처: {phone!}
피고인 {name} ({rrn!}), 무직\\n주거 서울 강남구 테헤란로 152
주민번호는 {rrn!}이고 본적은 충남 공주입니다.
{rrn}로 조회했는데 결과가 안 나와요
제 민증 번호 {rrn}입니다 확인 부탁드려요
이름,주민번호,전화\\n{name},{rrn!},{phone}
| 성명 | 주민등록번호 | 주소 |\\n|---|---|---|\\n| {name} | {rrn!} | 서울시 |
{"name": "{name}", "rrn": "{rrn!}", "tel": "{phone}"}
<td>주민등록번호</td><td>{rrn!}</td>
"{name}"({rrn})은 {day} 사망하였다.
세대주 {name} {rrn} 전입 {day}
[{name}] [오후 2:30] {rrn} 이걸로 가입해줘
resident registration number: {rrn!}
RRN {rrn!}, issued {day}
상속인 {name}({rrn}), 지분 3분의 1
주민등록상 생년월일과 번호({rrn!})가 다릅니다
위임인 {name} 주민등록번호 {rrn!} 는 위 사람을 대리인으로 정한다
주민(법인)등록번호 {rrn!}
JUMIN={rrn!}&NAME={name}
{rrn},{name},{won}
{rrn!} (주민등록번호)
신청인 성명 {name}\\n주민등록번호(외국인등록번호) {rrn!}
아이 주민등록번호{rrn!}예요
""",
    "frn": """
외국인등록번호 {frn!}
외국인등록번호: {frn!} / 국적 베트남
외국인 등록번호는 {frn!}입니다
Alien registration number {frn!}
ARC no. {frn!}, valid until {day}
성명 NGUYEN VAN A ({frn}) 체류자격 E-9
국내거소신고번호 {frn!}
{frn}로 로그인
피고 왕{name}({frn})
foreigner registration number is {frn!}.
외국인번호 {frn!}, 여권번호 {passport!}
{name}\\t{frn}\\t{phone}
등록외국인 {name} {frn}에게
| 이름 | 외국인등록번호 |\\n| LI WEI | {frn!} |
""",
    "phone": """
문의 {phone!}
문의전화: {phone!}
연락처 {phone!}로 연락 주세요
휴대폰{phone!}
☎ {phone!}
☏{phone!}
📞 {phone!} 24시간 상담
Tel. {phone!} / Fax. {phone!}
TEL:{phone!}
T.{phone} F.{phone}
대표번호 {phone!}
고객센터 {phone!} (평일 09:00~18:00)
{phone}으로 문자 주세요
{phone}번으로 전화주시면 됩니다
제 번호는 {phone}이에요
010으로 시작하는 번호 {phone}한테서 전화가 왔어요
[{name}] [오후 2:30] {phone} 여기로 전화해
중고나라 직거래 {phone} 네고 불가
{name} 과장 {phone}
서울시 강남구 테헤란로 152 ({phone})
예약 및 상담:{phone},{phone}
급매!! {phone}!!!
call me at {phone!}
Phone: {phone!}, email {email}
My number is {phone}. Text me.
Contact ({phone}) for details
mobile {phone!}
<a href="tel:{phone}">전화하기</a>
{"phone":"{phone!}"}
{name};{phone};{email}
이 링크 https://shop.kr/event?id=3 또는 {phone} 로 신청
국번없이 120 또는 {phone}
받는사람: {name} {phone} 서울 송파구 올림픽로 {nn}
카톡ID kim123 / {phone}
{phone}/{phone}
{phone} ~ 3번 팩스 {phone!}
가게({phone})는 월요일에 쉽니다
※ 전화 예약 필수 → {phone!}
"{phone}"에서 온 보이스피싱
{phone}@문의주세요
배달의민족 안심번호 {phone}
전화번호부\\n{name} {phone}\\n{name} {phone}
부재중 전화 {phone!} (3)
담당자 : {name} (내선 {nn}, {phone})
02로 시작하는 {phone}는 여론조사 번호입니다
#{phone}
hp {phone!}
H.P : {phone!}
WhatsApp {phone!}
Reach our Seoul office on {phone!}.
신고는 {phone}(으)로
기자 {name} {phone} {email}
""",
    "card": """
카드번호 {card}
카드번호: {card}, 유효기간 {n}/28
신용카드 {card}로 결제
{card} 신한카드 {name}
법인카드({card}) 사용내역
체크카드 번호 {card}입니다
card number: {card}
Visa {card} exp 12/27 cvc 123
my card {card}, please charge it
Amex {card}.
{"card_no": "{card}"}
{name},{card},{won}
결제수단 {card} 승인 {won}
카드번호는{card}이고
[Web발신] {card} 승인 {time}
잃어버린 카드 {card}을 정지해 주세요
""",
    "account": """
{bank} {account}
{bank} {account} {name}
{bank}은행계좌 {account}
계좌번호 {account}
계좌번호: {account} ({bank})
입금계좌 : {bank} {account} 예금주 {name}
{bank} {account}으로 입금해 주세요
{account} {bank} {name}
{account} ({bank})
{account}({bank}, 예금주 {name})
{account} {bank} 예금주:{name}
{bank}:{account}
{bank} 계좌 {account}로 보내줘
후원계좌 {bank} {account} (사)한국협회
무통장 입금 안내\\n{bank} {account}\\n예금주 {name}
회비 {won}은 {bank} {account} {name} 앞으로
[{bank}]{account}
{bank}({account})
마음 전하실 곳\\n신랑 {name} {bank} {account}
환불 계좌 : {name} / {bank} / {account}
조의금 {bank} {account} {name}
please send to {bank_en} {account}
Bank account no. {account} ({bank_en})
account number {account}
Account: {bank_en} {account}, holder {name}
{"bank":"{bank}","account":"{account}"}
은행명,계좌번호,예금주\\n{bank},{account},{name}
| 은행 | 계좌번호 |\\n| {bank} | {account} |
송금 {bank} {account}
대금은 {bank} {account} 계좌로 이체 바랍니다
가상계좌 {bank} {account} 입금기한 {day}
""",
    "passport": """
여권번호 {passport!}
여권번호: {passport!}
여권 번호는 {passport!}입니다
여권{passport!}
Passport No. {passport!}
passport number {passport!}
passport no.: {passport!}, exp {day}
성명 {name} 여권 {passport}
{passport}로 출국
HONG/GILDONG {passport} KOR
{name},{passport},{day}
대한민국 여권(번호 {passport!})
My passport ({passport!}) was stolen
{passport!}(여권번호)
여권정보 {passport!} 발급일 {day} 만료일 {day}
{"passport_no":"{passport!}"}
| 영문명 | 여권번호 |\\n| KIM MINSU | {passport!} |
""",
    "driver_licence": """
운전면허 {driver_licence!}
운전면허번호 {driver_licence!}
운전면허번호: {driver_licence!} (1종 보통)
면허번호 {driver_licence!}
면허증 번호는 {driver_licence!}입니다
자동차운전면허번호 : {driver_licence!}
{driver_licence} {name} 1종대형
driver's license {driver_licence!}
Driver licence no. {driver_licence!}
{name}({driver_licence})는 면허가 취소되었다
운전자 {name}, 면허 {driver_licence!}
{"license":"{driver_licence!}"}
렌터카 예약 {name} {phone} {driver_licence}
면허정보{driver_licence!}
""",
    "email": """
이메일 {email}
이메일: {email}
이메일{email}
메일은 {email}로 보내주세요
{email}으로 이력서 제출
E-mail : {email}
문의({email})
<{email}>
{name} 기자 {email}
{name}기자 {email} ⓒ 무단전재 및 재배포 금지
email me at {email}.
Contact: {email}, {phone}
mailto:{email}?subject=문의
<a href="mailto:{email}">{name}</a>
From: "{name}" <{email}>
{"email":"{email}","age":{n}}
{email};{email}
{name},{email},{day}
아이디는 {email}이고 비번은 몰라요
교신저자: {name} ({email})
제보는 {email} 또는 카카오톡
To: {email}\\nCc: {email}
저작권자 {name}<{email}>
|{name}|{email}|
#문의 {email}
""",
    "ip": """
접속 IP: {ip!}
IP {ip!}에서 로그인
아이피{ip!}
{ip!} - - [10/Oct/2023:13:55:36 +0900] "GET /index.html HTTP/1.1" 200 2326
Failed password for root from {ip!} port 22 ssh2
{ip}에서 접속했습니다
작성자 ㅇㅇ({ip}) {day}
서버 주소는 {ip!}입니다
http://{ip}/admin
https://{ip}/
ping {ip!}
client {ip!} connected
inet {ip!}
{day} {time} {ip} 로그인 실패
차단된 IP\\n{ip!}\\n{ip!}
{"ip": "{ip!}", "ua": "Mozilla/5.0"}
ip={ip!}
source {ip!} -> {private}
src={ip!} dst={private}
IP주소 {ip!}로 우회
DNS {ip!}
X-Forwarded-For: {ip!}, {private}
{ip} 차단해 주세요
ssh root@{ip}
nameserver {ip!}
편집자 {ip} 님의 기여
""",
    "ip_port": """
서버 {ipv4}:8080 접속
http://{ipv4}:3000/login
connect to {ipv4}:443
{ipv4}/24 대역
proxy {ipv4}:{d4}
""",
    "business_number": """
사업자등록번호 {business_number}
사업자등록번호 : {business_number} 대표 {name}
(주)한국상사 | 사업자번호 {business_number} | 통신판매업신고 제2019-서울강남-0{d4}호
사업자 {business_number}로 발행
등록번호 {business_number}\\n상호 한국상사
상호명 : 한국 대표이사 : {name} 사업자등록번호:{business_number} TEL : {phone!}
Business registration number {business_number}
{business_number} (주)대한
계좌번호 {account} {bank} 사업자등록번호 {business_number}
""",
    "mixed": """
성명: {name} / 주민등록번호: {rrn!} / 연락처: {phone!} / 이메일: {email} / 계좌: {bank} {account}
{name} {phone} {email} {day} {won}
이름 {name}, 생년월일 {day}, 전화 {phone!}, 여권 {passport!}, 면허 {driver_licence!}
구매자 {name}({phone}) 주문번호 {d10} 결제 {card} {won}
{day} {time} {ip} {email} 로그인
대표 {name} 사업자등록번호 {business_number} 전화 {phone!} 팩스 {phone!} 메일 {email}
입금: {bank} {account} {name} 문의: {phone!}
수취인 {name} {phone} 운송장번호 {d12}
환자 {name} ({rrn!}) 보호자 연락처 {phone!} 진료일 {day}
Name: {name}, DOB {day}, Phone {phone!}, Passport {passport!}, Email {email}
대리인 변호사 {name} 전화 {phone!} 사건 {court}
""",
}

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
차량번호 {n}가{d4}
벤처기업 확인 제20{d10}호
""",
    "versions": """
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
    "business": """
사업자등록번호 {biz}
사업자 번호: {biz} 대표 {name}
사업자등록번호 {biz} 입금계좌 문의
고유번호 101-82-{d4}1
법인 사업자등록번호 안내: {biz}
등록번호 {biz}
""",
    "prose": """
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
