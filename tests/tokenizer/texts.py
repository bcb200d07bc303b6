"""Texts that tokenizers get wrong: strategies for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from onnuri.tokenizer.special import SPECIAL_TOKENS

HANGUL = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
PIECES = st.one_of(
    st.text(),
    st.text(HANGUL),
    st.text(st.sampled_from("ㄱㅋㅎㅠㅏ각각ㆍㅤ")),
    st.text(st.sampled_from("漢字學校國〇々⼀")),
    st.text(st.sampled_from("👩‍👩‍👧🇰🇷👍🏽❤️")),
    st.text(st.sampled_from(" \t\n\r\u00a0\u3000\u200b\ufeff\u2028\u0085\x0b")),
    st.text(st.sampled_from("  \n가a1(.")),
    st.sampled_from(
        [
            *SPECIAL_TOKENS,
            "<|phone",
            "010-1234-5678로",
            "don't",
            "GPT4는",
            "3,141,592.65원",
            "\n        return x\n\n    def f(self):",
            "<0xEA><0x41>\u2581",
            "나랏〮말〯ᄊᆞ미 中듀ᇰ国귁에",
            "\u1112\u1161\u11ab\u1100\u1173\u11af",
            "연구개발기관은 연구개발비를 사용하여야 한다.",
            "of the end of the line. And in the",
        ]
    ),
)
MIXED = st.lists(PIECES).map("".join)
"""Mixed scripts, control characters, emoji, old Hangul, NFD, and strings that look like special tokens."""
