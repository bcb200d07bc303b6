"""What a Hydra user types at a command, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from onnuri.base.errors import UserError
from onnuri.config.start_time import start_time
from tests.conftest import SCRIPTS


def onnuri(
    folder: Path, *words: str, ok: bool = True, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder; checks that it ended well, or in one line and with status 2."""
    command = [sys.executable, "-m", "onnuri.cli", *words]
    environment = {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ok:
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stdout + done.stderr
        assert done.stderr.startswith("error: ")
    return done


def composed(folder: Path, *words: str, flags: tuple[str, ...] = ("--cfg", "job")) -> dict[str, Any]:
    """The config of `onnuri pretrain` that `--cfg` prints."""
    return yaml.safe_load(onnuri(folder, "pretrain", *words, *flags).stdout)


@pytest.fixture(scope="module")
def presets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of presets outside of the checkout."""
    folder = tmp_path_factory.mktemp("presets")
    files = {
        "experiment/long/a.yaml": "# @package _global_\noptim: {lr: 1e-3}\n",
        "model/mine.yaml": "hidden_size: 128\n",
        "model/wrong.yaml": "hidden_sise: 128\n",
        "extra/seed.yaml": "# @package _global_\ntrain: {seed: 5}\n",
        "mine.yaml": "defaults: [pretrain, override model: mine, _self_]\nrun_dir: runs/mine\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_cfg(tmp_path: Path) -> None:
    words = ["data=x", "run_dir=${data.path}/${optim.lr}", "data.mixture={한겨레:2,a-b:1}"]
    whole = composed(tmp_path, *words)
    assert whole["run_dir"] == "${data.path}/${optim.lr}"
    for flags in (["-c", "job"], ["--cfg"]):
        assert composed(tmp_path, *flags, *words, flags=()) == whole
    resolved = composed(tmp_path, *words, flags=("--cfg", "job", "--resolve"))
    assert resolved["run_dir"] == "x/0.01"
    assert resolved["data"]["mixture"] == {"한겨레": 2.0, "a-b": 1.0}
    assert composed(tmp_path, *words, flags=("-c", "job", "-p", "optim")) == whole["optim"]
    hydra = composed(tmp_path, *words, flags=("--cfg", "hydra"))["hydra"]
    assert hydra["run"]["dir"] == "runs/${now:%Y%m%d-%H%M%S}"
    assert list(tmp_path.iterdir()) == []


def test_presets_of_ones_own(tmp_path: Path, presets: Path) -> None:
    own = ["--config-dir", str(presets)]
    config = composed(tmp_path, *own, "experiment=long/a", "model=mine", "+extra=seed")
    assert (config["optim"]["lr"], config["model"]["hidden_size"], config["train"]["seed"]) == (
        1e-3,
        128,
        5,
    )
    assert composed(tmp_path, *own, "--config-name=mine")["run_dir"] == "runs/mine"
    assert composed(tmp_path, f"hydra.searchpath=[{presets}]", "model=mine")["model"]["hidden_size"] == 128
    said = onnuri(tmp_path, "pretrain", *own, "model=min", ok=False).stderr
    assert "allowed: 100m" in said and "(did you mean 'mine'?)" in said
    said = onnuri(tmp_path, "pretrain", *own, "model=wrong", ok=False).stderr
    assert (
        "model/wrong.yaml: unknown option 'model.hidden_sise' (did you mean 'model.hidden_size'?)" in said
    )


def test_flags_that_show_something(tmp_path: Path) -> None:
    assert "configs" in onnuri(tmp_path, "pretrain", "--info", "searchpath").stdout
    assert "Hydra" in onnuri(tmp_path, "pretrain", "--hydra-help").stdout
    assert onnuri(tmp_path, "pretrain", "--version").stdout.startswith("Hydra 1.3")
    assert "processes" in onnuri(tmp_path, "pretrain", "--info", "config").stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--bogus"], "'--bogus' is no option; options are written key=value"),
        (["--info", "everything"], "invalid choice: 'everything'"),
        (["--resolve"], "--resolve goes with --cfg"),
        (["-m", "--cfg", "job"], "give one of --run, --multirun"),
        (["--config-name", "none"], "Cannot find primary config 'none'"),
        (["--config-name", "/tmp/mine.yaml"], "A file of your own: --config-dir FOLDER --config-name NAME"),
        (["--local_rank=0"], "comes from a launcher that passes ranks as words; start with torchrun"),
        (["--config-dir", "none"], "none' not found"),
        (["train.steps=1,2"], "train.steps=1,2 is a sweep, which needs -m"),
        (
            ["experiment=sample,other"],
            "experiment=other is not known; allowed: chat_grpo, chat_sft, sample",
        ),
        (["experiment=null"], "experiment=null is not known"),
        (["tracker@there=wandb"], "Could not override 'tracker@there'"),
        (["+model=small"], "model appears more than once"),
        (["~optim.lr"], "optim.lr: OptimConfig (DictConfig) does not support deletion"),
        (["hydra.run.die=x"], "unknown option 'hydra.run.die'"),
        (["-m", "optim.lr=interval(0,1)"], "BasicSweeper does not support sweep type"),
        (["hydra/launcher=none"], "Available options in 'hydra/launcher': basic processes"),
        (["hydra.job.chdir=true"], "a run stays in the working directory"),
        (["hydra.searchpath=[none]"], "hydra.searchpath: folder none does not exist"),
        (
            ["run_dir=${oc.env:NONE,???}"],
            "missing option: run_dir=..., as its interpolation gives no value",
        ),
        (["-m", "data.mixture={a:1}", "data.mixture={b:2}"], "data.mixture is set by two words"),
        (["data="], "the name of the tokens folder is empty"),
        (["run_dir=${optim.lrr}"], "run_dir: Interpolation key 'optim.lrr' not found"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: list[str], expected: str) -> None:
    assert expected in onnuri(tmp_path, "pretrain", "data=x", *words, ok=False).stderr
    assert list(tmp_path.iterdir()) == []


def test_deleting_a_group_leaves_its_defaults(tmp_path: Path) -> None:
    assert composed(tmp_path, "~model")["model"]["hidden_size"] == 512


def test_full_error_shows_where_it_came_from(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPTS / "corpus.py"), "recipe=none", "output=x"]
    environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "Traceback" in done.stderr and "in check_choice" in done.stderr


def test_words_become_folders(tmp_path: Path) -> None:
    """Nothing of Hydra's own appears beside what was asked for, until it is asked for."""
    (tmp_path / "글 (1).jsonl").write_text('{"text": "안녕하세요, 시험 문서입니다."}\n', encoding="utf-8")
    words = ["corpus", "recipe=local", "input=글 (1).jsonl", "stages=[normalise]"]
    onnuri(tmp_path, *words, "output=~/보고서(최종)", HOME=str(tmp_path / "home"))
    onnuri(tmp_path, *words, "output=${oc.env:NAME}/b=1", NAME="이름")
    assert {path.name for path in tmp_path.iterdir()} == {"글 (1).jsonl", "home", "이름"}
    assert (tmp_path / "home" / "보고서(최종)" / "manifest.json").is_file()
    assert (tmp_path / "이름" / "b=1" / "manifest.json").is_file()
    onnuri(tmp_path, *words, "output=c", "hydra.run.dir=d")
    recorded = yaml.safe_load((tmp_path / "d" / ".hydra" / "overrides.yaml").read_text())
    assert recorded[-1] == "output=c"


def test_a_sweep_of_one_process_a_job(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "안녕하세요, 시험 문서입니다."}\n', encoding="utf-8")
    words = ["corpus", "-m", "recipe=local", "input=in.jsonl", "stages=[normalise]", "output=가,나 (다)"]
    shown = onnuri(tmp_path, *words, "hydra.sweep.dir=모두").stdout
    assert "job 0: output='가'" in shown and "job 1: output='나 (다)'" in shown
    assert all((tmp_path / name / "manifest.json").is_file() for name in ("가", "나 (다)"))
    assert (tmp_path / "모두" / "multirun.yaml").is_file()
    recorded = yaml.safe_load((tmp_path / "모두" / "1" / ".hydra" / "overrides.yaml").read_text())
    assert "output='나 (다)'" in recorded


def test_ranks_without_torchrun_cannot_agree_on_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    start_time.cache_clear()
    for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="there is none: give run_dir=, or start them"):
        start_time()
