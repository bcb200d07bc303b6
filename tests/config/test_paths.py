"""`~` is the home directory in every option that is a path, wherever its value comes from."""

from __future__ import annotations

import dataclasses
import importlib

import pytest
from omegaconf import OmegaConf

from onnuri.base.errors import UserError
from onnuri.base.location import PACKAGE
from onnuri.config import CONFIG_ROOT, compose, options
from onnuri.config.mapping import from_mapping
from onnuri.config.paths import path_option
from onnuri.corpus.config import CorpusConfig
from onnuri.corpus.source import Source
from onnuri.corpus.stages.table import STAGES
from onnuri.generate.config import GenerateConfig
from onnuri.train.config import PretrainConfig


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/그 사람")
    monkeypatch.setenv("HERE", "~/b")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("~", "/home/그 사람"),
        ("~/a b", "/home/그 사람/a b"),
        ("'~/a b'", "/home/그 사람/a b"),
        ('"~/가"', "/home/그 사람/가"),
        ("${oc.env:HERE}/c", "/home/그 사람/b/c"),
        ("'~/${optim.name}'", "/home/그 사람/muon"),
        (r"~/\${x", "/home/그 사람/${x"),
        ("./~/a", "./~/a"),
        ("a~/b", "a~/b"),
        ("'runs/a b'", "runs/a b"),
    ],
)
def test_a_path_of_the_command_line(word: str, expected: str) -> None:
    config = compose(PretrainConfig, ["data=x", f"run_dir={word}"], CONFIG_ROOT, "pretrain")
    assert config.run_dir == expected


def test_lists_and_what_is_no_path() -> None:
    config = compose(CorpusConfig, ["recipe=~/r.yaml", "output=o", "against=[~/a,'~/b c',d]"])
    assert config.against == ["/home/그 사람/a", "/home/그 사람/b c", "d"]
    assert config.recipe == "/home/그 사람/r.yaml"
    assert compose(GenerateConfig, ["model=~/m", "prompt=~/m"]).prompt == "~/m"


def test_a_user_without_a_home_is_one_line() -> None:
    with pytest.raises(
        UserError, match=r"output=~\$x/a: there is no home directory ~\$x; for that very name"
    ):
        compose(CorpusConfig, ["recipe=r", "output=~$x/a"])


def test_paths_of_a_recipe() -> None:
    written = {"name": "a", "input": "~/in", "unverified": True}
    assert from_mapping(Source, written, "source a", {}).input == "/home/그 사람/in"
    context = {"input": "${oc.env:HERE}"}
    assert (
        from_mapping(Source, written | {"input": "${oc.env:HERE}/*"}, "a", context).input
        == "/home/그 사람/b/*"
    )
    stage = from_mapping(STAGES["dedup"].options, {"against": ["~/a", "b"]}, "dedup", {})
    assert stage.against == ["/home/그 사람/a", "b"]
    with pytest.raises(UserError, match="source a: input=~no_such_user/x: there is no home"):
        from_mapping(Source, written | {"input": "~no_such_user/x"}, "source a", {})


NAMES = [
    "against",
    "benchmarks",
    "checkpoint",
    "data",
    "dataset",
    "good",
    "input",
    "key",
    "model",
    "output",
    "path",
    "prompts",
    "public_key",
    "quality_model",
    "random",
    "recipe",
    "run",
    "run_dir",
    "tokenizer",
    "tokenizers",
]


def test_every_option_with_the_name_of_a_path_is_one() -> None:
    found = []
    for file in PACKAGE.rglob("config.py"):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        module = importlib.import_module(".".join(("onnuri", *parts)))
        schemas = [each for each in vars(module).values() if dataclasses.is_dataclass(each)]
        for option in (option for schema in schemas for option in options(schema)):
            if option.name.rpartition(".")[2] in NAMES:
                assert option.is_path, (module.__name__, option)
                found.append(option)
    assert len(found) > 30


def test_a_path_keeps_its_default() -> None:
    @dataclasses.dataclass
    class Paths:
        one: str = path_option("a")
        many: list[str] = path_option(default_factory=lambda: ["b"])

    assert OmegaConf.structured(Paths()) == {"one": "a", "many": ["b"]}
