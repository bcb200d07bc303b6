"""The card of a real run: every number in it has a source, and what changes afterwards is named."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.export.card import wording
from onnuri.export.card.config import CardConfig, Statements
from onnuri.export.card.facts import gather
from onnuri.export.card.write import card, problems
from onnuri.export.config import ExportConfig
from onnuri.export.huggingface import export
from onnuri.ledger.config import VerifyConfig
from onnuri.ledger.verify import verify
from onnuri.run.chain import read
from onnuri.run.checkpoints import list_checkpoints
from tests.conftest import run_command
from tests.export.card.made_model import numbers, task, write_evaluation

CONTAMINATED = {"items": 12, "value_without": 0.5402, "items_without": 988}
IN_WORDS = {"1e26", "6", "95"}
"""The threshold of the law, FLOPs per weight and token, the percentage of an interval."""


@pytest.fixture(scope="module")
def exported(undisturbed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "model"
    export(ExportConfig(checkpoint=str(undisturbed), output=str(folder)))
    return folder


@pytest.fixture
def model(exported: Path, tmp_path: Path) -> Path:
    folder = shutil.copytree(exported, tmp_path / "model")
    tiers = {"A": {"value": 0.8123, "low": 0.78, "high": 0.84, "chance": 0.5, "controls": {"bigram": 0.66}}}
    kopairs = task(0.7, title={"en": "KoPairs"}, tiers=tiers)
    write_evaluation(folder, kobest_copa=task(0.551, contamination=CONTAMINATED), kopairs=kopairs)
    return folder


def without_a_source(text: str, known: Iterable[float]) -> set[str]:
    """Numbers in the prose and tables of a card that no known number is written as."""
    text = re.sub(r"```.*?```", "", text.split("---", 2)[2], flags=re.S)
    text = re.sub(r"\b[0-9a-f]{12,}\b|onnuri \d+\.\d+\.\d+", "", text)
    written = set(re.findall(r"(?<![\w.,/-])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w-])", text))
    forms = {f"{n:{form}}" for n in known for form in ("", ",", ".2f", ".4f", ".4g", ".3e", ".1e")}
    return {each.rstrip(",") for each in written} - forms - IN_WORDS


def test_every_number_has_a_source(model: Path, undisturbed: Path) -> None:
    card(CardConfig(model=str(model), watts=100))
    lines = read(undisturbed)
    last = next(line for line in reversed(lines) if line["event"] == "step")
    newest = manifest.read(list_checkpoints(undisturbed)[0], "checkpoint")
    head = next(line for line in lines if line["hash"] == newest.counts["ledger"])
    seconds = head["time"] - lines[0]["time"]
    tokens = json.loads((undisturbed / "data" / "manifest.json").read_text())["counts"]
    counts = json.loads((model / "manifest.json").read_text())["counts"]
    assert (head["event"], head["step"]) == ("sources", last["step"])
    assert sum(head["tokens"].values()) == last["tokens"]
    derived = [
        *(head["tokens"].get(each["name"], 0) / each["train_tokens"] for each in tokens["sources"]),
        last["tokens"] / tokens["train"]["tokens"],
        last["flops"] / 1e26,
        seconds / 3600,
        2 * seconds / 3600,
        100 * 2 * seconds / 3.6e6,
        100,  # watts
    ]
    files = [json.loads((model / "evaluation.json").read_text()), counts, tokens, lines]
    files.append(json.loads((undisturbed / "run.json").read_text()))
    processor = lines[0]["environment"]["processor"]  # a name, with numbers of its own
    text = (model / "README.md").read_text().replace(processor, "processor")
    known = [*derived, *(number for file in files for number in numbers(file))]
    assert without_a_source(text, known) == set()
    assert "| KoPairs, tier A | accuracy_bytes | 0.8123 | 0.7800 to 0.8400 | 0.5000 |" in text
    planted = text.replace("12 of 12", "12 of 12, 4,711 of them twice").replace("0.5510", "0.5511")
    assert without_a_source(planted, known) == {"4,711", "0.5511"}


def test_the_parser_of_the_hub(model: Path, tmp_path: Path) -> None:
    from huggingface_hub import ModelCard

    arithmetic = {"accuracy": {"value": 0.0121, "low": 0.01, "high": 0.02}}
    gold = {"bits_per_byte": {"value": 0.91}}
    write_evaluation(
        model,
        gsm8k=task(0, metric="accuracy", metrics=arithmetic, title={"en": "GSM8K"}),
        mmlu_pro=task(0, metric="bits_per_byte", metrics=gold, title={"en": "MMLU-Pro"}),
        kobest_copa=task(0.551, contamination=CONTAMINATED),
    )
    words = {"provider": "Some Lab", "contact": "a@b.kr", "licence": "Apache-2.0"}
    card(CardConfig(model=str(model), **words))
    found = ModelCard.load(model / "README.md")
    assert found.data.license == "apache-2.0"
    results = {each.dataset_name: each for each in found.data.eval_results}
    assert results["GSM8K"].metric_value == 0.0121
    assert results["KoBEST COPA"].dataset_args["contamination"].startswith("12 of 1,000 items found")
    assert results["text given to `onnuri evaluate`, ko"].metric_value == 3.123456
    names = [path.name for path in (model / ".eval_results").iterdir()]
    assert names == ["gsm8k.yaml"], "bits per byte of answers is no score of a benchmark"
    (entry,) = yaml.safe_load((model / ".eval_results" / "gsm8k.yaml").read_text())
    assert (entry["dataset"], entry["value"]) == ({"id": "openai/gsm8k", "task_id": "gsm8k"}, 0.0121)
    assert "contamination: not checked" in entry["notes"]
    write_evaluation(model, kobest_copa=task(0.6))
    card(CardConfig(model=str(model), **words))
    assert not list((model / ".eval_results").iterdir()), "a result that is no more goes"


def test_another_licence(model: Path) -> None:
    card(CardConfig(model=str(model), licence="LicenseRef-Ours"))
    header = yaml.safe_load((model / "README.md").read_text().split("---")[1])
    assert (header["license"], header["license_name"]) == ("other", "LicenseRef-Ours")


def test_writing_it_again_does_nothing(model: Path, terminal: pytest.CaptureFixture[str]) -> None:
    config = CardConfig(model=str(model))
    assert "README.md" in card(config)
    before = {path: path.stat().st_mtime_ns for path in model.rglob("*")}
    assert card(config) == []
    assert {path: path.stat().st_mtime_ns for path in model.rglob("*")} == before
    assert "the card is up to date" in terminal.readouterr().out
    assert verify(VerifyConfig(run=str(model))) == []
    (model / "model.sig").write_text("{}")
    card(CardConfig(model=str(model), provider="Some Lab"))
    assert f"{model / 'model.sig'} does not cover this card: sign again" in terminal.readouterr().out


def test_equal_facts_give_equal_bytes(model: Path, tmp_path: Path) -> None:
    other = shutil.copytree(model, tmp_path / "elsewhere" / "model")
    for folder in (model, other):
        card(CardConfig(model=str(folder)))
    for name in ("README.md", "eu_training_summary.md", "sbom.spdx.json", "sbom.cdx.json", "card.json"):
        assert (model / name).read_bytes() == (other / name).read_bytes(), name


def test_what_changed_afterwards_is_named(model: Path) -> None:
    def found() -> list[str]:
        return verify(VerifyConfig(run=str(model)))

    card(CardConfig(model=str(model)))
    path = model / "evaluation.json"
    path.write_text(path.read_text().replace("0.551", "0.951"))
    assert found() == [f"{path} is not the one that the card was written from; run `onnuri export card`"]
    card(CardConfig(model=str(model)))
    assert found() == []
    readme = model / "README.md"
    written = readme.read_text()
    readme.write_text(written.replace("0.9510", "0.9910"))
    assert found() == [f"{readme} is not as `onnuri export card` wrote it"]
    with pytest.raises(UserError, match=r"README.md was changed by hand; put the words into statements="):
        card(CardConfig(model=str(model)))
    readme.unlink()
    assert found() == [f"{readme} is missing, though card.json lists it; run `onnuri export card`"]
    card(CardConfig(model=str(model)))
    assert (found(), readme.read_text()) == ([], written)


def test_a_crash_between_two_files_leaves_nothing_to_repair(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card(CardConfig(model=str(model)))
    write_evaluation(model, kobest_copa=task(0.6))

    def crash(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("onnuri.base.manifest.write_json", crash)
        with pytest.raises(UserError, match="No space left on device"):
            card(CardConfig(model=str(model)))
    assert "0.6000" in (model / "README.md").read_text()
    card(CardConfig(model=str(model)))
    assert list(problems(model)) == []


def test_only_the_evaluation_of_this_model(model: Path) -> None:
    path = model / "evaluation.json"
    result = json.loads(path.read_text())
    path.write_text(json.dumps(result | {"request": {"model": "0" * 64}}))
    with pytest.raises(UserError, match=r"evaluation.json is of another model than .* holds; run"):
        card(CardConfig(model=str(model)))
    path.write_text("{}")
    with pytest.raises(UserError, match=r"evaluation.json is no evaluation; move it away, or run"):
        card(CardConfig(model=str(model)))
    broken = task(0.5)
    del broken["metrics"]
    write_evaluation(model, kobest_copa=broken)
    with pytest.raises(UserError, match=r"lacks 'metrics': run `onnuri evaluate` of this version"):
        card(CardConfig(model=str(model)))


def test_the_identity_of_the_model_stays(model: Path, exported: Path) -> None:
    card(CardConfig(model=str(model)))
    assert (model / "manifest.json").read_bytes() == (exported / "manifest.json").read_bytes()


def test_the_provider_fills_in_what_nobody_else_knows(
    model: Path, tmp_path: Path, terminal: pytest.CaptureFixture[str]
) -> None:
    statements = tmp_path / "statements.yaml"
    statements.write_text(
        "provider: Some Lab\nintended_use: research on Korean | English\nlimits: few tokens\n"
    )
    card(CardConfig(model=str(model), statements=str(statements), provider="Another Lab"))
    text = (model / "README.md").read_text()
    assert "| provider | Another Lab |" in text, "the command wins"
    assert "| intended use | research on Korean \\| English |" in text
    assert "| contact | To be completed by the provider: e-mail or URL. |" in text
    summary = (model / "eu_training_summary.md").read_text()
    assert "- Name: Another Lab\n- Contact: To be completed by the provider" in summary
    shown = terminal.readouterr().out
    assert "left to be completed: name, contact," in shown and "provider" not in shown.splitlines()[-1]
    statements.write_text("intended_us: x\n")
    with pytest.raises(UserError, match=r"unknown key 'intended_us' .*did you mean 'intended_use'"):
        card(CardConfig(model=str(model), statements=str(statements)))


def test_the_command(model: Path) -> None:
    result = run_command("export", "card", f"model={model}", "licence=MIT")
    assert "wrote README.md, eu_training_summary.md, sbom.spdx.json, sbom.cdx.json" in result.stdout
    for words, message in (
        ([f"model={model}", "watts=-1"], "watts=-1.0 must be at least 0"),
        (["model=/no/such"], "model folder /no/such does not exist"),
        ([f"model={model}", "statements=/no/such.yaml"], "statements=/no/such.yaml cannot be read"),
    ):
        result = run_command("export", "card", *words, check=False)
        assert (result.returncode, message in result.stderr) == (2, True), result.stderr


def test_a_model_of_an_earlier_version(model: Path) -> None:
    for name in ("training.json", "card.json"):
        (model / name).unlink()
    (model / "evaluation.json").unlink()
    old = json.loads((model / "manifest.json").read_text())
    manifest.seal(model, "model", old["settings"], old["inputs"], old["counts"])
    assert verify(VerifyConfig(run=str(model))) == []
    with pytest.raises(UserError, match="was exported by an earlier version"):
        card(CardConfig(model=str(model)))


def test_a_run_without_a_usable_ledger(
    undisturbed: Path, tmp_path: Path, terminal: pytest.CaptureFixture[str]
) -> None:
    run_dir = shutil.copytree(undisturbed, tmp_path / "run")
    lines = (run_dir / "ledger.jsonl").read_text()
    (run_dir / "ledger.jsonl").write_text(lines.replace('"step":3,', '"step":4,', 1))
    export(ExportConfig(checkpoint=str(run_dir), output=str(tmp_path / "model")))
    assert "the model card says nothing of hardware and time" in terminal.readouterr().out
    text = (tmp_path / "model" / "README.md").read_text()
    assert "| hardware and time | not recorded: the run has no ledger |" in text
    assert "| energy | not measured: the run has no ledger that gives its time |" in text


def test_a_run_with_steps_that_are_not_on_record(undisturbed: Path, tmp_path: Path) -> None:
    """A ledger that began again, and steps that a crash undid: what the words then are."""
    export(ExportConfig(checkpoint=str(undisturbed), output=str(tmp_path / "model")))
    facts = gather(tmp_path / "model", "model", Statements(), watts=100)
    facts.segments[0]["step"] = 1500
    changed = replace(facts, flops=10**21, flops_run=2 * 10**21, steps_run=2000)
    assert wording.hardware(changed).endswith("in 1 start(s); the first 1,500 steps are not on record")
    assert wording.energy(changed).endswith("the first 1,500 steps are not on record")
    assert wording.compute(changed) == (
        "1.000e+21 FLOPs behind the weights, 2.000e+21 in the 2,000 steps that were run; 2.0e-05 of 1e26"
    )


def test_what_the_sources_say(model: Path, sample: Callable[[str], str]) -> None:
    card(CardConfig(model=str(model)))
    text, summary = ((model / name).read_text() for name in ("README.md", "eu_training_summary.md"))
    assert "| korean-rnd-regs | ko | Apache-2.0 | open-licence | public | not stated |" in text
    counts = json.loads(Path(sample("corpus"), "manifest.json").read_text())["counts"]
    emails = counts["personal_data"]["email"]
    assert emails and f"searched for by rules and masked: email {emails:,}" in text
    assert "No list of opt-outs was applied." in text
    assert "Benchmark items were not searched for in the training data." in text
    public = summary[summary.index("### 2.1") : summary.index("### 2.2")]
    assert public.count("\n| ") == 2 + len(counts["sources"])
    assert "less than 1 billion tokens" in summary
