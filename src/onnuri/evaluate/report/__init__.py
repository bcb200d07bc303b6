"""evaluation.html: one page with a model's scores, how sure they are, and what it got wrong.

Self-contained (no script, no font, no link to anywhere), in Korean and English; a switch hides one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from onnuri.base.errors import UserError, check_choice, system_error
from onnuri.evaluate.report.comparable import check_comparable
from onnuri.evaluate.report.page import page


def write_report(
    path: str | Path,
    results: Sequence[Mapping[str, Any]],
    samples: Sequence[Mapping[str, Any]],
    language: str = "ko",
) -> None:
    """Write the page for results in the form of `evaluation.json`: this model's, then others to compare.

    `samples` are this model's items (`evaluation.samples.jsonl`). The page opens in `language`, ko or en.
    Raises UserError that names the task and the fact if two results come from different protocols.
    """
    check_choice("language", language, ("ko", "en"))
    if not results:
        raise UserError("a report needs a result; evaluate a model first")
    check_comparable(results)
    try:
        Path(path).write_text(page(results, samples, language), encoding="utf-8")
    except OSError as error:
        raise system_error(error, path) from None
