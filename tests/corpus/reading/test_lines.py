"""Lines of a stream: any cut into ranges gives the same lines, and long ones cost no memory."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnuri.corpus.reading.lines import MOST_BYTES_PASSED_OVER, lines
from tests.corpus.reading.reading import read


@given(st.lists(st.sampled_from([b"", b"a", b"bb\r", b"\n", b"\n\n", "가".encode()])), st.data())
def test_every_cut_gives_the_same_lines(pieces: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(pieces)
    expected = whole.split(b"\n")
    expected = expected[:-1] if expected[-1] == b"" else expected
    found = list(lines(io.BytesIO(whole), limit=100))
    assert [line.content for line in found] == expected
    assert all(whole[line.offset : line.offset + line.size] == line.content for line in found)
    cuts = sorted({0, *data.draw(st.lists(st.integers(0, len(whole)), max_size=4))})
    ranges = zip(cuts, [*cuts[1:], None], strict=True)
    parts = [line for start, stop in ranges for line in lines(io.BytesIO(whole), 100, start, stop)]
    assert parts == found


@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")), max_size=8), st.integers(0, 8))
def test_only_the_beginning_of_a_long_line_is_kept(content: list[bytes], limit: int) -> None:
    found = list(lines(io.BytesIO(b"".join(line + b"\n" for line in content)), limit))
    assert [(line.content, line.size) for line in found] == [(each[:limit], len(each)) for each in content]


def test_a_packed_line_without_end_is_not_read_to_its_end() -> None:
    class Endless(io.RawIOBase):
        given = 0

        def read1(self, size: int) -> bytes:
            self.given += size
            return bytes(size)

    stream = Endless()
    with pytest.raises(ValueError, match="the rest is not read"):
        list(lines(stream, limit=10, packed=True))  # type: ignore[arg-type]
    assert stream.given < MOST_BYTES_PASSED_OVER + (2 << 20)


def test_what_comes_before_the_damage_is_read() -> None:
    packed = gzip.compress(b"".join(b"%d line\n" % n for n in range(100_000)))
    found = []
    with pytest.raises(EOFError):
        for line in lines(gzip.GzipFile(fileobj=io.BytesIO(packed[:-100])), 1000, packed=True):  # type: ignore[arg-type]
            found.append(line.content)
    assert len(found) > 90_000
    assert found[500] == b"500 line"


RECORDS = [f'{{"text": "강가의 마을 {number}"}}' for number in range(5)]


@pytest.mark.parametrize(
    "content",
    [
        "".join(RECORDS),
        ",\n".join(RECORDS) + ",\n",
        RECORDS[0] + "\n" + ", ".join(RECORDS[1:4]) + "\r\n" + RECORDS[4],
        "\r".join(RECORDS),
        "\n".join(RECORDS).encode("utf-16-le"),
        "\n".join(RECORDS).encode("utf-16-be"),
        "\n".join(RECORDS).encode("utf-32"),
    ],
)
def test_records_in_a_row_and_in_wide_units(content: bytes | str, tmp_path: Path) -> None:
    found = read(tmp_path / "a.jsonl", content)
    assert (found.texts, found.problems) == ([f"강가의 마을 {number}" for number in range(5)], [])
    assert len({row["origin"] for row in found.rows}) == 5


def test_a_line_with_a_broken_value_is_rejected_whole(tmp_path: Path) -> None:
    found = read(
        tmp_path / "a.jsonl", '{"text": "가"}\n{"text": "나"}{"text": \n{"text": "다"} 1\n{"text": "라"}\n'
    )
    assert found.texts == ["가", "라"]
    assert [row["text"] for row in found.rows if row["problem"]] == [
        '{"text": "나"}{"text": ',
        '{"text": "다"} 1',
    ]


def test_lines_that_end_in_carriage_returns(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", "가\r나\r\r다", format="lines").texts == ["가", "나", "다"]
