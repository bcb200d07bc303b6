"""CSV and TSV as they are met: quotes, encodings, damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from tests.corpus.reading.reading import read


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        (
            "a.csv",
            'id,text\r\n1,"두\n줄, ""인용"""\r\n\r\n2,끝\r\n',
            ['두\n줄, "인용"', "끝"],
        ),
        ("spaces.csv", 'id, text\n1, "가, 나"\n2, "다\n라"\n', ["가, 나", "다\n라"]),
        ("mac.csv", "id,text\r1,가\r2,나", ["가", "나"]),
        (
            "utf-16-without-mark.csv",
            "id,text\n1,강가의 마을\n2,위원들은\n".encode("utf-16-le"),
            ["강가의 마을", "위원들은"],
        ),
        ("bom.csv", "\ufefftext,id\n안녕,1\n", ["안녕"]),
        ("semicolon.csv", "id;text\n1;가, 나\n", ["가, 나"]),
        ("cp949.csv", "id,text\n1,강가의 마을\n2,위원들은\n".encode("cp949"), ["강가의 마을", "위원들은"]),
        ("utf-16.csv", "id,text\n1,강가\n".encode("utf-16"), ["강가"]),
        ("a.tsv", 'id\ttext\n1\t"열린 인용\n2\t"닫힌 ""인용"""\n', ['"열린 인용', '닫힌 "인용"']),
    ],
)
def test_rows(name: str, content: bytes | str, texts: list[str], tmp_path: Path) -> None:
    found = read(tmp_path / name, content)
    assert (found.texts, found.problems) == (texts, [])


def test_rows_that_do_not_fit_are_rejected_with_their_text(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "id,text\n1,가,나\n2,다\n3\n")
    assert found.texts == ["다"]
    assert found.problems == [
        "unreadable: 3 fields where the first row names 2",
        "unreadable: field 'text' is missing",
    ]
    assert found.rows[0]["text"] == "1,가,나"
    found = read(tmp_path / "a.csv", 'id,text\n1,"열린 채로\n2,가\n3,나\n')
    assert found.texts == ["가", "나"] and found.rows[0]["text"] == '1,"열린 채로\n'
    assert "a quotation mark that nothing closes" in found.problems[0]
    found = read(tmp_path / "a.tsv", b"id\ttext\n1\t\xff\xff\xff\n2\t" + "가\n".encode())
    assert found.texts == ["가"] and len(found.problems) == 1


def test_an_open_quotation_mark_costs_its_row_alone(tmp_path: Path) -> None:
    rows = "".join(f'{number},"글 {number}"\n' for number in range(20))
    found = read(tmp_path / "a.csv", f'id,text\n{rows}x,"열린\n{rows}y,열림"\n{rows}')
    assert len(found.texts) == 61 and found.texts[-1] == "글 19"
    assert [row["text"] for row in found.rows if row["problem"]] == ['x,"열린\n']
    long = "1,가나다라마바사\n" * 100_000
    found = read(tmp_path / "a.csv", f'id,text\n1,"열린\n{long}')
    assert len(found.texts) == 100_000 and "a row of more than" in found.problems[0]


def test_what_is_left_of_a_damaged_row_is_no_row(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", 'text,id,url\n"첫 줄\n둘째 "줄" 은\n셋째, 줄",1,x\n넷,4,y\n')
    assert found.texts == ["넷"]
    assert "".join(row["text"] for row in found.rows if row["problem"]).count("줄") == 3


def test_a_row_without_end_is_not_read_to_its_end(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", 'text\n가\n"' + ("x" * 98 + ",\n") * 15_000)
    assert found.texts == ["가"] and "a row of more than" in found.problems[0]


def test_a_table_without_the_column_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no column 'text'.*found: id, document"):
        read(tmp_path / "a.tsv", "id\tdocument\n1\t가\n")
