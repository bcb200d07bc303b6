"""A run and its checkpoints by every name that people give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.run.locate import Located, locate, run_directory


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two checkpoints, one of them a link to another disk."""
    run = tmp_path / "run"
    (tmp_path / "archive" / "step-0000002").mkdir(parents=True)
    (run / "checkpoints" / "step-0000004").mkdir(parents=True)
    (run / "checkpoints" / "step-0000002").symlink_to(tmp_path / "archive" / "step-0000002")
    (run / "checkpoints" / "latest").write_text("step-0000004\n")
    (run / "run.json").write_text("{}")
    return run


def test_names_of_a_run_and_of_a_checkpoint(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = run / "checkpoints"
    first, second = checkpoints / "step-0000002", checkpoints / "step-0000004"
    for name, checkpoint in ((run, None), (checkpoints, None), (first, first), (second, second)):
        assert locate(str(name)) == Located(run, checkpoint)
        assert locate(f"{name}/") == Located(run, checkpoint)
        link, other = run.parent / "a link", run.parent / "another"
        link.symlink_to(name)
        other.symlink_to("a link")
        assert locate(str(link)) == Located(link if checkpoint is None and name == run else run, checkpoint)
        assert locate(str(other)).run_dir.resolve() == run and locate(str(other)).checkpoint == checkpoint
        link.unlink()
        other.unlink()
    assert locate(str(checkpoints / "latest")) == Located(run, second)
    (run.parent / "newest").symlink_to(checkpoints / "latest")
    assert locate(str(run.parent / "newest")) == Located(run, second)
    monkeypatch.chdir(checkpoints)
    for name in ("step-0000004", "latest", "../checkpoints/step-0000004"):
        assert locate(name) == Located(run, second)
    assert locate(".") == locate("..") == Located(run, None)


def test_what_is_no_run(run: Path) -> None:
    latest = run / "checkpoints" / "latest"
    cases = {
        "": "is empty",
        str(run / "checkpoints" / "step-0000009"): "does not exist",
        str(run.parent / "archive" / "step-0000002"): "neither a run directory nor a checkpoint",
        str(run.parent): "neither a run directory nor a checkpoint",
    }
    for name, message in cases.items():
        with pytest.raises(UserError, match=message):
            locate(name)
    assert run_directory("/no/such") == Path("/no/such")
    (run.parent / "loop").symlink_to("loop")
    for name in (str(run.parent / "loop"), "x" * 5000):
        with pytest.raises(UserError):
            locate(name)
    for content in ("../../archive/step-0000002", "", "step-0000009"):
        latest.write_text(content)
        with pytest.raises(UserError, match="names no checkpoint beside it"):
            locate(str(latest))
