"""Which files an input means: links, loops, brackets, hidden files, READMEs, and the count of all."""

from __future__ import annotations

import os
import time
import unicodedata
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.corpus.reading import discovery
from onnuri.corpus.source import Source


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"text": "글"}\n', encoding="utf-8")


def look(pattern: Path | str, stated: str = "auto") -> tuple[list[str], dict[str, list[str]]]:
    """Names of the files to read, and those passed over by reason. The counts add up."""
    found = discovery.find(str(pattern))
    read = [
        file.name
        for file, _ in discovery.with_formats(found, Source("x", input="x", format=stated, unverified=True))
    ]
    counts = found.counts()
    left_out = {reason: entry["first"] for reason, entry in counts["passed_over"].items()}
    assert counts["read"] == len(read)
    assert counts["found"] == len(read) + sum(e["files"] for e in counts["passed_over"].values())
    return read, left_out


def test_every_file_is_read_or_passed_over_with_a_reason(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", "b.JSONL", "sub/c.txt", ".d.jsonl", ".git/e.jsonl")
    (tmp_path / "sub" / "odd.q7z").write_bytes(bytes(range(256)))
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "gone.jsonl").symlink_to("nowhere")
    (tmp_path / "self").symlink_to("self")
    os.mkfifo(tmp_path / "pipe.jsonl")
    read, left_out = look(tmp_path)
    assert read == ["a.jsonl", "b.JSONL", "sub/c.txt"]
    assert left_out == {
        discovery.BROKEN_LINK: ["gone.jsonl", "self"],
        discovery.EMPTY: ["_SUCCESS"],
        discovery.HIDDEN: [".d.jsonl", ".git/e.jsonl"],
        discovery.SPECIAL: ["pipe.jsonl"],
        "neither text nor of a known format": ["sub/odd.q7z"],
    }


def test_only_the_first_names_are_kept_but_all_are_counted(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", *(f".{number:02d}" for number in range(30)))
    found = discovery.find(str(tmp_path))
    entry = found.counts()["passed_over"][discovery.HIDDEN]
    assert entry == {"files": 30, "first": [".00", ".01", ".02", ".03", ".04"]}
    assert discovery.describe(found.counts()) == "30 hidden: .00, .01, .02, .03, .04, ..."


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", ".b\n\x1b[31mc")
    assert discovery.describe(discovery.find(str(tmp_path)).counts()).isprintable()


@pytest.mark.parametrize("pattern", ["in", "in/**/*.jsonl", "in/**"])
def test_linked_folders_are_entered_once(tmp_path: Path, pattern: str) -> None:
    write(tmp_path, "in/here.jsonl", "outside/2023/x.jsonl", "outside/y.jsonl")
    (tmp_path / "in" / "deep").mkdir()
    (tmp_path / "in" / "all").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "deep" / "again").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "part").symlink_to(tmp_path / "outside" / "2023")
    read, left_out = look(tmp_path / pattern)
    assert read == ["all/2023/x.jsonl", "all/y.jsonl", "here.jsonl"]
    assert left_out == {discovery.LINKED_FOLDER: ["deep/again", "part"]}


@pytest.mark.parametrize("pattern", ["in", "in/**/*.jsonl"])
def test_loops_are_cut_and_cost_nothing(tmp_path: Path, pattern: str) -> None:
    write(tmp_path, "in/a/x.jsonl", "in/b/y.jsonl", "beside.jsonl")
    for name, target in (("a/up", ".."), ("b/up", ".."), ("here", "."), ("above", ".."), ("b/a", "../a")):
        (tmp_path / "in" / name).symlink_to(target)
    start = time.monotonic()
    read, left_out = look(tmp_path / pattern)
    assert time.monotonic() - start < 1
    assert read == ["a/x.jsonl", "b/y.jsonl"], "a folder goes by its own name, and nothing above is read"
    assert left_out == {discovery.LINKED_FOLDER: ["a/up", "above", "b/a", "b/up", "here"]}


def test_a_file_of_two_names_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, "blobs/0a1b", "z/real.jsonl")
    (tmp_path / "snapshots" / "1").mkdir(parents=True)
    (tmp_path / "snapshots" / "1" / "train.jsonl").symlink_to("../../blobs/0a1b")
    (tmp_path / "short.jsonl").symlink_to("z/real.jsonl")
    read, left_out = look(tmp_path)
    assert read == ["short.jsonl", "snapshots/1/train.jsonl"], "a name with a known suffix before others"
    assert left_out == {discovery.LINKED_FILE: ["blobs/0a1b", "z/real.jsonl"]}


def test_brackets_of_a_name_that_is_there_are_meant_as_they_stand(tmp_path: Path) -> None:
    write(tmp_path, "데이터[2024]/a.jsonl", "데이터2/b.jsonl", "x/y[1]/c*.jsonl", "x/y1/d.jsonl")
    assert look(tmp_path / "데이터[2024]/*.jsonl")[0] == ["a.jsonl"]
    assert look(tmp_path / "데이터[2024]")[0] == ["a.jsonl"]
    assert look(tmp_path / "데이터[0-9]/*.jsonl")[0] == ["데이터2/b.jsonl"]
    assert look(tmp_path / "*/y[1]/*")[0] == ["x/y[1]/c*.jsonl"]
    assert look(tmp_path / "x/y[1]/c*.jsonl")[0] == ["c*.jsonl"]


def test_composed_and_decomposed_names_match(tmp_path: Path) -> None:
    write(tmp_path, unicodedata.normalize("NFD", "자료/가나.jsonl"))
    assert look(tmp_path / "*/가?.jsonl")[0] == ["자료/가나.jsonl"]


def test_hidden_files_follow_one_rule_for_folder_and_glob(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", ".b.txt", ".c/d.txt", "e/.f.txt")
    for pattern in ("", "**", "**/*.txt"):
        read, left_out = look(tmp_path / pattern)
        assert read == ["a.txt"] and left_out == {discovery.HIDDEN: [".b.txt", ".c/d.txt", "e/.f.txt"]}
    assert look(tmp_path / ".b.txt")[0] == [".b.txt"]
    assert look(tmp_path / ".c")[0] == ["d.txt"]
    assert look(tmp_path / ".*/*.txt")[0] == [".c/d.txt"]
    with pytest.raises(UserError, match=r"matches no file to read; passed over 1 hidden: \.f\.txt"):
        discovery.find(str(tmp_path / "e"))


def test_a_folder_that_a_glob_does_not_enter_is_named(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "sub/b.txt")
    assert look(tmp_path / "*") == (["a.txt"], {discovery.FOLDER: ["sub"]})


def test_a_readme_is_a_document_among_texts_and_a_description_beside_records(tmp_path: Path) -> None:
    write(tmp_path, "README.md", "texts/README.md", "texts/a.md", "set/data/x.jsonl", "set/readme.ko.md")
    read, left_out = look(tmp_path)
    assert read == ["set/data/x.jsonl", "texts/README.md", "texts/a.md"]
    assert left_out == {discovery.README: ["README.md", "set/readme.ko.md"]}
    assert look(tmp_path / "set" / "readme.ko.md")[0] == ["readme.ko.md"]


def test_a_stated_format_reads_every_name(tmp_path: Path) -> None:
    write(tmp_path, "part-00000", "x.log", ".part.crc")
    assert look(tmp_path, "jsonl") == (["part-00000", "x.log"], {discovery.HIDDEN: [".part.crc"]})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pipe", "is neither a file nor a folder"),
        ("none.txt", "does not exist"),
        ("empty", "matches no file$"),
        ("only/*", "no file of a known kind; passed over 1 neither text nor of a known format: odd.q7z"),
    ],
)
def test_nothing_to_read_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "odd.q7z").write_bytes(bytes(range(256)))
    with pytest.raises(UserError, match=message) as caught:
        look(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_remote_folders_keep_the_rule_for_hidden_files() -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    for name in ("a.jsonl", ".gitattributes", ".cache/b.jsonl", "sub/c.jsonl"):
        memory.pipe(f"/discovery/{name}", b"{}\n")
    for pattern in ("memory://discovery", "memory://discovery/**"):
        read, left_out = look(pattern)
        assert read == ["a.jsonl", "sub/c.jsonl"]
        assert left_out == {discovery.HIDDEN: [".cache/b.jsonl", ".gitattributes"]}
