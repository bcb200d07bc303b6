"""Headless Chromium for the tests of the chat page, with what Playwright drives it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: make test-page installs it"
)

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# No sandbox inside containers; nothing of the browser's own goes to a network.
ARGUMENTS = [
    *[
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
    ],
    *["--disable-component-update", "--disable-sync"],
]
AXE = [
    Path(folder) / "node_modules/axe-core/axe.min.js"
    for folder in os.environ.get("PYTHONPATH", "").split(":")
]
MESSAGE = "#field"
DONE = ".answer:not(.streaming)"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of its own."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium), nor does CHROMIUM name it")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def ask(page: Any, text: str, answers: int = 1) -> None:
    """Send a message and wait until so many answers are complete on the page."""
    page.fill(MESSAGE, text)
    page.press(MESSAGE, "Enter")
    page.locator(DONE).nth(answers - 1).wait_for()
    page.wait_for_selector("#stop", state="hidden")


def answers(page: Any) -> list[str]:
    """The text of every answer on the page."""
    return list(page.locator(".answer .body").all_inner_texts())


def shows(page: Any, text: str, within: str = "#turns") -> None:
    """Wait until the conversation shows a text."""
    page.locator(within).get_by_text(text).first.wait_for()


def serious(page: Any) -> list[str]:
    """What axe-core finds on the page as it is, of serious and critical weight."""
    script = next((path for path in AXE if path.is_file()), None)
    if script is None:
        pytest.skip("axe-core is not installed: make test-page installs it")
    page.evaluate(script.read_text(encoding="utf-8"))
    found = page.evaluate(
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [
        f"{each['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
