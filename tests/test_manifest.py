"""A folder is whole, or it is refused; what is not ours is never touched."""

from pathlib import Path

import pytest

from onnuri import manifest
from onnuri.errors import UserError


def build(output: Path, text: str = "가나다", **settings: object) -> manifest.Manifest:
    with manifest.building(output) as partial:
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
    with pytest.raises(RuntimeError, match="broken"), manifest.building(tmp_path / "out") as partial:
        (partial / "half").write_text("x", encoding="utf-8")
        raise RuntimeError("broken")
    manifest.verify(tmp_path / "out", manifest.read(tmp_path / "out", "corpus"))
    build(tmp_path / "out", "둘")
    assert not (tmp_path / "out" / "half").exists()


def test_foreign_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious", encoding="utf-8")
    with pytest.raises(UserError, match="not made by onnuri"):
        build(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text(encoding="utf-8") == "precious"


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
    with pytest.raises(UserError, match="holds a corpus, but a tokens folder"):
        manifest.read(tmp_path / "out", "tokens")


def test_manifest_with_an_outside_path_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "out")
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    found = manifest.read(tmp_path / "out", "corpus")
    found.files["../secret"] = {"bytes": 1, "sha256": manifest.hash_file(tmp_path / "secret")}
    with pytest.raises(UserError, match="outside of the folder"):
        manifest.verify(tmp_path / "out", found)
