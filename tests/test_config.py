"""Command-line words to typed config: every mistake is one clear line."""

import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from onnuri.base.errors import UserError
from onnuri.config import CONFIG_ROOT, compose, help_text, options, to_dict
from onnuri.config.former_names import rename_preset
from onnuri.config.words import Unparsable, parsed, prepare, quoted
from onnuri.plan.config import PlanConfig
from onnuri.run.run_file import flatten
from onnuri.tokens.config import DataConfig
from onnuri.train.config import PretrainConfig
from onnuri.train.same_run import TABLES
from tests.processes import children_cpu_seconds

SCRIPTS = Path(__file__).parents[1] / "scripts"


@dataclass
class Inner:
    """Inner part."""

    rate: float = 0.5
    """A share."""


@dataclass
class Small:
    """A command's options."""

    output: str = "???"
    """Where to."""
    count: int = 3
    """How many."""
    inner: Inner = field(default_factory=Inner)
    names: list[str] | None = None
    """Some texts."""
    shares: dict[str, float] = field(default_factory=lambda: {"ko": 0.5, "en": 0.5})
    """A table."""


def test_values_reach_the_dataclass() -> None:
    config = compose(Small, ["output=a b/한국어 {x} 'y'*.parquet", "count=7", "inner.rate=1e-3"])
    assert config == Small(output="a b/한국어 {x} 'y'*.parquet", count=7, inner=Inner(rate=1e-3))


@pytest.mark.parametrize(
    "value",
    [
        '말 "안녕" 하고',
        "보고서(최종)",
        r"C:\new",
        r"\n",
        "a=b:[1]{2}",
        "it's",
        "(x",
        "f(x)",
        "1e3",
        "007",
        "true",
        "[a]",
        "{a:1}",
        "glob-*.txt",
    ],
)
def test_text_without_quotes_stays_as_typed(value: str) -> None:
    assert compose(Small, [f"output={value}"]).output == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("'한 줄, 두 줄'", "한 줄, 두 줄"),
        ('"hello"', "hello"),
        (r"가\,나", "가,나"),
        (r"cost \${a}", "cost ${a}"),
        ("${count}/결과", "3/결과"),
        ("'null'", "null"),
        ("", ""),
        ("~/a", "~/a"),  # a text; tests/config/test_paths.py has paths
        ("~", "~"),
        ("'~/a'", "~/a"),
        ("a~", "a~"),
    ],
)
def test_text_as_hydra_has_it(value: str, expected: str) -> None:
    assert compose(Small, [f"output={value}"]).output == expected


@given(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"])))
def test_quoted_text_is_any_text(text: str) -> None:
    assume("${" not in text)  # an interpolation, also in quotes
    word = prepare(f"output={quoted(text)}", {option.name: option for option in options(Small)}, {})
    assert parsed(word.removeprefix("output=")) == text


TEXT = st.text("가나\\'\"()[]{}:=, ~$.%a1-", max_size=8)


@given(
    st.one_of(
        TEXT.map("output={}".format), TEXT.map("names=[{}]".format), TEXT.map("shares={{{}:1}}".format)
    )
)
def test_a_prepared_word_is_prepared(word: str) -> None:
    """The jobs of a sweep get the words that Hydra makes of prepared ones."""
    known = {option.name: option for option in options(Small)}
    with suppress(UserError):
        prepared = prepare(word, known, {}, sweep=True)
        assert prepare(prepared, known, {}, sweep=True) == prepared
        assert parsed(prepared.partition("=")[2]) is not Unparsable


def test_lists_and_tables_need_no_quotes() -> None:
    words = ["names=[가/나 다.json, '쉼표,하나', 1e3, x(1), it's]", "shares={한겨레:2, 'a:b':.5,en:1e-3}"]
    config = compose(Small, ["output=x", *words])
    assert config.names == ["가/나 다.json", "쉼표,하나", "1e3", "x(1)", "it's"]
    assert config.shares == {"한겨레": 2.0, "a:b": 0.5, "en": 0.001}
    assert compose(Small, ["output=x", "names=[]"]).names == []
    assert compose(Small, ["output=x", "names=sort([b,a])"]).names == ["a", "b"]
    assert compose(Small, ["output=x", "names=null"]).names is None
    strange = "shares={'{\"%41}': 1, '\\\\$': 2, 2024: 3}"
    assert compose(Small, ["output=x", strange]).shares == {'{"%41}': 1.0, "\\\\$": 2.0, "2024": 3.0}


def test_a_choice_of_tables_is_a_sweep_of_them() -> None:
    known = {option.name: option for option in options(Small)}
    sweep = prepare("shares={2024:1},{}", known, {}, sweep=True)
    assert prepare("shares=choice({2024:1}, {})", known, {}, sweep=True) == sweep
    with pytest.raises(UserError, match="is a sweep, which needs -m"):
        prepare("shares=choice({2024:1}, {})", known, {})


def test_tables_are_merged_as_hydra_merges_them() -> None:
    assert compose(Small, ["output=x", "shares={ko:1}"]).shares == {"ko": 1.0, "en": 0.5}
    assert compose(Small, ["output=x", "shares={ja:2}"]).shares == {"ko": 0.5, "en": 0.5, "ja": 2.0}
    assert compose(Small, ["output=x", "+shares.ja=2"]).shares == {"ko": 0.5, "en": 0.5, "ja": 2.0}
    assert compose(Small, ["output=x", "inner={rate:0.25}"]).inner.rate == 0.25


def test_an_empty_table_empties_the_one_of_a_preset() -> None:
    assert compose(Small, ["output=x", "shares={}"]).shares == {}
    assert compose(Small, ["output=x", "shares={ }", "shares={ja:2}"]).shares == {"ja": 2.0}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["output=x", "names=a,b"], "must be written as names=[one,two]"),
        (["output=x", "shares=[a]"], "must be written as shares={name:1.5,other:0}"),
        (["output=x", "shares={ko:many}"], "'ko:many' must be a name, a colon and a number"),
        (["output=???"], "missing option: output=..."),
        (["output=null"], "output is a text; for the text null write output="),
        (["output=가, 나"], "is a sweep, which needs -m; for one text write 'output="),
        (["output=choice(a,b)"], "is a sweep, which needs -m"),
        (
            ["output=${cuont}"],
            "output: Interpolation key 'cuont' not found (did you mean 'count'?); for a text",
        ),
        (
            ["output=x", "count=32,000"],
            "count=32,000 is a sweep, which needs -m; one number is written without",
        ),
        (["output=x", "inner.rate=0,5"], "inner.rate=0,5 is a sweep"),
        (["output=x", "count=1.5"], "count=1.5 must be a whole number"),
        (["output=x", "count=true"], "count=true must be a whole number"),
        (["output=x", "count=99999999999999999999"], "must fit in 64 bits"),
        (["output=x", "inner.rate=nan"], "inner.rate=nan must be a finite number"),
        (["output=x", "inner.rate=-inf"], "inner.rate=-inf must be a finite number"),
        (["output=x", "inner.rate=half"], "inner.rate=half must be a number"),
        (["output=x", "+extra=1"], "unknown option 'extra'"),
        (["output=x", "shares.ja=1"], "shares.ja is no entry yet; add it with +shares.ja=..."),
        (["output=x", "~inner.rate"], "inner.rate: Inner (DictConfig) does not support deletion"),
        (["output=x", "shares={en:nan}"], "shares.en=nan must be a finite number"),
        (["output=\udcff"], "not valid UTF-8"),
        (["output=x", "cuont=1"], "unknown option 'cuont' (did you mean 'count'?)"),
        (["output=x", "count=many"], "count=many must be a whole number"),
        ([], "missing option: output=... (Where to.)"),
        (["output=x", "inner=1"], "inner has parts, set one of them: inner.rate"),
        (["--output"], "options are written key=value"),
    ],
)
def test_mistakes_are_one_line(words: list[str], expected: str) -> None:
    with pytest.raises(UserError) as error:
        compose(Small, words)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_whole_number_may_be_written_with_an_exponent() -> None:
    assert compose(Small, ["output=x", "count=1e3"]).count == 1000


def pretrain(*words: str) -> PretrainConfig:
    return compose(PretrainConfig, words, CONFIG_ROOT, "pretrain")


def test_pretrain_groups_experiment_and_overrides() -> None:
    config = pretrain("experiment=sample", "data=some/dir", "engine=zero2", "optim.lr=1e-3")
    assert (config.data.path, config.engine.stage, config.optim.lr) == ("some/dir", 2, 1e-3)
    assert config.model.hidden_size == pretrain("model=sample", "data=x").model.hidden_size


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["data=x", "model=smal"], "did you mean 'small'?"),
        (["data=x", "optim.lrr=1"], "did you mean 'optim.lr'?"),
        (["data=x", "schedule.name=cosin"], "allowed: wsd, cosine, constant (did you mean 'cosine'?)"),
        (["data=x", "engine.stage=5"], "allowed: 0, 1, 2, 3"),
        (["data=x", "train.steps=0"], "must be at least 1"),
        (["data=x", "train.keep_checkpoints=-1"], "must be at least 0"),
        (["data=x", "data.sequence_length=0"], "must be at least 1"),
        (["data=x", "model.num_kv_heads=0"], "must be at least 1"),
        (["data=x", "model.rope_theta=-1"], "model.rope_theta=-1.0 must be above 0"),
        (["data=x", "model.rms_norm_eps=0"], "model.rms_norm_eps=0.0 must be above 0"),
        (["data=x", "engine.micro_batch_size=-1"], "must be at least 0"),
        (["data=x", "model=null"], "model=null is not known"),
        (["data=x", "optim.lr=nan"], "optim.lr=nan must be a finite number"),
        (["data=x", "optim.lr=-inf"], "optim.lr=-inf must be a finite number"),
        (["data=x", "optim.lr=1e999"], "optim.lr=inf must be a finite number"),
        (["data=x", f"train.seed={2**63}"], "must fit in 64 bits"),
        (["data=x", "train.steps=1e30"], "must fit in 64 bits"),
        (["data=x", "train.steps=1e15"], "train.steps=1000000000000000 must be at most"),
        (["data=x", "data.mixture={web:nan}"], "data.mixture.web=nan must be a finite number"),
        (["data=x", "data.mixture={웹:inf}"], "data.mixture.웹=inf must be a finite number"),
        (["data=x", "train.batch_ramp={0:8.5}"], "train.batch_ramp.0=8.5 must be a whole number"),
        (["data=x", "train.batch_ramp=8"], "must be written as train.batch_ramp={0:8,200:16}"),
        (
            ["data=x", "train.batch_ramp={0:8}"],
            "ends with 8, from step 0 on, and train.global_batch_size=32",
        ),
        (["data=x", "data.length_ramp={5:1024}"], "data.length_ramp begins at step 5"),
        (["data=x", "engine.timeout_minutes=1e-9"], "engine.timeout_minutes at least a second"),
        (["data=x", "engine.timeout_minutes=1e300"], "must be at most 10,000,000"),
        (["data=x", "model.hidden_size=1e12"], "one of its sizes is a mistake"),
        (["data=x", "model.num_layers=1e15"], "one of its sizes is a mistake"),
    ],
)
def test_pretrain_mistakes(words: list[str], expected: str) -> None:
    with pytest.raises(UserError) as error:
        pretrain(*words)
    assert expected in str(error.value)


def test_ramps_on_the_command_line_and_in_presets() -> None:
    config = pretrain("data=x", "train.batch_ramp={0:8,100:16,200:3.2e1}")
    assert repr(config.train.batch_ramp) == repr({"0": 8, "100": 16, "200": 32})
    preset = {"train": {"batch_ramp": {0: 8, 200: 32}}}
    assert rename_preset(preset, "own.yaml") == {"train": {"batch_ramp": {"0": 8, "200": 32}}}


def test_whole_numbers_in_other_forms() -> None:
    config = pretrain("data=x", "train.steps=1e3", "train.seed=9223372036854775807", "optim.lr=1e-3")
    assert (config.train.steps, config.train.seed, config.optim.lr) == (1000, 2**63 - 1, 1e-3)


@pytest.mark.parametrize("group", ["model", "data", "optim", "schedule", "engine", "tracker"])
def test_every_group_file_composes(group: str) -> None:
    for file in (CONFIG_ROOT / group).glob("*.yaml"):
        if file.stem.startswith("plan-only-"):  # for scripts/plan.py; tests/plan has the refusal
            continue
        words = [f"{group}={file.stem}", "data.path=x"]
        assert pretrain(*words).data.path == "x"


def test_defaults_are_stated_once() -> None:
    """In the dataclass: the default choices of groups change nothing, so --help tells what is composed.

    The files of clusters are data sheets; h100.yaml says what the dataclass says, and what was measured.
    """
    assert pretrain("data=x") == PretrainConfig(data=DataConfig(path="x"))
    plan = compose(PlanConfig, [], CONFIG_ROOT, "plan")
    assert plan.cluster.efficiency_alone
    plan.cluster.efficiency_alone = 0.0
    assert plan == PlanConfig()


def test_what_make_chat_asks_for() -> None:
    first, second = (
        compose(PretrainConfig, [f"experiment={name}", "data=x"], CONFIG_ROOT, "tune")
        for name in ("chat_sft", "chat_grpo")
    )
    assert (first.objective, first.data.packing, second.objective) == ("sft", "best_fit", "grpo")
    assert sum(first.data.mixture.values()) == pytest.approx(1)
    assert second.train.global_batch_size % second.grpo.group_size == 0


def test_every_pretrain_option_has_a_meaning() -> None:
    text = help_text(PretrainConfig, "description", CONFIG_ROOT, "pretrain")
    for option in options(PretrainConfig):
        assert option.meaning, option.name
        assert f"  {option.name}  <" in text


@pytest.mark.parametrize(
    ("schema", "command"), [(PretrainConfig, "pretrain"), (PretrainConfig, "tune"), (PlanConfig, "plan")]
)
def test_help_shows_the_defaults_that_are_composed(schema: type, command: str) -> None:
    """Those of the command's own file and of its default choices too."""
    lines = help_text(schema, "", CONFIG_ROOT, command).splitlines()
    composed = compose(schema, ["data=x"] if schema is PretrainConfig else [], CONFIG_ROOT, command)
    found = flatten(to_dict(composed), whole=TABLES)
    for option in options(schema):
        (line,) = [each for each in lines if each.startswith(f"  {option.name}  <")]
        shown = line.partition(">  ")[2]
        required = option.default == "???"
        assert shown == ("required" if required else f"default {found[option.name]!r}")


@pytest.mark.parametrize("script", sorted(p.name for p in SCRIPTS.glob("*.py")))
def test_help_is_quick_and_complete(script: str) -> None:
    part = {"challenge.py": ["init"], "tasks.py": ["make"]}  # which do nothing without one
    command = [sys.executable, SCRIPTS / script, *part.get(script, []), "--help"]
    before = children_cpu_seconds()
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Options (key=value" in result.stdout
    assert children_cpu_seconds() - before < 2.0


@pytest.mark.parametrize("script", sorted(p.name for p in SCRIPTS.glob("*.py")))
def test_unknown_option_ends_with_status_2(script: str) -> None:
    result = subprocess.run(
        [sys.executable, SCRIPTS / script, "no_such_option=1"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "no_such_option" in result.stderr


def test_a_truth_value_that_is_none() -> None:
    from onnuri.gpu.config import GpuCheckConfig

    with pytest.raises(UserError, match="rehearse=tru must be true or false"):
        compose(GpuCheckConfig, ["rehearse=tru"])
    assert compose(GpuCheckConfig, ["rehearse=True"]).rehearse
    assert compose(GpuCheckConfig, ["rehearse=1"]).rehearse
