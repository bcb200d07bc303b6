"""The words and signs around a number that tell what it is, as regular expressions over a few characters.

A name that ends in BEFORE matches what ends right before the number, one in AFTER what begins right behind
it; WORDS may stand anywhere in the window that the rule chooses. The lists were grown from Korean forms,
notices, chats and logs; none is closed.
"""

from __future__ import annotations

import re

WORD = re.compile(r"[^\x00-@\[-`{-~]")
"""A letter, or a sign beyond ASCII. Where there is none, there is no context."""

LEFT_JOINED = re.compile(r"(?:[0-9A-Za-z][-_]?|[0-9]\.)\Z")
LEFT_LABEL = re.compile(
    r"(?:\\[nrt]|(?<![A-Za-z])(?:tel|hp|phone|mobile|cell|fax|ip|rrn|card|no|[tmfh])[-_]?)\Z", re.I
)
RIGHT_JOINED = re.compile(r"@?[0-9A-Za-z]|[-_][0-9A-Za-z]|\.[0-9]")

# A thing: an order, a parcel, a product. Its number is nobody's.
THING_BEFORE = re.compile(
    r"(?:(?:주문|예약|예매|접수증?|거래|결제|승인|문서|관리|배송|등기|송장|영수증|티켓|쿠폰|상품권"
    r"|바우처|핀|인증|허가|공고|상품|제품|품목|부품|품|자재|제조|일련|시리얼|모델|출원|특허|분류|사건"
    r"|청구|회원|고객|계약|증권|전표|납세"
    r"|수험|학) ?(?:번호?|코드|조회|명)|송장|영수증|바코드|시리얼|규격|모델"
    r"|isbn|barcode|timestamp|epoch|(?<![a-z])ts|\b(?:lot|sku|ean|serial)|[sp]/n"
    r"|(?:order|tracking|invoice|receipt|booking|coupon|ticket|serial|part|model|product|item)"
    r"[ _-]?(?:id|no|num|number|code|#))"
    r"[ \t\"'#:=.([은는이가]*(?:no\.? ?)?\Z",
    re.I,
)
AFTER_THING = " \t\"'#:=.([은는이가"
LAST_OF_THING = frozenset("번호드회명장증얼격델neptusludomrhkNEPTUSLUDOMRHK")
"""What may stand between that label and the number, and the last letters of labels: a quick first test."""

COURIER_BEFORE = re.compile(r"(?:택배|대한통운|등기|소포) ?(?:no\.? ?)?\Z", re.I)
"""After these a bare number is a parcel's; a phone number is still a phone number."""

REGISTRATION_WORDS = re.compile(
    r"주민|외국인 ?(?:등록|번호)|생년월일|거소 ?신고|민증"
    r"|(?<![A-Za-z])(?:rrn|jumin|arc(?![a-z])|ssn)|(?:resident|alien|foreigner) ?reg"
    r"|(?:resident|citizen) ?(?:id|no)",
    re.I,
)
PERSON_WORDS = re.compile(
    r"성명|이름|본인|환자|보호자|피고인?|원고|피의자|피해자|세대주|배우자|자녀|신청인|상속인"
    r"|채무자|채권자|임차인|임대인|신분증|(?<![A-Za-z])name",
    re.I,
)
# A company's number has 13 digits too, and those of the Seoul court start 110111: a birth on 2011-01-11.
COMPANY_BEFORE = re.compile(r"법인 ?(?:등록)? ?번호[ \t\"':=(은는이가]*\Z")
CARD_WORDS = re.compile(r"카드|결제|(?<![a-z])card|visa|master|amex", re.I)
LICENCE_WORDS = re.compile(r"면허|licen[cs]e", re.I)
REGION_BEFORE = re.compile(
    r"(?:서울|부산|경기(?:남부|북부)?|강원|충북|충남|전북|전남|경북|경남|제주|대구|인천|광주|대전|울산"
    r"|세종)(?: ?- ?|[ \n])?\Z"
)
VEHICLE_WORDS = re.compile(
    r"차량|차 ?번호|번호판|자동차|승용차|화물차|(?<![a-z])(?:licen[cs]e|number) plate|(?<![a-z])plate n",
    re.I,
)
HEALTH_WORDS = re.compile(r"(?:건강|의료|건)보험|보험증|요양기관|health insurance", re.I)
PASSPORT_WORDS = re.compile(r"여권|[Pp]assport|PASSPORT")
BUSINESS_WORDS = re.compile(r"사업자|등록 ?번호|고유 ?번호|[Bb]usiness reg")

PHONE_WORDS = re.compile(
    r"전화|연락|문의|휴대|핸드폰|대표|고객센터|콜센터|상담|팩스|예약|신고|접수|안심번호|배달|대출|매장|콜택시|내선|문자"
    r"|[☎☏✆📞📱]"
    r"|(?<![a-z])(?:fax|tel|phone|telephone|mobile|cell|call|h\.?p|contact|dial|reach|office (?:on|at)"
    r"|hotline|whatsapp|ars)(?![a-z])|(?<![a-z])[tmfhc][.:] ?\Z",
    re.I,
)

_BANKS = (
    r"(?:신한|농협|수협|신협|새마을금고|새마을|우체국|카뱅|토뱅|케뱅|(?:카카오|토스|케이|K) ?뱅크"
    r"|(?<![A-Za-z])(?:KB|NH|IBK|MG|DGB|BNK|SC|KDB)(?:국민|농협|기업|새마을금고|대구|부산|경남|제일|산업)?)"
)
# Everyday words too ("our", "one", towns): without 은행 they count only right beside the number.
_EVERYDAY = r"(?:국민|우리|하나|기업|산업|제일|씨티|카카오|토스)"
_TOWNS = r"(?:대구|부산|경남|광주|전북|제주)"
ACCOUNT_WORDS = re.compile(
    r"계좌|통장|입금|예금주|이체|송금|조의금|축의금|부의금|후원|회비|은행(?!권)"
    r"|(?:카카오|토스|케이|K) ?뱅크|카뱅|토뱅|케뱅|신한(?! ?(?:카드|투자|금융|생명))"
    r"|우체국(?! ?(?:택배|등기|소포|쇼핑|EMS))|농협|새마을|수협|신협|SC제일"
    r"|(?<![a-z])(?:acc(?:oun)?t?\.? ?(?:n[ou]|#)|acct(?![a-z])|a/c(?![a-z]))|(?<=[a-z]) ?bank(?![a-z])",
    re.I,
)
BANK_BEFORE = re.compile(
    rf"(?:{_BANKS}|{_EVERYDAY}|{_TOWNS})(?: ?은행)?(?:\((?:KB|NH|IBK|MG|구[^)]{{1,6}})\))?(?: ?계좌)?"
    r"[ \t:)(\]\[|/,>=\"'-]{0,5}\Z"
    r"|(?:계좌|예금주|account|acct)[^0-9\n]{0,12}\Z|(?<=[a-z]) ?bank[ :,(]{0,3}\Z",
    re.I,
)
BANK_AFTER = re.compile(
    rf"[ (\[/|,:\"]{{0,3}}(?:지역)?{_BANKS}(?=[ )\]/,|:.\n]|\Z)"
    rf"|[ (\[/|,:\"]{{0,3}}(?:KEB|NH|BNK|DGB|SC|지역|한국)?(?:{_BANKS}|{_EVERYDAY}|{_TOWNS}) ?은행"
    rf"| ?[ (\[/]{_EVERYDAY}(?:\(KB\))?(?=[)\]/]|\Z|\n|[ ,(]{{0,2}}예금주| [가-힣]{{2,4}}(?:[ ,)/\n]|\Z))"
    rf"| ?[(\[]{_TOWNS}[)\]]|[ (/|,]{{0,3}}(?:예금주|계좌)"
    r"|[ (/,]{1,3}(?:shinhan|woori|hana|kookmin|kakao|toss|nh|kb|ibk|k|citi) ?bank",
    re.I,
)
NOT_ACCOUNT_BEFORE = re.compile(
    r"(?:전화|팩스|tel|fax|연락처|휴대폰|문의|고객센터|우편번호"
    r"|(?:등록|사업자|법인) ?번호|면허(?:번호)?|금액|잔액|코드)"
    r"[은는이가 .:(]*\Z",
    re.I,
)
AMOUNT_AFTER = re.compile(r" ?(?:원|won|krw|달러|만원|억|건|명|개|주(?![가-힣])|%|포인트)", re.I)

IP_WORDS = re.compile(
    r"아이피|접속|서버|주소|로그인|차단|공격"
    r"|(?<![a-z])(?:ip(?:v[46])?(?![a-z0-9])|host|server|addr|client|ping|dns|gateway|nameserver|inet"
    r"|x-forwarded-for)"
    r"|(?<![a-z])(?:from|source|src|dst|proxy|connect(?:ed)? to|remote|ssh|peer)[ :=]{1,2}\Z",
    re.I,
)
IP_LINE_BEFORE = re.compile(r"(?:ip|아이피|nameserver)[^\n]{0,3}\n\Z", re.I)
LOG_AFTER = re.compile(r" - - \[|에서 (?:접속|로그인)")
LOGIN_BEFORE = re.compile(r"(?:root|admin|ubuntu|ec2-user|user|ssh[ \w.-]{1,12}|://[^ /]{0,40})@\Z")
VERSION_BEFORE = re.compile(
    r"(?:(?<![A-Za-z])(?:v|ver)|version|build|release|firmware|driver|kernel|section|chapter|§|[A-Za-z]/"
    r"|버전|빌드|릴리스|펌웨어|드라이버|커널|업데이트|패치|크롬"
    r"|chrome|firefox|safari|windows|android|directx|java|jdk|sdk|oid)"
    r"(?:[ .:=]| ?정보| ?번호|[은는이가])*\Z|(?<=[a-z])@\Z|(?<![0-9A-Za-z])제 ?\Z",
    re.I,
)
VERSION_AFTER = re.compile(r" ?(?:버전|version|절|장|항|이상|이하|미만|beta|alpha|rc)")
HEADING_AFTER = re.compile(r"\. ?[A-Z가-힣]")
MAYBE_HEADING_AFTER = re.compile(r"\. |\.? ?[A-Z가-힣\n]")
