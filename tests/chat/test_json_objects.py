"""One object that says two things, and half of a character: neither passes in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from onnuri.chat.data import objects, refusal
from onnuri.chat.data import records as reading
from tests.chat.talks import ask

TWICE = json.dumps({"messages": ask("하나")})[:-1] + ', "messages": []}'
HALF = json.dumps({"messages": ask("반쪽 \ud800 글자 \udc00")})
WHOLE = json.dumps({"messages": ask("한 글자 😀")})


def read(path: Path, content: str) -> list[reading.Raw]:
    """The records of a file."""
    path.write_text(content)
    return list(reading.read(reading.find(str(path))[0], ""))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.json", f"[{TWICE}, {HALF}, {WHOLE}]"),
        ("in.jsonl", f"{TWICE}\n{HALF}\n{WHOLE}\n"),
        ("one line.jsonl", f"{TWICE}, {HALF}, {WHOLE}\n"),
    ],
)
def test_a_name_twice_is_refused_and_half_a_character_is_noted(
    name: str, content: str, tmp_path: Path
) -> None:
    found = read(tmp_path / name, content)
    assert [each.note for each in found] == ["", "lone surrogates: 2", ""]
    assert [each.refused and each.refused.reason for each in found] == [refusal.BROKEN_JSON, None, None]
    assert found[1].record["messages"] == ask("반쪽 \ufffd 글자 \ufffd")
    assert found[2].record["messages"] == ask("한 글자 😀")


def test_also_in_a_file_that_is_too_large_to_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SMALL_TREE_BYTES", 16)
    twice, half, whole = read(tmp_path / "in.json", f"[{TWICE}, {HALF}, {WHOLE}]")
    assert twice.refused and str(twice.refused) == "broken JSON: 'messages' twice in one object"
    assert (half.note, half.record["messages"]) == ("lone surrogates: 2", ask("반쪽 \ufffd 글자 \ufffd"))
    assert whole.record["messages"] == ask("한 글자 😀")


@pytest.mark.parametrize("small", [True, False])
def test_the_list_below_the_top_is_found_in_files_of_any_size(
    small: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not small:
        monkeypatch.setattr(reading, "SMALL_TREE_BYTES", 64)
    talks = [{"messages": ask(str(number))} for number in range(3)]
    for content in (
        json.dumps({"version": 1, "data": talks}),
        json.dumps(talks[:2]) + json.dumps(talks[2]),
        json.dumps(talks[0]) + ",\n" + json.dumps(talks[1:]),
        json.dumps(talks).replace('"0"', "NaN"),
    ):
        found = read(tmp_path / "in.json", content)
        assert [each.record["messages"][1:] for each in found] == [talk["messages"][1:] for talk in talks]
    (only,) = read(tmp_path / "in.json", json.dumps({"messages": ask("하나"), "extra": [{}]}))
    assert only.record["messages"] == ask("하나")


def test_an_object_without_the_list_of_the_first_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SMALL_TREE_BYTES", 64)
    talk = {"messages": ask("하나")}
    content = [{"n": 1, "data": [talk]}, talk, {"data": []}, {"data": [talk]}]
    first, other, last = read(
        tmp_path / "in.json", "\n".join(json.dumps(each, indent=1) for each in content)
    )
    assert first.record == last.record == talk
    assert other.refused and str(other.refused).startswith("missing columns: no data, which has")


def test_objects_in_text() -> None:
    assert objects.read('{"가": {"나": [1, {"다": 2}]}}') == {"가": {"나": [1, {"다": 2}]}}
    for text in ('{"가": 1, "가": 1}', '[{"나": [{"가": {}, "가": 2}]}]'):
        with pytest.raises(objects.Twice, match="'가' twice in one object"):
            objects.read(text)
    assert objects.checked({"\ud800": [1, None, "\udc00"]}) == ({"\ufffd": [1, None, "\ufffd"]}, 2)
