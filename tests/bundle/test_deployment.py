"""The systemd units, Containerfiles and the configuration of nginx in a bundle."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from onnuri.bundle.seal import read_sums
from onnuri.hub.config import HubConfig
from onnuri.serve.config import ServeConfig
from tests.bundle.small import PYTHON, write_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("deployment"))


def served_with(words: list[str]) -> ServeConfig:
    """What `onnuri serve` takes from words that have only texts."""
    assert words[:1] == ["serve"]
    return ServeConfig(**dict(word.split("=", 1) for word in words[1:]))  # type: ignore[arg-type]


def test_the_unit_starts_the_installed_command_and_waits_for_its_answers(bundle: Path) -> None:
    assert "onnuri.service" in read_sums(bundle)
    text = (bundle / "onnuri.service").read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    program, *words = settings["ExecStart"].split()
    assert program == "/opt/onnuri/.venv/bin/onnuri" and words.pop() == "$ONNURI_OPTIONS"
    config = served_with(words)
    assert config.state == settings["WorkingDirectory"] == f"/var/lib/{settings['StateDirectory']}"
    assert int(settings["TimeoutStopSec"]) > config.stop_seconds


@pytest.mark.parametrize("name", ["onnuri.service", "onnuri-hub.service"])
def test_systemd_understands_the_unit(bundle: Path, tmp_path: Path, name: str) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / name
    text = (bundle / name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/onnuri/.venv/bin/onnuri", str(shutil.which("true"))))
    found = subprocess.run([analyze, "verify", str(unit)], check=False, capture_output=True, text=True)
    assert found.returncode == 0 and "Unknown" not in found.stderr, found.stderr


def test_the_image_is_of_this_bundle_and_serves_as_another_user_than_root(bundle: Path) -> None:
    assert "Containerfile" in read_sums(bundle)
    text = (bundle / "Containerfile").read_text(encoding="utf-8")
    steps = dict(re.findall(r"^([A-Z]+) (.*)$", text, re.M))
    assert f"python:{PYTHON}-slim" in steps["ARG"] and "@" not in text
    assert int(steps["USER"].partition(":")[0]) > 0
    config = served_with(json.loads(steps["CMD"]))
    assert config.public and json.loads(steps["ENTRYPOINT"]) == ["onnuri"]


def hub_with(words: list[str]) -> HubConfig:
    """What `onnuri hub` takes."""
    assert words[:1] == ["hub"]
    return HubConfig(**dict(word.split("=", 1) for word in words[1:]))  # type: ignore[arg-type]


def test_the_hub_has_a_unit_and_an_image(bundle: Path) -> None:
    assert {"onnuri-hub.service", "Containerfile.hub", "nginx-hub.conf"} <= set(read_sums(bundle))
    text = (bundle / "onnuri-hub.service").read_text(encoding="utf-8")
    settings = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    program, *words = settings["ExecStart"].split()
    assert program == "/opt/onnuri/.venv/bin/onnuri" and words.pop() == "$ONNURI_HUB_OPTIONS"
    config = hub_with(words)
    assert config.data == settings["WorkingDirectory"] == f"/var/lib/{settings['StateDirectory']}"
    assert int(settings["TimeoutStopSec"]) > config.stop_seconds
    text = (bundle / "Containerfile.hub").read_text(encoding="utf-8")
    steps = dict(re.findall(r"^([A-Z]+) (.*)$", text, re.M))
    assert f"python:{PYTHON}-slim" in steps["ARG"] and "@" not in text
    config = hub_with(json.loads(steps["CMD"]))
    assert (
        config.public and steps["EXPOSE"] == str(config.port) and int(steps["USER"].partition(":")[0]) > 0
    )
    nginx = (bundle / "nginx-hub.conf").read_text(encoding="utf-8")
    assert f"127.0.0.1:{HubConfig(data='x').port};" in nginx
    assert f"alias /var/lib/{settings['StateDirectory']}/contents/;" in nginx
