"""A run directory that cannot be written: at the start, and when its disk fails in mid-run.

The disk is a real one, ext4 on a loop device. `remount,abort` does what the kernel does by itself when such
a disk fails: nothing can be written any more, by open files neither, and what was not synced is lost.
"""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import SCRIPTS, TINY_MODEL, our_traceback_lines, pretrain, torchrun_command
from tests.processes import Process, run
from tests.soak import SOAK
from tests.train.nodes import wait_until
from tests.train.test_elastic import losses
from tests.warm import CLONE_NEWNS

Sample = Callable[[str], str]
WORDS = ["train.steps=30", "train.checkpoint_every=5", "engine.precision=fp32"]


class Disk:
    """An ext4 file system in a mount namespace of its own, which ends with the test."""

    def __init__(self, folder: Path) -> None:
        self.image, self.path = folder / "image", folder / "disk"
        self.path.mkdir()
        self.namespace = subprocess.Popen(["unshare", "--mount", "sleep", "infinity"])
        self.namespaces = [(f"/proc/{self.namespace.pid}/ns/mnt", CLONE_NEWNS)]

    def run(self, *command: str) -> None:
        """Run a command where the disk is mounted; CalledProcessError when it fails."""
        inside = ["nsenter", f"--mount={self.namespaces[0][0]}", f"--wd={Path.cwd()}", *command]
        subprocess.run(inside, check=True, capture_output=True, text=True)

    def make(self) -> None:
        """Format and mount."""
        with self.image.open("wb") as stream:
            stream.truncate(256 << 20)
        self.run("mkfs.ext4", "-q", str(self.image))
        self.mount()

    def mount(self, *options: str) -> None:
        """Mount, or mount otherwise."""
        self.run("mount", *(options or ("-o", "loop", str(self.image))), str(self.path))

    def fix(self) -> None:
        """Take the failed disk off and mount it again."""
        self.run("umount", str(self.path))
        self.mount()

    def close(self) -> None:
        """End the namespace, and the mount with it."""
        self.namespace.send_signal(signal.SIGKILL)
        self.namespace.wait()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    try:
        disk = Disk(tmp_path)
        wait_until(lambda: different_mounts(disk.namespace.pid), 10, "a mount namespace")
    except OSError as error:
        pytest.skip(f"no unshare here: {error}")
    except AssertionError:
        pytest.skip("mount namespaces are not permitted here (root is needed)")
    try:
        try:
            disk.make()
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"a loop device cannot be mounted here (root is needed): {error}")
        yield disk
    finally:
        disk.close()


def different_mounts(pid: int) -> bool:
    """True when a process has mounts of its own and is what it was started for."""
    try:
        ours, theirs = (Path(f"/proc/{which}/ns/mnt").readlink() for which in ("self", pid))
        return ours != theirs and b"sleep" in Path(f"/proc/{pid}/cmdline").read_bytes()[:5]
    except OSError:
        return False


def the_error(said: str) -> str:
    """The one line that a person is meant to read."""
    errors = [line for line in said.splitlines() if line.startswith("error")]
    assert len(errors) == 1, said
    assert our_traceback_lines(said) == [], said
    return errors[0]


def test_a_folder_that_cannot_be_written(disk: Disk, sample: Sample) -> None:
    run_dir = disk.path / "run"
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, *WORDS]
    disk.mount("-o", "remount,ro")
    command = torchrun_command(2, SCRIPTS / "pretrain.py", *words)
    result = run(command, check=False, namespaces=disk.namespaces)
    assert result.returncode != 0
    assert f"cannot write to run_dir={run_dir}: Read-only file system" in the_error(result.stderr)


@pytest.mark.parametrize("checkpoint_every", [5, *[1000] * SOAK])
def test_a_disk_that_fails_in_mid_run(
    checkpoint_every: int, disk: Disk, sample: Sample, tmp_path: Path
) -> None:
    run_dir, view = disk.path / "run", Path(f"/proc/{disk.namespace.pid}/root{disk.path / 'run'}")
    words = [f"data={sample('tokens')}", f"run_dir={run_dir}", *TINY_MODEL, *WORDS]
    words += [f"train.checkpoint_every={checkpoint_every}"]
    command = torchrun_command(2, SCRIPTS / "pretrain.py", *words)
    said = tmp_path / "said"
    with said.open("wb") as stream:
        process = Process(command, stream, stream, namespaces=disk.namespaces)
        wait_until(lambda: max(losses(view), default=0) >= 12, 240, "step 12")
        disk.mount("-o", "remount,abort")
        assert process.wait(timeout=240) != 0
    error = the_error(said.read_text())
    assert str(run_dir) in error
    assert "Read-only file system" in error
    steps = sorted(int(folder.name[5:]) for folder in (view / "checkpoints").glob("step-???????"))
    last = f"{run_dir}/checkpoints/step-{steps[-1]:07d}" if steps else "none"
    assert f"; last good one: {last}" in error or f"; last good checkpoint: {last}" in error
    assert bool(steps) == (checkpoint_every == 5)

    disk.fix()
    again = run(command, namespaces=disk.namespaces)
    assert (f"resumes after step {steps[-1]}:" if steps else "starts:") in again.stdout
    whole = tmp_path / "whole"
    pretrain(2, sample, whole, *WORDS, f"train.checkpoint_every={checkpoint_every}")
    assert losses(view) == losses(whole), "bit for bit"
    assert sorted(losses(whole)) == list(range(1, 31))
    for name in ("shard-00000.safetensors", "shard-00001.safetensors"):
        found, expected = (each / "checkpoints/step-0000030" / name for each in (view, whole))
        assert found.read_bytes() == expected.read_bytes()
