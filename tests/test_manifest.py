"""A folder is whole, or it is refused; what is not ours is never touched."""

import json
from pathlib import Path

import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError


def build(output: Path, text: str = "가나다", **settings: object) -> manifest.Manifest:
    with manifest.building(output, "corpus") as partial:
        (partial / "sub").mkdir()
        (partial / "sub" / "a.txt").write_text(text, encoding="utf-8")
        return manifest.seal(partial, "corpus", settings, {"input": "hash"}, {"documents": 1})


def test_round_trip_and_up_to_date(tmp_path: Path) -> None:
    written = build(tmp_path / "out", size=1)
    read = manifest.read(tmp_path / "out", "corpus")
    assert read == written
    assert read.identity == written.identity
    manifest.verify(tmp_path / "out", read)
    assert manifest.up_to_date(tmp_path / "out", "corpus", {"size": 1}, {"input": "hash"})
    assert not manifest.up_to_date(tmp_path / "out", "corpus", {"size": 2}, {"input": "hash"})
    assert not manifest.up_to_date(tmp_path / "out", "corpus", {"size": 1}, {"input": "other"})


def test_rebuild_replaces_and_identity_follows_content(tmp_path: Path) -> None:
    first = build(tmp_path / "out", "하나")
    second = build(tmp_path / "out", "둘")
    assert first.identity != second.identity
    assert (tmp_path / "out" / "sub" / "a.txt").read_text(encoding="utf-8") == "둘"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out"]


def test_interrupted_build_leaves_the_old_folder(tmp_path: Path) -> None:
    build(tmp_path / "out", "하나")
    with (
        pytest.raises(RuntimeError, match="broken"),
        manifest.building(tmp_path / "out", "corpus") as partial,
    ):
        (partial / "half").write_text("x", encoding="utf-8")
        raise RuntimeError("broken")
    manifest.verify(tmp_path / "out", manifest.read(tmp_path / "out", "corpus"))
    build(tmp_path / "out", "둘")
    assert not (tmp_path / "out" / "half").exists()


def test_a_failed_build_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such source"), manifest.building(tmp_path / "out", "corpus"):
        raise UserError("no such source")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_output_is_not_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="output= is empty"), manifest.building("", "corpus"):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_foreign_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious", encoding="utf-8")
    for content in ("", '{"name": "my app"}', "[1]", "no json"):
        if content:
            (tmp_path / "mine" / "manifest.json").write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match="no corpus folder made by onnuri"):
            build(tmp_path / "mine")
        assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "precious"


def test_a_folder_of_another_step_is_not_replaced(tmp_path: Path) -> None:
    build(tmp_path / "out")
    with (
        pytest.raises(UserError, match="no tokens folder made by onnuri"),
        manifest.building(tmp_path / "out", "tokens"),
    ):
        pass
    manifest.verify(tmp_path / "out", manifest.read(tmp_path / "out", "corpus"))


def test_only_the_same_request_goes_on_with_a_half_built_folder(tmp_path: Path) -> None:
    for request, expected in (("a", False), ("a", True), ("b", False), ("", False), ("", False)):
        with (
            pytest.raises(RuntimeError, match="killed"),
            manifest.building(tmp_path / "out", "corpus", request) as partial,
        ):
            assert (partial / "work").exists() == expected
            (partial / "work").write_text("x", encoding="utf-8")
            raise RuntimeError("killed")
    build(tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["manifest.json", "sub"]


def test_two_processes_never_build_one_output(tmp_path: Path) -> None:
    with manifest.building(tmp_path / "out", "corpus") as partial:
        (partial / "mine").write_text("x", encoding="utf-8")
        with pytest.raises(UserError, match="is being written by another process"):
            build(tmp_path / "out")
        manifest.seal(partial, "corpus", {}, {}, {})
    assert (tmp_path / "out" / "mine").exists()


def test_output_behind_a_link_is_built_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    for text in ("하나", "둘"):
        build(tmp_path / "link", text)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "sub" / "a.txt").read_text(encoding="utf-8") == "둘"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.write_text("가나라", encoding="utf-8"), "does not match the hash"),
        (lambda file: file.write_text("가", encoding="utf-8"), "bytes, the manifest says"),
        (lambda file: file.unlink(), "is missing"),
    ],
)
def test_damage_is_named(tmp_path: Path, damage, message: str) -> None:
    build(tmp_path / "out")
    damage(tmp_path / "out" / "sub" / "a.txt")
    with pytest.raises(UserError, match=message):
        manifest.verify(tmp_path / "out", manifest.read(tmp_path / "out", "corpus"))


def test_missing_unfinished_and_wrong_kind(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        manifest.read(tmp_path / "nowhere", "corpus")
    with pytest.raises(UserError, match="not a finished"):
        manifest.read(tmp_path, "corpus")
    build(tmp_path / "out")
    with pytest.raises(UserError, match="is a corpus folder, but a tokens folder"):
        manifest.read(tmp_path / "out", "tokens")


def test_manifest_with_an_outside_path_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "out")
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    found = manifest.read(tmp_path / "out", "corpus")
    found.files["../secret"] = {"bytes": 1, "sha256": manifest.hash_file(tmp_path / "secret")}
    with pytest.raises(UserError, match="outside of the folder"):
        manifest.verify(tmp_path / "out", found)


@pytest.mark.parametrize(
    ("altered", "message"),
    [
        ({"files": ["a.txt"]}, "'files' is no such table"),
        ({"files": {"sub/a.txt": {"bytes": "9"}}}, "'files' is no such table"),
        ({"settings": None}, "'settings' is no such table"),
        ({"counts": {}}, "lacks 'documents'"),
    ],
)
def test_an_altered_manifest_is_one_line(tmp_path: Path, altered: dict, message: str) -> None:
    build(tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | altered))
    with pytest.raises(UserError, match=f"{path} is damaged .*{message}"):
        _ = manifest.read(tmp_path / "out", "corpus").counts["documents"]


def test_a_data_file_of_another_build_is_named(tmp_path: Path) -> None:
    """Steps find their input by its names: a part left over would be read along."""
    build(tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    manifest.read_whole(tmp_path / "out", "corpus")
    (tmp_path / "out" / "sub" / "train-00009.parquet").write_text("old")
    with pytest.raises(UserError, match=r"train-00009.parquet is not in manifest.json: left over"):
        manifest.read_whole(tmp_path / "out", "corpus")
    (tmp_path / "out" / "._train-00000.parquet").write_bytes(b"\0\5\x16\7")  # as macOS's tar makes them
    with pytest.raises(UserError, match=r"\._train-00000.parquet is not in manifest.json: made by macOS"):
        manifest.read_whole(tmp_path / "out", "corpus")
