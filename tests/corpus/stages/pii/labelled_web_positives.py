"""Lines of web text with fields for personal data (see labelled_web_text): one a line, by family."""

POSITIVES = {
    "rrn": """
INSERT INTO member VALUES (17, '{name}', '{rrn}', '{phone}');
원고 {name}({rrn!})의 소송대리인 변호사 최법률
가. 성명 : {name}  나. 주민등록번호 : {rrn!}  다. 직업 : 회사원
<name>{name}</name><jumin>{rrn!}</jumin>
아들이 {rrn!} 주민등록번호로 통장을 개설했습니다
개인정보 유출: {name}/{rrn}/{phone}
연말정산 부양가족: 배우자 {name} {rrn!}
근로자 {name} (주민등록번호 {rrn!}) 와 사용자는 다음과 같이 계약한다
His Korean resident number was {rrn}.
민증번호 {rrn!} 좀 바꿔주세요ㅠㅠ
피보험자: {name}, {rrn}, 남
매수인 {name} {rrn}
주민등록 번호 뒷자리까지 {rrn!} 적었음
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
체류외국인 JOHN SMITH {frn} D-2
외국인 등록 번호: {frn!}
외국인등록사실증명 {frn!}
the alien registration no. {frn!} on my card
중국 국적 {name}({frn}) 씨
FRN={frn}
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
안녕하세요 {name}입니다 {phone} 연락주시면 감사하겠습니다^^
🏠 상담문의 👉 {phone!} 👈
{phone} 문자주세요~
알바 구함. 시급 1만원. {phone} (문자만)
저희 매장 번호는요 {phone} 입니다!
tel : {phone!}
대표전화 {phone!} | 팩스 {phone!}
(우 06236) 서울특별시 강남구 테헤란로 152 {phone}
영업시간 10:00 ~ 22:00 / {phone}
<p>전화번호 : <b>{phone!}</b></p>
You can reach me on {phone!} or by mail.
Cell: {phone!}
광고) 대출 가능 {phone!} 무료수신거부 {phone!}
분실신고 {phone!}
- 담당: {name} 주무관 (☎ {phone!})
콜택시 {phone!}
A/S 접수 {phone!}
{name} 대리 / {phone} / {email}
인스타 DM 또는 {phone}
ARS {phone!}
phone_number = "{phone!}"
Mobile:{phone!}
신청: {phone}, 마감 {day}
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
결제카드 {card} 할부 3개월
PAN: {card}
Mastercard ending... full number {card}
카드 앞면에 {card} 라고 적혀 있어요
card={card}&cvv=123
[국민카드] {card} 분실신고 접수
신용카드번호({card})를 입력하세요
test card {card}
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
모임통장 {bank} {account} {name}
{bank}은행 {account} 으로 송금 부탁드려요
입금하실 곳: {bank} {account}
☞ {bank} {account} (예금주: {name})
농협은 {won}, 계좌번호: {account}
부의금 계좌 {bank} {account} {name}
급여이체 계좌: {bank} / {account}
{bank_en}, account number: {account}
제 {bank} 계좌 {account} 입니다
통장번호 {account} {bank}
{account} {bank} (예금주 {name})
보증금은 {bank} {account} 로 입금하기로 한다
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
Passport: {passport!} (Republic of Korea)
여권 {passport!} 분실
여권사본 첨부 / 여권번호:{passport!}
승객 KIM/MINSU {passport} 08JAN90
passport_number: "{passport!}"
구여권번호 {passport!}
대한민국 여권 {passport}을(를) 소지
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
운전면허증번호 {driver_licence!}
면허증 {driver_licence!} 정지 100일
임차인 {name} 면허번호 {driver_licence!}
DL No. {driver_licence}
{name} {driver_licence} 2종보통
운전면허 번호:{driver_licence!} 적성검사
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
지원서는 {email} 로 접수
Email me: {email} thanks!
★{email}★
이메일주소는{email}입니다
문의사항은 {email}으로 부탁드립니다
smtp_user: {email}
git config user.email "{email}"
Signed-off-by: Gil Dong <{email}>
{email}, {email}, {email}
({email})
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
sshd[1234]: Invalid user admin from {ip!} port 51234
게시자 IP : {ip!}
글쓴이 {ip} 님
아이피 주소 {ip!} 신고합니다
server {ipv4!}:443;
{ip} GET /favicon.ico 404
Remote address: {ip!}
host={ip!} user=postgres
디도스 공격 발신지 {ip!}
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
사업자등록번호 : {business_number!} | 대표 {name}
사업자번호({business_number!})
ⓒ 한국상사 사업자 등록번호 {business_number!} 통신판매신고 2020-서울강남-0{d4}
사업자등록번호 {business_number!}
사업자등록번호 : {business_number!} 대표 {name}
(주)한국상사 | 사업자번호 {business_number!} | 통신판매업신고 제2019-서울강남-0{d4}호
사업자 {business_number!}로 발행
등록번호 {business_number!}\\n상호 한국상사
상호명 : 한국 대표이사 : {name} 사업자등록번호:{business_number!} TEL : {phone!}
Business registration number {business_number!}
{business_number} (주)대한
계좌번호 {account} {bank} 사업자등록번호 {business_number!}
""",
    "vehicle_plate": """
차량번호 {vehicle_plate!} 차주분 이동 부탁드립니다
| 성명 | 차량번호 |\\n| {name} | {vehicle_plate!} |
방문 차량: {vehicle_plate!}, {vehicle_plate!}
가해차량({vehicle_plate!})은 {day} {time} 신호를 위반하였다
서울 강남 주차장 자동차 등록 {vehicle_plate!}
번호판이 {vehicle_plate!}인 흰색 승용차
License plate {vehicle_plate!}
""",
    "health_insurance": """
건강보험증번호 {health_insurance!}
환자 {name}, 보험증 번호: {health_insurance!}, 연락처 {phone!}
| 건강보험 번호 | {health_insurance!} |
의료보험증 {health_insurance!} 사본 제출
피보험자 {name} 건강보험증 번호는 {health_insurance!}입니다
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
