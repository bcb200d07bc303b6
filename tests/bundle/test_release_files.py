"""Files that describe the project to others."""

from __future__ import annotations

import re

import pytest
import yaml

from onnuri import __version__
from tests.conftest import REPOSITORY

PAGES = ("CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md", "RELEASING.md", "docs/offline.md")


def test_the_citation_has_what_the_format_requires_and_this_version() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["version"] == __version__


def test_the_issue_forms_ask_for_the_command_and_the_version() -> None:
    folder = REPOSITORY / ".github" / "ISSUE_TEMPLATE"
    for name, wanted in (("bug", {"command", "version", "environment"}), ("feature", {"version"})):
        form = yaml.safe_load((folder / f"{name}.yml").read_text(encoding="utf-8"))
        assert {"name", "description", "body"} <= set(form)
        required = {
            field.get("id") for field in form["body"] if field.get("validations", {}).get("required")
        }
        assert wanted <= required


@pytest.mark.parametrize("page", PAGES)
def test_links_and_make_targets_exist(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.M))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.M)) <= targets
    for link in re.findall(r"\]\(([^)#:]+)", text):
        assert ((REPOSITORY / page).parent / link).exists(), link
