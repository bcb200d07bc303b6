"""Saving in the background, on one rank: retention, reported errors, equal bytes for equal state."""

from __future__ import annotations

import errno
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.checkpoint import store
from onnuri.checkpoint.shard_file import TensorSlice, write_shard
from onnuri.checkpoint.store import Saver, load
from onnuri.run.checkpoints import list_checkpoints, newest_verified, step_of
from tests.full_disk import files_of_at_most


@pytest.fixture(autouse=True)
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A process group of one."""
    meeting = tmp_path_factory.mktemp("meeting") / "file"
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def pieces(step: int, size: int = 1000) -> dict[str, TensorSlice]:
    values = torch.arange(size, dtype=torch.float32) + step
    return {
        "weight/a": TensorSlice(values, 0),
        "weight/가": TensorSlice(values[:7].clone().to(torch.bfloat16), 0),
    }


def steps(run_dir: Path) -> list[int]:
    return [step_of(folder) for folder in list_checkpoints(run_dir)]


def save_all(saver: Saver, *wanted: Any) -> None:
    for step in wanted:
        saver.save(abs(step), pieces(abs(step)), {}, ephemeral=step < 0)
    saver.wait()


def test_retention(tmp_path: Path) -> None:
    save_all(Saver(tmp_path, keep=2, keep_every=10), 5, 10, -12, 15, -17, 20, 25, 30, -32)
    assert steps(tmp_path) == [32, 30, 25, 20, 10], "ephemeral 32 is the newest; 10 and 20 are permanent"
    assert (tmp_path / "checkpoints" / "latest").read_text() == "step-0000032\n"
    save_all(Saver(tmp_path, keep=1), 35)
    assert steps(tmp_path) == [35]
    save_all(Saver(tmp_path, keep=0), 36, 37)
    assert steps(tmp_path) == [37, 36, 35]


def test_a_damaged_older_one_stops_nothing(tmp_path: Path) -> None:
    saver = Saver(tmp_path, keep=1)
    save_all(saver, 1, -2)
    (tmp_path / "checkpoints" / "step-0000001" / "manifest.json").write_text("{")
    save_all(saver, 3, 4)
    assert steps(tmp_path) == [4, 1], "what cannot be read is not touched"
    found = newest_verified(tmp_path)
    assert found is not None
    assert step_of(found[0]) == 4


def test_what_is_written_comes_back_and_equal_state_gives_equal_files(tmp_path: Path) -> None:
    first, second = (write_shard(tmp_path / f"{n}.safetensors", pieces(3)) for n in range(2))
    assert first == second
    assert manifest.hash_file(tmp_path / "0.safetensors") == first["sha256"]
    save_all(Saver(tmp_path, keep=1), 3)
    found = newest_verified(tmp_path)
    assert found is not None
    target = {
        "weight/a": torch.empty(1000),
        "weight/가": torch.empty(7, dtype=torch.bfloat16),
    }
    load(found[0], {name: TensorSlice(values, 0) for name, values in target.items()})
    for name, piece in pieces(3).items():
        assert torch.equal(target[name], piece.values)


def test_the_caller_does_not_wait_and_one_is_under_way_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most, gate = [0], [0], threading.Event()
    write = write_shard

    def slow(*words: Any) -> dict[str, Any]:
        running[0] += 1
        most[0] = max(most[0], running[0])
        gate.wait(10)
        running[0] -= 1
        return write(*words)

    monkeypatch.setattr(store, "write_shard", slow)
    saver = Saver(tmp_path, keep=0)
    started = time.monotonic()
    saver.save(1, pieces(1), {})
    assert time.monotonic() - started < 5, "it waited for the write, which the gate holds for 10"
    assert steps(tmp_path) == []
    threading.Timer(0.3, gate.set).start()
    saver.save(2, pieces(2), {})
    assert time.monotonic() - started >= 0.3
    assert steps(tmp_path)[-1] == 1
    saver.close()
    assert steps(tmp_path) == [2, 1]
    assert most[0] == 1


def failing(saver: Saver, step: int, message: str, size: int = 1000, good: int = 1) -> None:
    """The save fails, the next call says so, and nothing of it is left."""
    saver.save(step, pieces(step, size), {})
    with pytest.raises(UserError, match=message) as error:
        saver.wait()
    assert "\n" not in str(error.value)
    assert f"step-000000{good}" in str(error.value), "names the last good one"
    assert not list((saver.run_dir / "checkpoints").glob("*.partial"))


def test_a_write_that_fails_is_raised_and_older_ones_are_whole(tmp_path: Path) -> None:
    saver = Saver(tmp_path, keep=2)
    save_all(saver, 1)
    with files_of_at_most(100_000):
        failing(saver, 2, "shard-00000.safetensors: File too large", size=50_000)
    assert steps(tmp_path) == [1]
    assert newest_verified(tmp_path) is not None
    save_all(saver, 3)
    assert steps(tmp_path) == [3, 1]


def test_a_full_disk_is_seen_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    saver = Saver(tmp_path, keep=4, say=said.append)
    save_all(saver, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3000))
    failing(saver, 2, r"it needs 0.00 GB and .*checkpoints has 0.00 GB free; nothing was written")
    monkeypatch.undo()
    save_all(saver, 3, 4)

    def free(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=10_000 if len(list_checkpoints(tmp_path)) < 3 else 0)

    monkeypatch.setattr(shutil, "disk_usage", free)
    save_all(saver, 5)
    assert steps(tmp_path) == [5, 4, 3], "the oldest made room, the newest complete one never does"
    assert said == ["the disk is full: step-0000001 was removed to make room for step-0000005"]


def test_all_are_kept_on_a_full_disk_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saver = Saver(tmp_path, keep=0)
    save_all(saver, 1, 2, 3)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3000))
    failing(saver, 4, r"nothing was written; train.keep_checkpoints=0 keeps all; last good one", good=3)
    assert steps(tmp_path) == [3, 2, 1]


@pytest.mark.parametrize("what", ["a checkpoint", "its files", "all checkpoints"])
def test_what_was_moved_elsewhere_and_linked_is_left_alone(what: str, tmp_path: Path) -> None:
    run_dir, archive, said = tmp_path / "run", tmp_path / "archive", []
    saver = Saver(run_dir, keep=1, say=said.append)
    save_all(saver, 1, 2)
    folder = run_dir / "checkpoints" / "step-0000002"
    if what == "a checkpoint":
        shutil.move(folder, archive)
        folder.symlink_to(archive)
    elif what == "its files":
        archive.mkdir()
        for path in list(folder.iterdir()):
            shutil.move(path, archive)
            path.symlink_to(archive / path.name)
    else:
        shutil.move(folder.parent, archive)
        folder.parent.symlink_to(archive)
        shutil.copytree(folder, archive := tmp_path / "copy")
    before = manifest.list_files(archive), (archive / "manifest.json").read_bytes()
    save_all(saver, 3, 4)
    assert steps(run_dir) == ([4, 2] if what == "a checkpoint" else [4])
    assert (manifest.list_files(archive), (archive / "manifest.json").read_bytes()) == before
    assert said == []


def test_a_broken_link_or_rubble_in_the_place_of_a_checkpoint(tmp_path: Path) -> None:
    saver = Saver(tmp_path, keep=2)
    save_all(saver, 1)
    (tmp_path / "checkpoints" / "step-0000002").symlink_to(tmp_path / "gone")
    (tmp_path / "checkpoints" / "step-0000003").mkdir()
    (tmp_path / "checkpoints" / "step-0000003" / "left").write_text("over")
    save_all(saver, 2, 3)
    assert steps(tmp_path) == [3, 2]
    assert (tmp_path / "checkpoints" / "step-0000002.unused-0").is_symlink()
    assert not (tmp_path / "checkpoints" / "step-0000003.unused-0").exists()


def test_clean_up_that_fails_is_no_failed_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another machine holds open on NFS leaves a name behind, and its folder is not empty."""
    said: list[str] = []
    saver = Saver(tmp_path, keep=1, say=said.append)

    def busy(folder: Path, *_: Any, **__: Any) -> None:
        raise OSError(errno.ENOTEMPTY, "Directory not empty", str(folder))

    save_all(saver, 1)
    monkeypatch.setattr(shutil, "rmtree", busy)
    save_all(saver, 2, 3)
    assert steps(tmp_path) == [3]
    assert [line.partition("could not be removed: ")[2] for line in said] == [
        f"{tmp_path}/checkpoints/step-000000{step}: Directory not empty" for step in (1, 2)
    ]
    unlink = Path.unlink

    def protected(path: Path, missing_ok: bool = False) -> None:
        if path.name == "manifest.json":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", protected)
    save_all(saver, 4, 5, 6)
    assert steps(tmp_path) == [6, 5, 4, 3]
    assert len(said) == 5, "each is named once"


def test_steps_of_any_length(tmp_path: Path) -> None:
    many = [9_999_998, 9_999_999, 10_000_000, 10_000_001, 123_456_789]
    save_all(Saver(tmp_path, keep=3), *many)
    assert steps(tmp_path) == [123_456_789, 10_000_001, 10_000_000]
    found = newest_verified(tmp_path)
    assert found is not None
    assert step_of(found[0]) == 123_456_789
    for name in ("step-00000001", "step-123", "step-1000000x", "step-0000001.unused-0"):
        shutil.copytree(found[0], tmp_path / "checkpoints" / name)
    assert steps(tmp_path) == [123_456_789, 10_000_001, 10_000_000]


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    saver = Saver(tmp_path, keep=2)
    save_all(saver, 1)
    (tmp_path / "checkpoints" / "step-0000002.partial").write_text("a file in the way")
    saver.save(2, pieces(2), {})
    with pytest.raises(
        UserError, match=r"step-0000002.partial: File exists; last good one: .*step-0000001"
    ):
        saver.wait()


def test_a_copy_under_the_name_of_another_step_is_not_that_step(tmp_path: Path) -> None:
    save_all(Saver(tmp_path, keep=0), 5, 10)
    folder = tmp_path / "checkpoints"
    shutil.copytree(folder / "step-0000005", folder / "step-0000020")
    found = newest_verified(tmp_path)
    assert found is not None and found[0].name == "step-0000010"
    assert found[2] == [
        f"checkpoint step-0000020 is not used: {folder / 'step-0000020'} holds step 5, not the one in its "
        "name; rename or remove it"
    ]


def test_a_checkpoint_of_a_later_version_is_not_passed_over(tmp_path: Path) -> None:
    """It would be quarantined, and its steps trained again."""
    save_all(Saver(tmp_path, keep=0), 5, 10)
    path = tmp_path / "checkpoints" / "step-0000010" / manifest.FILE_NAME
    later = json.loads(path.read_text()) | {"schema_version": manifest.SCHEMA_VERSION + 1, "seals": []}
    path.write_text(json.dumps(later))
    with pytest.raises(UserError, match=r"step-0000010 has manifest version .* use the version of Onnuri"):
        newest_verified(tmp_path)
    path.write_text("[]")
    found = newest_verified(tmp_path)
    assert found is not None and found[0].name == "step-0000005"


def test_a_folder_in_the_place_of_latest_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "latest" / "mine").mkdir(parents=True)
    save_all(Saver(tmp_path, keep=0), 5)
    assert (tmp_path / "checkpoints" / "latest").read_text() == "step-0000005\n"
    assert (tmp_path / "checkpoints" / "latest.unused-0" / "mine").is_dir()
