"""What a file holds is decided by its bytes; its name only helps."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from onnuri.base.errors import UserError
from onnuri.corpus.reading import json_records, records
from tests.corpus.hostile_inputs import hwpx
from tests.corpus.reading.reading import read

TEXTS = ["강가의 마을에서는 나무를 심는다.", "위원들은 계획을 이야기했다.", "보고서를 새로 썼다."]
RECORDS = [{"id": number, "text": text} for number, text in enumerate(TEXTS)]
LINES = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS)
ARRAY = json.dumps(RECORDS, ensure_ascii=False)
PAGE = f"<!DOCTYPE html><html><body><p>{TEXTS[0]}</p></body></html>"


def zipped(files: dict[str, bytes | str]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), out)
    return out.getvalue()


PRETTY = json.dumps(RECORDS, ensure_ascii=False, indent=2)
OBJECTS = "\n".join(json.dumps(record, ensure_ascii=False, indent=1) for record in RECORDS)
LONG = json.dumps({"text": "가" * 21_000, "more": "나" * 20_000}, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lines.json", LINES),
        ("blank-lines.json", LINES.replace("\n", "\n\n")),
        ("utf-16.json", LINES.encode("utf-16")),
        ("cp949.json", LINES.encode("cp949")),
        ("lines.txt", LINES),
        ("part-00000", LINES),
        ("part-00000-9f.c000", LINES),
        ("lines.dump", LINES),
        ("array.jsonl", ARRAY),
        ("array.jsonl", PRETTY),
        ("array.jsonl", "[\n" + LINES.strip().replace("\n", ",\n") + "\n]"),
        ("array", PRETTY),
        ("objects.json", OBJECTS),
        ("objects.jsonl", OBJECTS),
        ("objects.json", "".join(map(json.dumps, RECORDS))),
        ("plain.jsonl.gz", LINES),
        ("gzip.jsonl", gzip.compress(LINES.encode())),
        ("gzip.zst", gzip.compress(LINES.encode())),
        ("gzip", gzip.compress(LINES.encode())),
        ("a.jsonl.xz", lzma.compress(LINES.encode())),
        ("a.jsonl.bz2", bz2.compress(LINES.encode())),
        ("a.JSON.ZST", zstandard.compress(LINES.encode())),
        ("zip.jsonl", zipped({"a.jsonl": LINES})),
        ("zip", zipped({"part-0": LINES})),
        ("a.tar.xz", tarred({"a.json": LINES.encode()}, "w:xz")),
        ("tar", tarred({"a.json.bz2": bz2.compress(LINES.encode())}, "w:gz")),
        ("parquet.bin", parquet()),
        ("a.parquet.gz", gzip.compress(parquet())),
        ("zip-in.tar", tarred({"a.zip": zipped({"a.jsonl": LINES})})),
        ("tar-in.zip", zipped({"a.tgz": tarred({"a.jsonl": LINES.encode()}, "w:gz")})),
        ("a.csv", "id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(TEXTS))),
        ("a.tsv.gz", gzip.compress(("text\n" + "\n".join(TEXTS)).encode())),
    ],
)
def test_records_are_found_under_any_name(name: str, content: bytes | str, tmp_path: Path) -> None:
    found = read(tmp_path / name, content)
    assert (found.texts, found.problems) == (TEXTS, [])


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.md", "README", "a.2024"])
@pytest.mark.parametrize("text", [TEXTS[0], f"[서울] {TEXTS[0]}", f'{{안내}}\n"{TEXTS[0]}"', "[1]\n[2]"])
def test_text_stays_text(name: str, text: str, tmp_path: Path) -> None:
    assert read(tmp_path / name, text).texts == [text]


def test_a_first_line_that_is_longer_than_what_is_looked_at(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.json", "a.jsonl.gz"):
        assert read(tmp_path / name, LONG + LINES).texts == ["가" * 21_000, *TEXTS]
    damaged = read(tmp_path / "b.jsonl", LONG.replace('", "', " ", 1) + LINES)
    assert damaged.texts == TEXTS and len(damaged.problems) == 1


@pytest.mark.parametrize("name", ["page", "page.txt", "page.php", "page.json", "page.htm"])
def test_pages(name: str, tmp_path: Path) -> None:
    assert read(tmp_path / name, "\ufeff<!-- x -->\n" + PAGE).texts == TEXTS[:1]


def test_hangul_documents_by_their_first_bytes(tmp_path: Path) -> None:
    import random

    package = hwpx(random.Random(1))
    for name in ("a.hwp", "a.hwpx", "a.zip", "a"):
        assert "강가의 마을" in read(tmp_path / name, package).texts[0]
    for content, cause in (
        (b"%PDF-1.7", "a PDF file"),
        (b"HWP Document File V3.00 \x1a\1\2", "HWP 3"),
        (b'<?xml version="1.0"?>\n<HWPML Version="2.8"></HWPML>', "HWPML"),
    ):
        assert cause in read(tmp_path / "b.hwp", content).problems[0]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0", "a PNG picture"),
        ("a.docx", zipped({"[Content_Types].xml": "", "word/document.xml": ""}), "an Office file"),
        ("a.odt", zipped({"mimetype": "application/vnd.oasis"}), "OpenDocument"),
        ("a.log", "a line\n", "format: text reads it"),
        ("a", bytes(range(256)) * 2, "neither text nor"),
        ("a.zip.part0", b"PK\3\4", r"join them: cat \$\(ls -v a.zip.\*\) > a.zip"),
        ("a.part1.rar", b"Rar!\x1a", "in several files"),
    ],
)
def test_what_is_passed_over_says_why(name: str, content: bytes | str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=reason):
        read(tmp_path / name, content)
    (tmp_path / "b.txt").write_text("x")
    assert read(tmp_path).texts == ["x"]


def test_members_that_are_not_read_are_one_reason(tmp_path: Path) -> None:
    parts: dict[str, bytes | str] = {f"a.zip.part{number}": b"PK\3\4" for number in (0, 1 << 30)}
    found = read(tmp_path / "a.zip", zipped({**parts, "b.png": b"\x89PNG", "c.txt": TEXTS[0]}))
    assert found.texts == TEXTS[:1]
    (problem,) = found.problems
    assert "several files; join them: cat" in problem and "(2); a PNG picture (1)" in problem
    deep = zipped({"b.zip": zipped({"c.zip": zipped({"d.txt": "x"}), "e.txt": TEXTS[0]})})
    found = read(tmp_path / "a.zip", deep)
    assert found.texts == TEXTS[:1] and "an archive in an archive in an archive" in found.problems[0]


def test_what_comes_before_damage_in_json_is_read(tmp_path: Path) -> None:
    found = read(tmp_path / "a.json", ARRAY[:-20])
    assert found.texts == TEXTS[:2] and len(found.problems) == 1
    found = read(tmp_path / "a.json", OBJECTS + "\n{")
    assert found.texts == TEXTS and len(found.problems) == 1


def test_a_huge_record_of_an_array_is_not_held_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SMALL_TREE_BYTES", 1000)
    monkeypatch.setattr(json_records, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(records, "MOST_RECORD_BYTES", 100_000)
    huge = [*RECORDS, {"text": "x" * 200_000}]
    found = read(tmp_path / "a.json.gz", gzip.compress(json.dumps(huge).encode()))
    assert found.texts == TEXTS and "a record of more than 100,000 bytes" in found.problems[0]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_long_text_has_its_size_and_a_way_out(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    text = "".join(f"{TEXTS[0]} {number}\n" for number in range(5_000))
    (problem,) = read(tmp_path / "a.txt", pack(text.encode())).problems
    assert f"too long: {len(text.encode()):,} bytes" in problem and "format: lines" in problem
    assert read(tmp_path / "a.txt", pack(text.encode()), format="lines").texts == text.splitlines()


def test_what_is_empty_is_no_reject(tmp_path: Path) -> None:
    empty = pa.table({"text": pa.array([], pa.string())})
    pq.write_table(empty, tmp_path / "a.parquet")
    (tmp_path / "b.json").write_text("[]")
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "d.csv").write_text("id,text\n")
    (tmp_path / "e.jsonl").write_text("")
    assert read(tmp_path).rows == []
