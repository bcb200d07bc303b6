"""Broken and hostile input files of every format, the same ones every time."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

PROSE = (
    "강가의 마을에서는 봄마다 사람들이 모여 나무를 심고 음식을 나누어 먹는다. 문의는 010-1234-5678로 한다. "
)
HUGE_LINE_BYTES = 500_000_000


def lines(rng: random.Random) -> bytes:
    """A few good JSON lines."""
    texts = (PROSE * rng.randrange(1, 6) + str(rng.random()) for _ in range(rng.randrange(1, 4)))
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts).encode()


def mutated(rng: random.Random, raw: bytes) -> bytes:
    """Bytes cut short, overwritten, doubled, or all of it."""
    data = bytearray(raw)
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(data) + 1)
        match rng.randrange(4):
            case 0:
                del data[place:]
            case 1:
                data[place : place + rng.randrange(1, 30)] = rng.randbytes(rng.randrange(1, 30))
            case 2:
                data[place:place] = data[: rng.randrange(1, 200)]
            case 3:
                del data[place : place + rng.randrange(1, 50)]
    return bytes(data)


def parquet(rng: random.Random) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"text": [PROSE * rng.randrange(1, 5)], "id": [rng.random()]}), stream)
    return stream.getvalue()


def page(rng: random.Random) -> bytes:
    return f"<html><head><title>{rng.random()}</title></head><body><p>{PROSE}</p></body></html>".encode()


def hwpx(rng: random.Random, body: bytes = b"") -> bytes:
    section = (
        '<hs:sec xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section" xmlns:hp="http://www.hancom.co.kr/'
    )
    section += f'hwpml/2011/paragraph"><hp:p><hp:run><hp:t>{PROSE}</hp:t></hp:run></hp:p></hs:sec>'
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("mimetype", "application/hwp+zip")
        package.writestr("Contents/section0.xml", body or section.encode())
    return stream.getvalue()


def bomb(rng: random.Random) -> bytes:
    """A HWPX package of which a few kB unpack to 64 MB."""
    return hwpx(rng, b"<hs:sec>" + b"<hp:t>a</hp:t>" * 4_600_000)


def zipped(rng: random.Random, name: str = "안/글.jsonl") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, lines(rng))
    return stream.getvalue()


def tarred(rng: random.Random, name: str = "글.txt") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        content = PROSE.encode()
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def warc(rng: random.Random) -> bytes:
    http = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + page(rng)
    head = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://example.kr/\r\n"
    head += "WARC-Date: 2026-01-01T00:00:00Z\r\nContent-Type: application/http\r\n"
    head += f"Content-Length: {len(http)}\r\n\r\n"
    return head.encode() + http + b"\r\n\r\n"


TRAVERSALS = (
    "../../etc/passwd.txt",
    "/etc/shadow.txt",
    "a/../../b.jsonl",
    "C:\\x\\y.txt",
    "..\\..\\z.txt",
    "..",
)
MUTATED: dict[str, Callable[[random.Random], bytes]] = {
    "jsonl": lines,
    "jsonl.gz": lambda rng: gzip.compress(lines(rng)),
    "jsonl.zst": lambda rng: zstandard.ZstdCompressor().compress(lines(rng)),
    "json": lambda rng: json.dumps([{"text": PROSE}, {"text": [PROSE, {"a": 1}]}]).encode(),
    "yaml": lambda rng: f"- text: '{PROSE}'\n- text: |\n    {PROSE}\n".encode(),
    "txt": lambda rng: (PROSE * 3).encode(rng.choice(("utf-8", "cp949", "utf-16"))),
    "txt.gz": lambda rng: gzip.compress(PROSE.encode()),
    "parquet": parquet,
    "html": page,
    "warc": warc,
    "warc.gz": lambda rng: gzip.compress(warc(rng)),
    "hwpx": hwpx,
    "zip": zipped,
    "tar.gz": tarred,
}
HEAVY: dict[str, Callable[[random.Random], bytes]] = {
    "nested.html": lambda rng: b"<html><body>" + b"<div>" * 100_000 + PROSE.encode(),
    "tags.html": lambda rng: b"<html><body>" + b"<b><i>" * 50_000 + PROSE.encode(),
    "attributes.html": lambda rng: b"<p " + b"a=1 " * 300_000 + b">" + PROSE.encode(),
    "angles.html": lambda rng: b"<" * 1_000_000,
    "bomb.hwpx": bomb,
    "entities.hwpx": lambda rng: hwpx(
        rng,
        b'<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
        b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><s>&c;</s>',
    ),
    "bomb.zip": lambda rng: zip_of_zeros(),
    "deep.json": lambda rng: b"[" * 200_000,
    "deep.yaml": lambda rng: b"[" * 20_000,
    "anchors.yaml": lambda rng: b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9) if n else b"x") for n in range(9)
    ),
}
REGEX_TRAPS = (
    "1",
    "1-",
    "010-",
    "(02) ",
    "@a.",
    "a@",
    "http://a.b/",
    "가",
    "가나",
    "ㅋ",
    "!?",
    "\u0301",
    "\u200d",
    "무단전재",
    "카지노",
    "먹튀검증 ",
    "좋아요 ",
    "((((",
    "\n",
    " \n",
    "ⓒ",
    "::",
    "2001:db8:",
    "1.1.1.1.",
    "M1234567",
    "기자 ",
    "A",
    "0123456789abcdef",
    "<|phone|>",
    "Ç",
    "í•œ",
    "뱄",
)
"""Repeated to a megabyte, each in a document of its own."""


def zip_of_zeros() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.txt", bytes(200_000_000))
    return stream.getvalue()


def write(folder: Path, count: int, seed: int = 7) -> int:
    """Write `count` files and more, and return how many there are."""
    rng = random.Random(seed)
    folder.mkdir(parents=True)
    kinds = list(MUTATED)
    for number in range(count):
        kind = kinds[number % len(kinds)]
        raw = mutated(rng, MUTATED[kind](rng))
        (folder / f"{number:05d}.{kind}").write_bytes(raw)
    for name, make in HEAVY.items():
        (folder / name).write_bytes(make(rng))
    for number, name in enumerate(TRAVERSALS):
        (folder / f"traversal{number}.zip").write_bytes(zipped(rng, name))
        (folder / f"traversal{number}.tar.gz").write_bytes(tarred(rng, name))
    with (folder / "traps.jsonl").open("w", encoding="utf-8") as stream:
        for trap in REGEX_TRAPS:
            text = trap * (1_000_000 // len(trap.encode()))
            stream.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    with (folder / "huge-line.jsonl").open("wb") as stream:
        stream.truncate(HUGE_LINE_BYTES)  # no line feed, and no disk: the file has a hole
        stream.seek(HUGE_LINE_BYTES)
        stream.write(b"\n" + lines(rng))
    with (folder / "huge-line.txt").open("wb") as stream:
        stream.truncate(HUGE_LINE_BYTES)
    return sum(1 for _ in folder.iterdir())
