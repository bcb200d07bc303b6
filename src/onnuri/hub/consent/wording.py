"""The text of terms that the hub writes for an owner, to be edited by him: the five items of article 17(2)
of the Korean Personal Information Protection Act, and rules of use.

A lawyer of the institution must read what it uses.
"""

from __future__ import annotations

LANGUAGES = ("ko", "en")
ITEMS = ("recipient", "purpose", "items", "retention", "refusal")
TITLES = {
    "ko": {
        "recipient": "개인정보를 제공받는 자",
        "purpose": "제공받는 자의 이용 목적",
        "items": "제공하는 개인정보의 항목",
        "retention": "제공받는 자의 보유 및 이용 기간",
        "refusal": "동의를 거부할 권리와 거부에 따른 불이익",
    },
    "en": {
        "recipient": "Who receives the personal data",
        "purpose": "What the recipient uses it for",
        "items": "Which personal data is provided",
        "retention": "How long the recipient keeps and uses it",
        "refusal": "Your right to refuse, and what follows",
    },
}
BOXES = {
    "ko": {
        "terms": "[필수] 이용 조건을 읽었으며 이에 동의합니다.",
        "personal_data": "[필수] 위와 같이 개인정보를 제3자에게 제공하는 데 동의합니다.",
    },
    "en": {
        "terms": "(Required) I have read the terms of use and agree to them.",
        "personal_data": "(Required) I agree that my personal data goes to a third party as stated above.",
    },
}
"""One box a consent: they are given apart."""


def default_items(owner: str, name: str, days: int) -> dict[str, dict[str, str]]:
    """The five items by language. `owner`: the recipient, named; `days`: kept after access has ended."""
    return {
        "ko": {
            "recipient": owner,
            "purpose": f"‘{name}’ 이용 신청의 심사, 이용자 확인 및 이용 현황 관리",
            "items": "[필수] 이름, 계정 이름, 전자우편 주소, 소속, 이용 목적 / "
            "[선택] 신청서의 선택 항목에 적은 내용",
            "retention": "이용 권한이 끝난 날(신청이 반려되거나 동의를 철회한 경우 그날)부터 "
            f"{days:,}일까지 보유하고 이용한 뒤 지체 없이 파기합니다.",
            "refusal": "동의를 거부할 수 있습니다. 필수 항목의 제공을 거부하면 이 자료를 이용할 수 없으나, "
            "그 밖의 서비스는 그대로 이용할 수 있습니다. 선택 항목을 적지 않아도 불이익은 없습니다.",
        },
        "en": {
            "recipient": owner,
            "purpose": f"To review requests for {name}, to know who uses it, and to manage access",
            "items": "Required: name, account name, e-mail address, affiliation, purpose of use. "
            "Optional: what you enter in the optional fields of the form.",
            "retention": f"Until {days:,} days after your access ends, or after the day on which your "
            "request is rejected or you withdraw your consent. It is then deleted without delay.",
            "refusal": "You may refuse. Without the required data you cannot use this repository; you can "
            "go on using everything else on this hub. Leaving optional fields empty has no disadvantage.",
        },
    }


RULES = {
    "ko": (
        "‘{name}’의 파일은 신청서에 적은 목적으로만 이용합니다.",
        "소유자의 허락 없이 파일을 다른 사람에게 제공하거나 공개하지 않습니다.",
    ),
    "en": (
        "Use the files of {name} only for the purpose stated in your request.",
        "Do not pass the files on to others or publish them unless the owner allows it.",
    ),
}
PSEUDONYMISED = {
    "ko": "이 자료에는 가명정보가 들어 있습니다. 통계 작성, 과학적 연구, 공익적 기록 보존의 목적으로만 "
    "이용하며, 특정 개인을 알아보기 위한 처리를 하지 않습니다.",
    "en": "The data is pseudonymised. Use it for statistics, scientific research or archiving in the "
    "public interest only, and never try to identify anybody in it.",
}
WITHDRAWAL = {
    "ko": (
        "동의는 언제든지 철회할 수 있습니다. 철회하면 그때부터 파일을 내려받을 수 없습니다. "
        "이미 내려받은 사본은 허브가 회수할 수 없으므로 이용자가 직접 삭제해야 합니다.",
        "이용 조건이 바뀌면 다시 동의해야 계속 이용할 수 있습니다.",
    ),
    "en": (
        "You may withdraw your consent at any time. From then on you cannot download the files. The hub "
        "cannot recall copies that you have downloaded: delete them yourself.",
        "If these terms change, you have to accept them again before you can go on.",
    ),
}


def rules_of_use(language: str, name: str, prompt: str, pseudonymised: bool) -> str:
    """`prompt`: the owner's own rules; "" for those that the hub proposes."""
    own = () if prompt else tuple(rule.format(name=name) for rule in RULES[language])
    rules = [*own, *([PSEUDONYMISED[language]] if pseudonymised else []), *WITHDRAWAL[language]]
    numbered = "\n".join(f"{number}. {rule}" for number, rule in enumerate(rules, start=1))
    return f"{prompt.strip()}\n\n{numbered}" if prompt else numbered
