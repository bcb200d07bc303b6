from __future__ import annotations

import gzip
import io
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.reading.formats import warc
from tests.corpus.reading.reading import read as read_file
from tests.soak import tries

PAGE = "<p>안녕하세요, 여기는 온누리입니다.</p>".encode()


def record(content: bytes, kind: str = "response", url: str = "http://example.kr/1", **more: str) -> bytes:
    fields = {"WARC-Type": kind, "WARC-Target-URI": url, "WARC-Date": "2024-05-01T12:00:00Z"}
    fields |= {name.replace("_", "-"): value for name, value in more.items()}
    fields.setdefault("Content-Length", str(len(content)))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"WARC/1.0\r\n{head}\r\n".encode() + content + b"\r\n\r\n"


def response(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def read(raw: bytes, limit: int = 1 << 20) -> list[warc.Record | ValueError]:
    return list(warc.records(io.BytesIO(raw), limit))


def urls(raw: bytes) -> list[str]:
    return [item.url if isinstance(item, warc.Record) else "" for item in read(raw)]


def numbered(count: int) -> list[bytes]:
    return [record(response(PAGE * 40), url=f"http://example.kr/{number}") for number in range(count)]


def test_responses_and_texts_in_order_and_nothing_else() -> None:
    pages = [
        record(b"software: x\r\n", "warcinfo"),
        record(b"GET / HTTP/1.1\r\n\r\n", "request"),
        record(response(PAGE, Content_Type="Text/HTML; Charset='EUC-KR'")),
        record(response(b"", "301 Moved")),
        record(response(b"x", "404 Not Found")),
        record(b"dns stuff", url="dns:example.kr"),
        record("본문".encode(), "conversion", "<http://example.kr/2>", Content_Type="text/plain"),
        record(b"", "metadata"),
    ]
    expected = [
        warc.Record("http://example.kr/1", "2024-05-01T12:00:00Z", "text/html", "EUC-KR", PAGE),
        warc.Record("http://example.kr/2", "2024-05-01T12:00:00Z", "text/plain", "", "본문".encode()),
    ]
    assert read(b"".join(pages)) == expected
    assert read(b"".join(map(gzip.compress, pages))) == expected
    assert read(gzip.compress(b"".join(pages))) == expected
    assert read(pages[2].replace(b"\r\n", b"\n", 6)) == expected[:1]


def chunked(body: bytes) -> bytes:
    parts = [body[at : at + 100] for at in range(0, len(body), 100)]
    return b"".join(b"%x;note=1\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (gzip.compress(PAGE * 50), {"Content_Encoding": "gzip"}),
        (zlib.compress(PAGE * 50), {"Content_Encoding": "deflate"}),
        (raw_deflate(PAGE * 50), {"Content_Encoding": "Deflate"}),
        (chunked(PAGE * 50), {"Transfer_Encoding": "chunked"}),
        (chunked(gzip.compress(PAGE * 50)), {"Transfer_Encoding": "chunked", "Content_Encoding": "x-gzip"}),
        (PAGE * 50, {"Transfer_Encoding": "chunked", "Content_Encoding": "gzip"}),  # undone by the crawler
        (PAGE * 50, {"Content_Encoding": "br"}),
        (brotli.compress(PAGE * 50), {"Content_Encoding": "br"}),
        (zstandard.compress(PAGE * 50), {"Content_Encoding": "zstd"}),
        (chunked(brotli.compress(PAGE * 50)), {"Content_Encoding": "br", "Transfer_Encoding": "chunked"}),
        (chunked(gzip.compress(PAGE * 50)), {"Transfer_Encoding": "gzip, chunked"}),
        (gzip.compress(brotli.compress(PAGE * 50)), {"Content_Encoding": "br, gzip"}),
        (PAGE * 50, {"Content_Encoding": "zstd", "Transfer_Encoding": "gzip"}),
        (PAGE * 50, {"Content_Encoding": "identity"}),
    ],
)
def test_encodings_of_the_transport_are_undone(body: bytes, headers: dict[str, str]) -> None:
    (page,) = read(record(response(body, **headers)))
    assert isinstance(page, warc.Record) and page.payload == PAGE * 50


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (response(b"x" * 3_000), "a record of 3,0"),
        (response(gzip.compress(bytes(100_000)), Content_Encoding="gzip"), "bytes unpacked"),
        (response(brotli.compress(bytes(100_000)), Content_Encoding="br"), "bytes unpacked"),
        (response(zstandard.compress(bytes(100_000)), Content_Encoding="zstd"), "bytes unpacked"),
        (response(brotli.compress(PAGE * 9)[:-9], Content_Encoding="br"), "damaged br"),
        (response(b"\x1f\x8b\x08" + b"\xff" * 50, Content_Encoding="gzip"), "damaged gzip"),
        (response(b"\xff\xfe" * 50, Content_Encoding="br"), "damaged br"),
        (response(b"\xff\xfe" * 50, Content_Encoding="dcb"), "'dcb' is not read"),
        (b"HTTP/1.1 200 OK\r\nno end", "without an end"),
    ],
)
def test_a_page_that_cannot_be_had_is_an_item_with_its_url(content: bytes, cause: str) -> None:
    first, second = read(record(content) + record(response(PAGE), url="http://example.kr/2"), limit=2_000)
    assert (
        isinstance(first, ValueError)
        and str(first).startswith("http://example.kr/1: ")
        and cause in str(first)
    )
    assert isinstance(second, warc.Record) and second.url == "http://example.kr/2"


def flipped(raw: bytes) -> bytes:
    middle = len(raw) // 2
    return raw[:middle] + bytes([raw[middle] ^ 255]) + raw[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw.replace(b"WARC/1.0", b"WRAC/1.0"),
        lambda raw: raw.replace(b"Content-Length: ", b"Content-Length: x"),
        lambda raw: raw.replace(b"Content-Length: ", b"Content-Length: -"),
        lambda raw: raw.replace(b"Content-Length: ", b"Content-Lenth: "),
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[len(raw) // 2 :],
        lambda raw: b"\0" * 100_000,
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_reading_goes_on_after_a_damaged_record(
    damage: Callable[[bytes], bytes], pack: Callable[[bytes], bytes]
) -> None:
    records = numbered(6)
    records[2] = damage(records[2])
    found = urls(b"".join(map(pack, records)))
    assert "" in found
    # A cut record may take the next with it, for its length says that it continues.
    assert [url for url in found if url][:2] == ["http://example.kr/0", "http://example.kr/1"]
    assert [url for url in found if url][-2:] == ["http://example.kr/4", "http://example.kr/5"]


@pytest.mark.parametrize(
    "damage", [flipped, lambda raw: raw[: len(raw) // 2], lambda raw: raw[len(raw) // 2 :]]
)
def test_a_damaged_gzip_member_costs_itself_alone(damage: Callable[[bytes], bytes]) -> None:
    members = [gzip.compress(each) for each in numbered(6)]
    members[2] = damage(members[2])
    found = urls(b"".join(members))
    assert [url for url in found if url] == [f"http://example.kr/{number}" for number in (0, 1, 3, 4, 5)]
    assert "" in found


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_cut_file_ends_with_an_error(pack: Callable[[bytes], bytes]) -> None:
    raw = b"".join(map(pack, numbered(4)))
    *pages, error = read(raw[: int(len(raw) * 0.9)])
    assert len(pages) == 3 and isinstance(error, ValueError) and "ends inside" in str(error)


class Endless(io.RawIOBase):
    """The beginning of a record, and then the same bytes for 64 MiB."""

    def __init__(self, head: bytes, fill: bytes) -> None:
        self.parts = iter([head, *[fill] * ((64 << 20) // len(fill))])

    def read(self, size: int = -1) -> bytes:
        return next(self.parts, b"")


@pytest.mark.parametrize(
    ("head", "fill"),
    [
        (b"WARC/1.0\r\nX: ", b"A"),
        (record(b"", Content_Length="999999999999")[:-4], b"A"),
        (b"\n", b"A"),
        (b"x", b"A"),
        (record(b"", "request"), b"\n"),
    ],
)
def test_what_never_ends_is_read_in_bounded_memory(head: bytes, fill: bytes) -> None:
    import tracemalloc

    tracemalloc.start()
    items = list(warc.records(Endless(head, fill * (1 << 18))))  # type: ignore[arg-type]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
    assert all(isinstance(item, ValueError) for item in items) and len(items) <= 2


def test_a_gzip_bomb_is_read_in_bounded_memory() -> None:
    bomb = gzip.compress(record(bytes(64 << 20)), 1)
    (item,) = read(bomb)
    assert isinstance(item, ValueError) and "over" in str(item)


@settings(max_examples=tries(75, 1200), deadline=None)
@given(st.sampled_from([bytes, gzip.compress]), st.randoms(use_true_random=False))
def test_damage_is_an_item(pack: Callable[[bytes], bytes], rng: random.Random) -> None:
    pages = [
        record(response(chunked(gzip.compress(PAGE)), Transfer_Encoding="chunked", Content_Encoding="gzip"))
    ]
    raw = bytearray(b"".join(map(pack, pages + numbered(2))))
    for _ in range(rng.choice([1, 4, 40])):
        place = rng.randrange(len(raw))
        raw[place : place + rng.randrange(5)] = rng.choice(
            [b"", b"\r\n", b"WARC/1.0\r\n", b"9", rng.randbytes(2)]
        )
    for item in read(bytes(raw)):
        assert isinstance(item, warc.Record | ValueError)


def test_a_page_without_a_type_is_told_by_its_bytes(tmp_path: Path) -> None:
    pages = [
        record(
            response(f"<html><head><title>제목</title></head><body>{PAGE.decode()}</body></html>".encode())
        ),
        record(response("그냥 글 < 부등호".encode())),
        record(response(b"<!-- x --><!DOCTYPE HTML>" + PAGE, Content_Type="unknown/unknown")),
    ]
    found = read_file(tmp_path / "a.warc", b"".join(pages))
    text = "안녕하세요, 여기는 온누리입니다."
    assert [each.strip() for each in found.texts] == [text, "그냥 글 < 부등호", text]


def test_a_wrong_length_costs_no_other_record() -> None:
    pages = [response(PAGE * 3 + b"%d" % number) for number in range(6)]

    def numbered(number: int, wrong: int = 0) -> bytes:
        length = str(len(pages[number]) + wrong)
        return record(pages[number], url=f"http://example.kr/{number}", Content_Length=length)

    records = [numbered(0), numbered(1, 5), numbered(2), numbered(3, 400), numbered(4), numbered(5, 900)]
    for raw in (b"".join(records), b"".join(map(gzip.compress, records))):
        found = read(raw)[:5]
        assert [item.payload for item in found] == [page[19:] for page in pages[:5]]  # type: ignore[union-attr]
    asked = record(b"GET / HTTP/1.1", "request", Content_Length="60")
    assert urls(asked + records[0]) == ["http://example.kr/0"]


def test_resources_of_the_web_are_pages_and_a_crawler_s_own_are_not() -> None:
    pages = [
        record(PAGE, "resource", "ftp://example.kr/a.html", Content_Type="text/html"),
        record(b"--warc-file x", "resource", "metadata://gnu.org/wget_arguments.txt"),
        record(PAGE, "resource", "urn:text:http://example.kr/", Content_Type="text/plain"),
        record(PAGE, "resource", "<http://example.kr/b>", Content_Type="text/html"),
    ]
    assert urls(b"".join(pages)) == ["ftp://example.kr/a.html", "http://example.kr/b"]
