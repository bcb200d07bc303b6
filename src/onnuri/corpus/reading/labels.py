"""Names of character encodings: one table for the check of a recipe and for reading.

Labels mean what they mean on the web (WHATWG Encoding): euc-kr is CP949, latin-1 is Windows-1252. The
names that Korean software uses are in it too. Case, spaces, hyphens, dots and underscores play no part.
"""

from __future__ import annotations

import re
from functools import lru_cache

from onnuri.base.errors import UserError, nearest

LABELS = {
    "utf-8": "utf-8 utf8 utf-8-sig unicode-1-1-utf-8 cp65001",
    "cp949": "cp949 euc-kr ms949 949 uhc ksx1001 ks_c_5601-1987 windows-949 x-windows-949 euckr korean "
    "ks_x-1001 ks_c_5601 ks_c_5601-1989 ksc5601 ksc_5601 ksc5601-1987 ksx1001-2004 iso-ir-149",
    "johab": "johab cp1361 1361 windows-1361 ms1361 ksc5601-1992 ks_c_5601-1992 x-johab",
    "iso2022_kr": "iso-2022-kr csiso2022kr",
    "utf-16": "utf-16 utf16 unicode ucs-2",
    "utf-16-le": "utf-16le",
    "utf-16-be": "utf-16be",
    "utf-32": "utf-32 utf32 ucs-4",
    "utf-32-le": "utf-32le",
    "utf-32-be": "utf-32be",
    "cp1252": "windows-1252 cp1252 iso-8859-1 latin1 latin-1 l1 us-ascii ascii iso-8859-15 latin-9",
    "cp932": "shift_jis sjis x-sjis windows-31j ms932 cp932 932",
    "euc_jp": "euc-jp x-euc-jp",
    "iso2022_jp": "iso-2022-jp",
    "gb18030": "gb18030 gbk gb2312 gb_2312-80 x-gbk chinese cp936 936 euc-cn",
    "hz": "hz hz-gb-2312",
    "big5": "big5 big5-hkscs x-x-big5 cp950 950",
    **{
        f"cp{page}": f"windows-{page} cp{page} {page}"
        for page in (437, 850, 852, 866, 874, 1250, 1251, 1253, 1254, 1255, 1256, 1257, 1258)
    },
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "mac-roman": "macintosh mac-roman",
    **{f"iso8859-{part}": f"iso-8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 14, 16)},
}
"""Python's codec to the labels that mean it, the usual one first."""


def _plain(label: str) -> str:
    return re.sub(r"[\s._:-]", "", label.strip().strip("\"'").lower())


_CODECS = {_plain(label): codec for codec, labels in LABELS.items() for label in labels.split()}


@lru_cache(maxsize=1024)
def codec_of(label: str) -> str:
    """Python's codec for a label as in a Content-Type header or a recipe, "" for one that is not known."""
    return _CODECS.get(_plain(label), "")


def check(label: str) -> None:
    """Raise UserError, with what is known, for a label that reading would not understand."""
    if not codec_of(label):
        first = [labels.split() for labels in LABELS.values()]
        korean = [f"{names[0]} ({', '.join(names[1:7])})" for names in first[1:3]]
        known = ", ".join([first[0][0], *korean, *(names[0] for names in first[3:])])
        every = [name for names in first for name in names]
        raise UserError(f"encoding {label!r} is not known{nearest(label.lower(), every)}; known: {known}")


def with_backslashes(text: str, codec: str) -> str:
    """What Python's codec gives, without the won sign that Johab shows where ASCII has the backslash."""
    return text.replace("\u20a9", "\\") if codec == "johab" else text
