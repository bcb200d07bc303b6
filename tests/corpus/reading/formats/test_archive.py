from __future__ import annotations

import gzip
import io
import random
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from onnuri.corpus.reading.formats import archive
from tests.soak import tries

FILES = {
    "라벨/가나다.json": '{"text": "안녕"}'.encode(),
    "b.txt": b"hello\n" * 500,
    "c" * 60 + "/" + "d" * 90: b"",
    "e": b"\0\1",
}


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as file:  # type: ignore[call-overload]
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def members(raw: bytes, **limits: int) -> list[archive.Member]:
    return list(archive.members(io.BytesIO(raw), "x", **limits))


def causes(raw: bytes, **limits: int) -> list[tuple[str, str]]:
    return [
        (name, str(content)) for name, content in members(raw, **limits) if isinstance(content, Exception)
    ]


def cp949_named(raw: bytes) -> bytes:
    """As Korean Windows writes it: names in CP949, and no flag for UTF-8."""
    name, stored = "라벨/가나다.json", "라벨/가나다.json".encode("cp949")
    raw = zipped({"x" * len(stored): FILES[name]})
    return raw.replace(b"x" * len(stored), stored)


@pytest.mark.parametrize(
    "raw",
    [
        zipped(FILES),
        zipped(FILES, zipfile.ZIP_STORED),
        zipped(FILES, zipfile.ZIP_BZIP2),
        tarred(FILES),
        tarred(FILES, "w:gz"),
        tarred(FILES, form=tarfile.GNU_FORMAT),
        gzip.compress(tarred(FILES, form=tarfile.USTAR_FORMAT)),
        tarred(FILES, "w:xz"),
        tarred(FILES, "w:bz2"),
        zstandard.compress(tarred(FILES)),
        gzip.compress(zipped(FILES)),
    ],
    ids=["zip", "stored", "bzip2", "pax", "tgz", "gnu", "ustar", "xz", "tar.bz2", "zst", "zip.gz"],
)
def test_names_and_contents_come_back(raw: bytes) -> None:
    assert members(raw) == list(FILES.items())


def test_names_are_composed_whatever_they_were_stored_in() -> None:
    decomposed = {unicodedata.normalize("NFD", name): content for name, content in FILES.items()}
    assert members(zipped(decomposed)) == members(tarred(decomposed)) == list(FILES.items())
    assert members(cp949_named(zipped(FILES))) == list(FILES.items())[:1]
    stored = "라벨/가나다.json".encode("cp949").decode("utf-8", "surrogateescape")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as file:
        file.addfile(tarfile.TarInfo(stored))
    assert members(out.getvalue()) == [("라벨/가나다.json", b"")]


def test_names_of_cp949_that_a_program_took_for_cp437_and_wrote_as_utf_8() -> None:
    name = "라벨링데이터/경제_1.json"
    assert members(zipped({name.encode("cp949").decode("cp437"): b"x"})) == [(name, b"x")]
    for other in ("été/café.txt", "═══.txt", "日本.txt", name):
        assert members(zipped({other: b"x"})) == [(other, b"x")]


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../b", "..\\up", "C:\\x", "a\nb", "x" * 1_001, "a/..", "\x1b[2J"]
)
@pytest.mark.parametrize("make", [zipped, tarred])
def test_hostile_names_are_errors_and_nothing_touches_the_disk(
    name: str, make: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (first, content), second = members(make({name: b"x", "good.txt": b"y"}))
    assert first == "#1" and "hostile name" in str(content)
    assert second == ("good.txt", b"y")
    assert not list(tmp_path.iterdir())


def test_folders_links_and_resource_forks_are_passed_over() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as file:
        for name, kind in (
            ("d", tarfile.DIRTYPE),
            ("l", tarfile.SYMTYPE),
            ("h", tarfile.LNKTYPE),
            ("f", tarfile.FIFOTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, "/etc/passwd"
            file.addfile(entry)
        file.addfile(tarfile.TarInfo("kept"))
    assert members(out.getvalue()) == [("kept", b"")]
    assert members(zipped({"d/": b"", "__MACOSX/._a": b"x", "./kept": b""})) == [("kept", b"")]


def test_limits_on_members_and_all_together() -> None:
    files = {"big": bytes(range(256)) * 40, "small": b"x"}
    for raw in (zipped(files), tarred(files), tarred(files, "w:gz")):
        assert causes(raw, limit=10_000) == [("big", "10,240 bytes, over 10,000")]
        assert [name for name, _ in members(raw, limit=10_000)] == ["big", "small"]
        assert members(raw, total=10_240)[:1] == [("big", files["big"])]
        assert "bytes unpacked" in causes(raw, total=10_240)[0][1]


def test_bombs_are_told_by_their_ratio() -> None:
    bomb = {"zeros": bytes(40 << 20), "small": b"x"}
    assert [name for name, cause in causes(zipped(bomb)) if "bomb" in cause] == ["zeros"]
    assert "bomb" in causes(tarred(bomb, "w:gz"))[-1][1]
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    assert "a header of" in causes(header.tobuf(tarfile.GNU_FORMAT))[0][1]
    lying = zipped({"zeros": bytes(1 << 20)})  # says 10 bytes
    place = lying.rindex(b"PK\1\2") + 24
    assert "damaged" in causes(lying[:place] + (10).to_bytes(4, "little") + lying[place + 4 :])[0][1]


def test_encrypted_unknown_and_damaged_members_do_not_stop_the_others() -> None:
    raw = bytearray(zipped(FILES))
    entry = raw.index(b"PK\1\2")
    raw[entry + 8] |= 1
    second = raw.index(b"PK\1\2", entry + 1)
    raw[second + 10] = 97
    last = raw.rindex(b"PK\1\2")
    raw[last + 16] ^= 1  # its checksum
    found = members(bytes(raw))
    assert [name for name, _ in found] == list(FILES)
    messages = [str(content) for _, content in found]
    assert messages[0] == "encrypted" and "method 97" in messages[1] and "damaged" in messages[3]
    assert found[2][1] == b""


@pytest.mark.parametrize("cut", [0.05, 0.3, 0.6])
def test_a_cut_archive_says_so_after_what_was_whole(cut: float) -> None:
    files = {f"{number}.txt": random.Random(number).randbytes(3_000) for number in range(20)}
    for make in (lambda: tarred(files), lambda: tarred(files, "w:gz"), lambda: zipped(files)):
        raw = make()
        *whole, (name, error) = members(raw[: int(len(raw) * cut)])
        assert whole == list(files.items())[: len(whole)]
        assert name == "" and isinstance(error, ValueError) and "archive x after" in str(error)


@pytest.mark.parametrize("raw", [b"", b"PK", b"PK\3\4", b"\x1f\x8b", b"hello", bytes(512), b"Rar!\x1a\7"])
def test_what_is_no_archive_is_one_error_or_empty(raw: bytes) -> None:
    assert [name for name, _ in members(raw)] in ([], [""])


@settings(max_examples=tries(100, 1600), deadline=None)
@given(
    st.sampled_from([zipped(FILES), tarred(FILES), tarred(FILES, "w:gz")]),
    st.randoms(use_true_random=False),
)
def test_damage_is_an_item(raw: bytes, rng: random.Random) -> None:
    damaged = bytearray(raw)
    for _ in range(rng.choice([1, 4, 40])):
        place = rng.randrange(len(damaged))
        damaged[place : place + rng.randrange(5)] = rng.choice(
            [b"", b"\xff" * 4, bytes(4), rng.randbytes(2)]
        )
    for name, content in members(bytes(damaged)):
        assert isinstance(content, bytes | ValueError) and ".." not in name.split("/")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_tars_behind_one_another_are_read(pack: Callable[[bytes], bytes]) -> None:
    tars = [tarred({f"{number}.txt": b"%d" % number * 600, "last": b"x"}) for number in range(30)]
    found = members(pack(b"".join(tars)))
    assert [name for name, _ in found[::2]] == [f"{number}.txt" for number in range(30)]
    assert [content for _, content in found[1::2]] == [b"x"] * 30
    [(_, cause)] = causes(pack(tars[0] + b"something else" * 100))
    assert "after 2 members" in cause


def test_resource_forks_go_by_their_name_and_bytes() -> None:
    files = {"a/._b.txt": b"\0\5\x16\7\0\2\0\0Mac OS X", "a/._c.txt": b"text", "a/b.txt": b"text"}
    assert [name for name, _ in members(tarred(files))] == ["a/._c.txt", "a/b.txt"]
    assert [name for name, _ in members(zipped(files))] == ["a/._c.txt", "a/b.txt"]
