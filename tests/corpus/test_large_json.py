"""JSON in which something is wrong, or that is too large to parse whole: one fault costs one record."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from onnuri.corpus.execution.units import pieces_of
from onnuri.corpus.reading import json_records, records, trees
from onnuri.corpus.reading.json_records import Found, lists_below, split
from onnuri.corpus.reading.readers import read
from onnuri.corpus.source import Source

SCALARS = (1, -2.5, None, True, "x", '가 "q" \\ {[', "", "😀", "\\", 12345678901234567890)


def values(random: Random, depth: int = 0) -> Any:
    """A value of JSON."""
    kind = random.random()
    if depth > 3 or kind < 0.4:
        return random.choice(SCALARS)
    if kind < 0.7:
        return [values(random, depth + 1) for _ in range(random.randint(0, 3))]
    names = random.choices(["data", "a", "b c", "d.e"], k=random.randint(0, 3))
    return {name: values(random, depth + 1) for name in names}


def parts(content: bytes, keys: str, size: int, most: int = 1 << 26) -> list[Found]:
    """What `split` finds in a stream that gives so many bytes at a time."""
    stream = io.BytesIO(content)
    return list(split(lambda asked: stream.read(min(size, asked)), keys.split(".") if keys else [], most))


def test_records_are_those_that_parsing_the_whole_finds() -> None:
    random = Random(0)
    for _ in range(1500):
        all_values = [values(random) for _ in range(random.randint(1, 3))]
        keys = random.choice(["", "data", "data.a"])
        written = (
            json.dumps(each, ensure_ascii=random.random() < 0.5, indent=random.choice([None, 1]))
            for each in all_values
        )
        content = random.choice(["\n", " , ", " "]).join(written).encode()
        expected = [
            (f"{number}.{path}".strip(".") if number else path, record)
            for number, value in enumerate(all_values)
            for path, record in trees.records(value, keys)
        ]
        for size in (1, 3, 17, 1 << 20):
            found = parts(content, keys, size)
            assert [(each.path, json.loads(each.content)) for each in found] == expected, (content, keys)


def rows(path: Path, content: bytes, **words: Any) -> list[tuple[str, str, str]]:
    """Text, note and problem of each row."""
    path.write_bytes(content)
    source = Source("x", input=str(path), unverified=True, **words)
    found = (batch.to_pylist() for batch in read(pieces_of(0, source)[0], source, 1 << 20))
    return [(row["text"], row["note"], row["problem"]) for batch in found for row in batch]


def good(*texts: str) -> list[tuple[str, str, str]]:
    """Rows without fault."""
    return [(text, "", "") for text in texts]


def written(*texts: str) -> bytes:
    """A list of records."""
    return json.dumps([{"text": text} for text in texts], ensure_ascii=False).encode()


SENTENCES = " 글입니다. 우리나라의 역사와 문화를 사람들에게 전하는 이야기가 이어집니다." * 2
TEN = [f"{number}번{SENTENCES}" for number in range(10)]
BAD = (TEN[1].replace("번", "\ufffd"), "bad characters: 1", "")
HALF = (TEN[1].replace("번", "\ufffd"), "lone surrogates: 1", "")
TWICE = (TEN[1], "name twice", "")
MIDDLE = "1번".encode()


def situations() -> Iterator[tuple[bytes, dict[str, Any], list[tuple[str, str, str]]]]:
    """A file, how it is read, its rows."""
    whole, usual = written(*TEN), {"bad_characters": 0.01}
    around = good(TEN[0]), good(*TEN[2:])
    yield whole, {}, good(*TEN)
    yield b"\xef\xbb\xbf" + whole, {}, good(*TEN)
    yield whole.replace(MIDDLE, b"1\xeb\xb2"), usual, [*around[0], BAD, *around[1]]
    yield whole.replace(MIDDLE, b"1\\ud83d"), {}, [*around[0], HALF, *around[1]]
    yield whole.replace(MIDDLE, b"1\\uDE00"), {}, [*around[0], HALF, *around[1]]
    yield whole.replace(MIDDLE, b"1\n\t\x0b"), {}, [*around[0], *good(f"1\n\t\x0b{SENTENCES}"), *around[1]]
    for other in (b"NaN", b"-Infinity", b"1e400", b"9" * 30, b"[" * 500 + b"]" * 500):
        yield whole.replace(b'{"text": "1', b'{"id": ' + other + b', "text": "1'), {}, good(*TEN)
    for other in (b'"text": "else", ', b'"meta": {"a": 1, "a": 1}, ', b'"a": 1, "\\u0061": 2, '):
        yield whole.replace(b'"text": "1', other + b'"text": "1'), {}, [*around[0], TWICE, *around[1]]
    yield b'{"data": %b, "n": 1, "data": %b}' % (whole, written("z")), {"records": "data"}, good(*TEN, "z")
    yield (
        b'[{"data": %b}, 5, {"other": 1}, {"data": []}, {"text": "w"}]' % whole,
        {"records": "data"},
        [*good(*TEN), *[("", "", "unreadable: nothing at records: data")] * 3],
    )
    yield b'{"data": []}', {"records": "data"}, []
    yield whole.replace(b"}, {", b"}}, {", 1), {}, good(*TEN)
    twice = b'"text": "a"}, {"text": "b", "m": {"k": 1, "k": 2}}, {"text": "c"}'
    yield b"{" + twice, {}, [*good("a"), ("b", "name twice", ""), *good("c")]
    yield whole[:1] + b'// 5" disk, {\n# "\n/* it\'s "x"\n/*/' + whole[1:-1] + b", ] // end", {}, good(*TEN)
    yield whole + written("끝"), {}, good(*TEN, "끝")
    yield b'{"text": "a"}, {"text": "b"}\n' + whole, {}, good("a", "b", *TEN)
    yield whole.decode().encode("cp949"), {}, good(*TEN)
    yield whole.decode().encode("utf-16"), {}, good(*TEN)
    yield whole[:-1] + b", " + written(*TEN).decode().encode("cp949")[1:], {}, good(*TEN, *TEN)
    yield b'{"data": %b, "n": 1}' % whole, {"records": "data"}, good(*TEN)
    yield b'[{"data": %b}, {"data": {"text": "z"}}]' % whole, {"records": "data"}, good(*TEN, "z")
    yield b'{"a": [{"b": %b}], "b": %b}' % (whole, whole), {"records": "a.b"}, good(*TEN)


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_what_is_wrong_with_a_record_costs_that_record(
    small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(records, "SMALL_TREE_BYTES", 1024)
    for content, words, expected in situations():
        assert rows(tmp_path / "in.json", content, **words) == expected, content[:200]


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_broken_records_are_refused_one_by_one_and_a_lost_rest_is_named(
    small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(records, "SMALL_TREE_BYTES", 1024)
    monkeypatch.setattr(records, "MOST_RECORD_BYTES", 4096)
    monkeypatch.setattr(json_records, "CHUNK_BYTES", 1024)
    whole, path = written(*TEN), tmp_path / "in.json"
    for broken in (
        b'{"text": "1" "2"}',
        b"{1}",
        b'{"text": "he said "hi" to"}',
        b'{"text": }',
        b"'single'",
        b"/x/y",
    ):
        found = rows(path, whole.replace(written(TEN[1])[1:-1], broken))
        assert [row for row in found if not row[2]] == good(TEN[0], *TEN[2:]), broken
        assert [row[2].partition(":")[0] for row in found if row[2]] == ["unreadable"], broken
    for content, kept, problem in (
        (whole[:-1], 10, "cut off: after 10 records: the file ends within a list"),
        (whole[:-4], 9, "cut off: after 9 records: the file ends within a value"),
        (whole + b"]" + whole, 10, "cut off: after 10 records: a ] that closes nothing; the rest"),
        (
            written(*TEN, "a" * 9000, "b"),
            10,
            "cut off: after 10 records: a record of more than 4,096 bytes",
        ),
    ):
        found = rows(path, content)
        if small and kept == 10 and len(content) > 9000:
            assert [row[0] for row in found] == [*TEN, "a" * 9000, "b"]  # it was parsed whole
            continue
        assert found[:-1] == good(*TEN[:kept]) and found[-1][2].startswith(problem), (found[-1], problem)


def test_memory_and_time_are_those_of_one_record() -> None:
    long = b'["' + b"A" * (1 << 20) + b'", {"a": "' + b"\\\\" * (1 << 18) + b'"}]'
    for size in (1 << 12, 1 << 20):
        assert [len(found.content) for found in parts(long, "", size)] == [(1 << 20) + 2, (1 << 19) + 9]
    (found,) = parts(b'{"x": "' + b"A" * (1 << 20) + b'", "data": [1]}', "data", 1 << 12)
    assert found == Found("data.0", b"1")
    (found,) = parts(b'["' + b"A" * (1 << 20), "", 1 << 12, most=1 << 16)
    assert found.problem == "a record of more than 65,536 bytes; the rest is not read"


def test_depth_is_bounded_on_the_way_and_free_elsewhere() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    assert parts(b'[{"x": %b, "data": 1}]' % deep, "data", 1 << 20) == [Found("0.data", b"1")]
    assert parts(b"[%b]" % deep, "", 1 << 20) == [Found("0", deep)]
    (found,) = parts(deep, "data", 1 << 20)
    assert found.problem == "lists in lists, more than 1,000; the rest is not read"


def test_lists_below_the_top() -> None:
    head = b'{"version": {"a": [{}]}, "data" : [ {"x": "]}"}], "tags": ["a"], "more": [{"y": 1'
    assert lists_below(head) == (["version", "data", "tags", "more"], ["data", "more"])
    assert lists_below(b"[1]") == lists_below(b"") == ([], [])


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_a_quotation_mark_too_many_costs_its_record(
    small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it turns what is text and what is not for all that follows, or for all up to the next one."""
    if not small:
        monkeypatch.setattr(records, "SMALL_TREE_BYTES", 1024)
    whole, path = written(*TEN), tmp_path / "in.json"
    one = whole.replace(MIDDLE, b'5" 1')
    wrapped, two = b'{"data": %b, "n": [{"text": 1}]}' % one, one.replace("7번".encode(), b'7"')
    for content, kept, problems in (
        (one, [TEN[0], *TEN[2:]], ["unreadable"]),
        (one[1:-1].replace(b"}, {", b"}\n{"), [TEN[0], *TEN[2:]], ["unreadable"]),
        (wrapped, [TEN[0], *TEN[2:]], ["unreadable", "cut off"]),
        (two, [TEN[0], *TEN[2:7], *TEN[8:]], ["unreadable"] * 2),
        (one[:-20], [TEN[0], *TEN[2:9]], ["unreadable", "cut off"]),
    ):
        found = rows(path, content, records="data" if content is wrapped else "")
        assert [row for row in found if not row[2]] == good(*kept), content[:80]
        assert [row[2].partition(":")[0] for row in found if row[2]] == problems, found
    assert found[-1][2].startswith("cut off: after 9 records: the file ends within a value")


@pytest.mark.parametrize("small", [True, False], ids=["small", "large"])
def test_letters_with_a_backslash_inside(
    small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(records, "SMALL_TREE_BYTES", 1024)
    path = tmp_path / "in.json"
    for codec, letters in (("johab", "겦굎귶"), ("shift_jis", "表ソ能"), ("gb18030", "乗俓")):
        texts = [f'{number} "글" {letters[number % len(letters)]}' for number in range(100)]
        if codec != "johab":
            texts = [text.replace("글", "字") for text in texts]
        content = written(*texts).decode().encode(codec)
        assert b"\\" in content
        assert rows(path, content, encoding=codec) == good(*texts), codec


def test_what_is_no_json_is_left_after_a_while(tmp_path: Path) -> None:
    found = rows(tmp_path / "in.json", b"[" + b"let x = y; " * 10_000)
    assert len(found) < 200 and found[-1][2].startswith("cut off: ")


def test_yaml_documents_behind_one_another(tmp_path: Path) -> None:
    content = "---\ntext: 하나\n---\n- text: 둘\n- text: 셋\n---\n".encode()
    path = tmp_path / "in.yaml"
    assert rows(path, content) == good("하나", "둘", "셋")
    found = rows(path, "data: [{text: 하나}]\n---\ntext: 둘\n".encode(), records="data")
    assert found == [*good("하나"), ("", "", "unreadable: nothing at records: data")]
