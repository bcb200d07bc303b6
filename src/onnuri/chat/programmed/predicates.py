"""Korean predicates in four registers, from a table of stems.

A verb has three bases: the stem before a consonant (듣고), the base before 으 (들으면) and the one before
아/어 (들어). Every ending here follows from one of the three, so irregular verbs need no rule of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from onnuri.chat.programmed.hangul import letters, with_final

Register = Literal["casual", "polite", "formal", "plain"]
REGISTERS: tuple[Register, ...] = ("casual", "polite", "formal", "plain")
NAMES: dict[Register, str] = {
    "casual": "해체(친구 사이의 반말, '-아/어')",
    "polite": "해요체(부드러운 존댓말, '-아요/어요')",
    "formal": "합쇼체(격식 있는 존댓말, '-습니다')",
    "plain": "해라체(글에서 쓰는 말, '-다')",
}
Tense = Literal["present", "past", "future"]


@dataclass(frozen=True)
class Predicate:
    """A verb or an adjective."""

    stem: str
    eu_base: str
    a_base: str
    verb: bool = True

    def present(self, register: Register) -> str:
        """먹어, 먹어요, 먹습니다, 먹는다."""
        if register == "casual":
            return self.a_base
        if register == "polite":
            return self.a_base + "요"
        final = letters(self.stem[-1])[2]
        if register == "formal":
            return (
                with_final(self._dropped(), "ㅂ") + "니다" if final in ("", "ㄹ") else self.stem + "습니다"
            )
        if not self.verb:
            return self.stem + "다"
        return with_final(self._dropped(), "ㄴ") + "다" if final in ("", "ㄹ") else self.stem + "는다"

    def past(self, register: Register) -> str:
        """먹었어, 먹었어요, 먹었습니다, 먹었다."""
        ending = {"casual": "어", "polite": "어요", "formal": "습니다", "plain": "다"}[register]
        return with_final(self.a_base, "ㅆ") + ending

    def future(self, register: Register) -> str:
        """먹을 거야, 먹을 거예요, 먹을 것입니다, 먹을 것이다."""
        ending = {"casual": "거야", "polite": "거예요", "formal": "것입니다", "plain": "것이다"}[register]
        return f"{with_final(self.eu_base, 'ㄹ')} {ending}"

    def asked(self, register: Register, past: bool) -> str:
        """A question of the spoken registers, without its mark: 먹어, 먹어요, 먹습니까."""
        ending = self.past(register) if past else self.present(register)
        return ending.removesuffix("다") + "까" if register == "formal" else ending

    def _dropped(self) -> str:
        """The stem without a final ㄹ."""
        return with_final(self.stem, "")

    def conjugate(self, register: Register, tense: Tense) -> str:
        """The form of a statement."""
        forms = {"present": self.present, "past": self.past, "future": self.future}
        return forms[tense](register)


def also_accepted(form: str) -> set[str]:
    """Other spellings of the same form that the standard allows: 것입니다 and 겁니다, 것이다 and 거다."""
    others = {form}
    for one, other in (("것입니다", "겁니다"), ("것이다", "거다"), ("거예요", "것이에요")):
        if form.endswith(one):
            others.add(form.removesuffix(one) + other)
    return others


def _table(text: str, verb: bool = True) -> dict[str, Predicate]:
    """Lines of dictionary form, base before 으 and base before 아/어."""
    rows = [row.split() for row in text.split(",")]
    return {word: Predicate(word.removesuffix("다"), eu, a, verb) for word, eu, a in rows}


PREDICATES = {
    **_table(
        """가다 가 가, 오다 오 와, 보다 보 봐, 먹다 먹으 먹어, 마시다 마시 마셔, 읽다 읽으 읽어,
        쓰다 쓰 써, 듣다 들으 들어, 걷다 걸으 걸어, 만들다 만드 만들어, 팔다 파 팔아, 열다 여 열어,
        살다 사 살아, 놀다 노 놀아, 사다 사 사, 자다 자 자, 만나다 만나 만나, 기다리다 기다리 기다려,
        배우다 배우 배워, 가르치다 가르치 가르쳐, 돕다 도우 도와, 굽다 구우 구워, 짓다 지으 지어,
        낫다 나으 나아, 부르다 부르 불러, 고르다 고르 골라, 흐르다 흐르 흘러, 자르다 자르 잘라,
        하다 하 해, 공부하다 공부하 공부해, 청소하다 청소하 청소해, 준비하다 준비하 준비해,
        시작하다 시작하 시작해, 일하다 일하 일해, 닦다 닦으 닦아, 씻다 씻으 씻어, 찾다 찾으 찾아,
        받다 받으 받아, 앉다 앉으 앉아, 웃다 웃으 웃어, 심다 심으 심어, 끝나다 끝나 끝나,
        내리다 내리 내려, 불다 부 불어, 그리다 그리 그려, 피다 피 펴, 지나가다 지나가 지나가,
        빌리다 빌리 빌려, 보내다 보내 보내, 타다 타 타, 돌아오다 돌아오 돌아와, 모으다 모으 모아,
        키우다 키우 키워, 나누다 나누 나눠, 떠나다 떠나 떠나, 쉬다 쉬 쉬어, 빛나다 빛나 빛나,
        줄어들다 줄어드 줄어들어, 돌보다 돌보 돌봐, 늘어나다 늘어나 늘어나, 즐기다 즐기 즐겨,
        녹다 녹으 녹아, 물들다 물드 물들어, 울다 우 울어, 익다 익으 익어, 알리다 알리 알려,
        나가다 나가 나가, 들리다 들리 들려, 들어오다 들어오 들어와, 밝히다 밝히 밝혀, 켜다 켜 켜,
        닫다 닫으 닫아, 얼다 어 얼어, 달리다 달리 달려, 풀다 푸 풀어"""),
    **_table(
        """좋다 좋으 좋아, 크다 크 커, 작다 작으 작아, 많다 많으 많아, 춥다 추우 추워, 덥다 더우 더워,
        맵다 매우 매워, 맑다 맑으 맑아, 넓다 넓으 넓어, 길다 기 길어, 달다 다 달아, 높다 높으 높아,
        바쁘다 바쁘 바빠, 예쁘다 예쁘 예뻐, 빠르다 빠르 빨라, 조용하다 조용하 조용해,
        따뜻하다 따뜻하 따뜻해, 시원하다 시원하 시원해, 어둡다 어두우 어두워, 무겁다 무거우 무거워,
        가볍다 가벼우 가벼워, 아름답다 아름다우 아름다워, 깨끗하다 깨끗하 깨끗해,
        중요하다 중요하 중요해, 필요하다 필요하 필요해, 쉽다 쉬우 쉬워, 새롭다 새로우 새로워,
        싸다 싸 싸, 다르다 다르 달라, 즐겁다 즐거우 즐거워, 있다 있으 있어, 맛있다 맛있으 맛있어,
        밝다 밝으 밝아""",
        verb=False,
    ),
}  # fmt: skip
"""By dictionary form."""
