"""The notebook of the docs runs from its first cell to its last, and is committed without outputs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests import processes
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.packaging


def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = json.loads((REPOSITORY / "docs" / "quickstart.ipynb").read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in cells)
    (tmp_path / "cells.py").write_text("\n\n".join("".join(cell["source"]) for cell in cells), "utf-8")
    script = tmp_path / "notebook.py"  # worker processes import it, as they do not the cells of a notebook
    script.write_text("if __name__ == '__main__':\n    exec(open('cells.py').read(), {})\n", "utf-8")
    for _ in range(2):  # the second time everything is there
        done = processes.run([sys.executable, str(script)], folder=tmp_path)
        assert "loss " in done.stdout and "연구개발기관은" in done.stdout
        assert {path.name for path in (tmp_path / "build" / "notebook").iterdir()} >= {"run", "model"}
    assert "step 1/20" not in done.stdout
