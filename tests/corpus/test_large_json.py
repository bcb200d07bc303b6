"""JSON that is too large to read whole: a bad character costs itself, not the records behind it."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from random import Random

import pytest

from onnuri.corpus.execution.units import pieces_of
from onnuri.corpus.reading import records
from onnuri.corpus.reading.mended import FEW_BYTES, MARK, Mended, unmarked
from onnuri.corpus.reading.readers import read
from onnuri.corpus.source import Source

TOKENS = re.compile(
    r"\\u[dD][89abAB]\w\w\\u[dD][c-fC-F]\w\w|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\\\|.", re.DOTALL
)
PIECES = (
    *("\\ud83d\\ude00", "\\ud83d", "\\uDe00", "\\uac00", "\\\\", "\\\\ud83d", '\\"', "\\n", "\\u"),
    *("d83d", "a", "가", "😀", '"', " ", ","),
)


def through(content: bytes, size: int) -> tuple[str, int]:
    """What comes out of a stream that is read by so many bytes."""
    stream, parts = Mended(io.BytesIO(content), 1.0), []
    while part := stream.read(size):
        parts.append(part.decode())
    return "".join(parts), stream.marks


def test_halves_of_pairs_are_marked_wherever_the_stream_is_cut() -> None:
    random = Random(0)
    for _ in range(2000):
        text = "".join(random.choices(PIECES, k=random.randint(1, 20)))
        expected = "".join(MARK if found[1] else found[0] for found in TOKENS.finditer(text))
        for size in (1, 2, 3, 7, 1000):
            assert through(text.encode(), size) == (expected, expected.count(MARK)), (text, size)


def test_bytes_that_are_no_character_are_marked_wherever_the_stream_is_cut() -> None:
    content = '"가\ufffd나", "'.encode() + b"\xed\x95" + '", "다'.encode() + b'\xff\xfe", "' + b"\xea\xb0"
    for size in (1, 2, 3, 7, 1000):
        assert through(content, size) == (f'"가\ufffd나", "{MARK}", "다{MARK}{MARK}", "{MARK}', 4)
    assert unmarked({f"가{MARK}": [MARK, 1, None, {"나": MARK}]}) == (
        {"가\ufffd": ["\ufffd", 1, None, {"나": "\ufffd"}]},
        3,
    )
    with pytest.raises(ValueError, match=r"1,049 bad characters in [\d,]+ bytes of UTF-8"):
        Mended(io.BytesIO(b'"' + b"\xff" * 1049 + b'"' * (FEW_BYTES // 2)), 1e-3).read(FEW_BYTES)


@pytest.mark.parametrize("path", ["", "data"])
def test_records_behind_a_bad_character_are_read(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SMALL_TREE_BYTES", 64)
    items = [json.dumps({"text": f"{number}번 글"}, ensure_ascii=False).encode() for number in range(6)]
    items[1] = items[1].replace("번".encode(), b"\xeb\xb2")
    items[2] = items[2].replace("번".encode(), b"\\ud83d")
    items[3] = items[3].replace("번".encode(), b"\\ude00")
    content = b"[" + b",\n".join(items) + b"]"
    (tmp_path / "in.json").write_bytes(b'{"data": %b}' % content if path else content)
    words = {"input": str(tmp_path / "in.json"), "records": path}
    source = Source("x", **words, bad_characters=0.5, unverified=True)
    rows = [row for batch in read(pieces_of(0, source)[0], source, 1 << 20) for row in batch.to_pylist()]
    bad = ["\ufffd" if number in (1, 2, 3) else "번" for number in range(6)]
    assert [row["text"] for row in rows] == [f"{number}{each} 글" for number, each in enumerate(bad)]
    assert [row["note"] for row in rows] == ["bad characters: 1" if each != "번" else "" for each in bad]


def test_the_rest_of_a_broken_file_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SMALL_TREE_BYTES", 64)
    items = [json.dumps({"text": f"{number}번 글"}) for number in range(6)]
    (tmp_path / "in.json").write_text("[" + ", ".join(items).replace('"}, ', '", ', 1) + "]")
    source = Source("x", input=str(tmp_path / "in.json"), unverified=True)
    rows = [row for batch in read(pieces_of(0, source)[0], source, 1 << 20) for row in batch.to_pylist()]
    assert rows[-1]["problem"].startswith("unreadable: the rest of the file, after 0 records: ")


@pytest.mark.parametrize("codec", ["cp949", "utf-16", "utf-8-sig"])
def test_large_files_in_other_encodings_are_read(
    codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where most of it is ASCII, in which a byte order mark is the one thing that is no UTF-8."""
    monkeypatch.setattr(records, "SMALL_TREE_BYTES", 4096)
    items = [{"text": f"{number} " + "plain text " * 100} for number in range(5)]
    items.insert(1, {"text": "한국어 글"})
    (tmp_path / "in.json").write_bytes(json.dumps(items, ensure_ascii=False).encode(codec))
    source = Source("x", input=str(tmp_path / "in.json"), unverified=True)
    rows = [row for batch in read(pieces_of(0, source)[0], source, 1 << 20) for row in batch.to_pylist()]
    assert [row["text"] for row in rows] == [item["text"] for item in items]


def test_what_goes_on_in_another_encoding_is_not_read_as_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SMALL_TREE_BYTES", 4096)
    items = [{"text": f"{number} " + "plain text " * 100} for number in range(5)] + [{"text": "한국어 글"}]
    (tmp_path / "in.json").write_bytes(json.dumps(items, ensure_ascii=False).encode("cp949"))
    source = Source("x", input=str(tmp_path / "in.json"), unverified=True)
    rows = [row for batch in read(pieces_of(0, source)[0], source, 1 << 20) for row in batch.to_pylist()]
    assert [row["problem"] for row in rows[:-1] if row["problem"]] == []
    assert rows[-1]["problem"].endswith("it goes on in CP949, not in UTF-8; state encoding: cp949")
    assert not any("\ufffd" in row["text"] for row in rows)
