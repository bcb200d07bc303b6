"""Recipes: their keys, types, interpolations and mistakes."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path

import pytest

from onnuri.base.errors import UserError
from onnuri.config.mapping import from_mapping
from onnuri.corpus import recipe
from onnuri.corpus.source import Source
from onnuri.corpus.stages.table import STAGES
from tests.conftest import SCRIPTS

SOURCE = "sources: [{name: a, input: x, unverified: true}]"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sources: [{name: a, input: '${stages}/x', unverified: true}]", "'stages' not found"),
        ("sources: [{name: a, input: '${inptu}/x'}]", "source 'a' .*own.yaml: input: .*mean 'input'"),
        ("sources: [{name: a, input: '${', unverified: true}]", "for a text with"),
        ("sources: [{name: a, input: '${oc.env:NO_SUCH}', unverified: true}]", "'NO_SUCH' not found"),
        ("sources: [{name: a, input: x, unverified: true, encoding: rot13}]", "is not known"),
        (
            "sources: [{name: a, input: x, unverified: true, weight: 2}]",
            "source 'a' of recipe .*: weight never had an effect .* data.mixture",
        ),
        (
            "sources: [{name: a, input: x, unverified: true, bad_characters: .nan}]",
            "bad_characters must be",
        ),
        (
            "sources: [{name: a, input: x, unverified: true, lang: no}]",
            "lang must be of type str, found False",
        ),
        ("sources: [{name: a, input: x, unverified: true, columns: {text: 1}}]", "columns must be of type"),
        (
            "sources: [{name: a, input: x, unverified: true, files: x}]",
            "files goes with package, not with inp",
        ),
        ("sources: [{name: a, input: x, unverified: true, python: topics}]", "found input and python"),
        ("sources: [{input: x, unverified: true}]", "source '1' .*name is missing"),
        ("sources: [3]", "must be a mapping, found 3"),
        (f"heldout_shar: 1\n{SOURCE}", "unknown key 'heldout_shar'.*mean 'heldout_share'"),
        (f"max_document_bytes: 1.5\n{SOURCE}", "max_document_bytes must be of type int, found 1.5"),
        (f"stages: pii\n{SOURCE}", "stages must be of type list"),
        (f"stages: [{{filter: {{ko: {{word_length: 3}}}}}}]\n{SOURCE}", "stage filter: .* like"),
        (f"stages: [{{filter: {{ko: {{min_words: .nan}}}}}}]\n{SOURCE}", "stage filter: .* like"),
        (f"stages: [{{filter: {{ko: {{top_ngrams: [[2]]}}}}}}]\n{SOURCE}", "stage filter: .* like"),
        (
            f"stages: [{{decontaminate: {{benchmarks: [x], action: cutt}}}}]\n{SOURCE}",
            "did you mean 'cut'",
        ),
    ],
)
def test_values_of_a_recipe_are_checked(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(content)
    options = {"input": "", "stages": ["filter", "decontaminate"], "benchmarks": ["x"]}
    with pytest.raises(UserError, match=message) as caught:
        recipe.load(str(tmp_path / "own.yaml"), options)
    assert "\n" not in str(caught.value)


def test_an_integer_is_a_float_where_a_float_is_asked_for() -> None:
    @dataclass
    class Options:
        share: float = 0.5
        number: int = 1

    made = from_mapping(Options, {"share": 1}, "stage own", {})
    assert repr(made.share) == "1.0"
    for wrong in ({"share": True}, {"share": "1"}, {"number": 1.0}, {"share": 2**53 + 1}):
        with pytest.raises(UserError, match=r"stage own: .* must be of type"):
            from_mapping(Options, wrong, "stage own", {})


def test_what_a_recipe_may_contain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAW", "CC0-1.0")
    (tmp_path / "own.yaml").write_text(
        r"""
heldout_share: 0
sources:
  - {name: a, input: "${input}/x", license: "${oc.env:LAW}", legal_basis: contract,
     url: "\\${id}", bad_characters: 0}
  - {name: b, input: "${input}", license: MIT, legal_basis: contract, collected_at: 2026-3-1 10:00:00}
stages: [{dedup: }, {pii: {kinds: [phone]}}, {filter: {ko: {min_words: 5.5, word_length: [2, 9]}}}]
"""
    )
    plan = recipe.load(str(tmp_path / "own.yaml"), {"input": "s3://a${b}/", "quality_model": ""})
    first, second = plan.sources
    assert first.input == "s3://a${b}/x", "one slash, and no interpolation of what the command line says"
    assert (first.license, first.url, second.collected_at) == ("CC0-1.0", "${id}", "2026-03-01T10:00:00")
    assert json.dumps(plan.content()["sources"][0]["bad_characters"]) == "0", "as written, for the hash"
    assert plan.content()["stages"] == [
        {"filter": {"ko": {"min_words": 5.5, "word_length": [2, 9]}}},
        {"pii": {"kinds": ["phone"]}},
        {"dedup": {}},
    ]


def test_docs_list_every_key() -> None:
    docs = (SCRIPTS.parent / "docs" / "corpus.md").read_text()
    listed = docs[docs.index("### Keys of a recipe") : docs.index("## Stages")]
    for schema in (recipe.RecipeFile, Source, *(stage.options for stage in STAGES.values())):
        for each in fields(schema):
            assert f"`{each.name}`" in listed, f"{schema.__name__}.{each.name}"
