"""The project speaks the language of its field: words that were its own do not come back."""

from __future__ import annotations

import re
import subprocess

from tests.conftest import REPOSITORY

OURS = re.compile(
    r"\b(run_doors?|doors?|heaps?|borders?|mend(s|ed|ing)?|foret\w+|vouch\w*|superfluous|meeting points?"
    r"|by turns|losses_and_slopes|set_aside|stays?_for_good|point_latest|_first_look"
    r"|head_size|ffn_size|norm_eps|recompute_every)\b",
    re.IGNORECASE,
)
ALLOWED = {
    "src/onnuri/base/allocator.py": "the heap of the C library",
    "src/onnuri/config/former_names.py": "names of version 0.1",
    "src/onnuri/corpus/report/style.py": "CSS",
    "src/onnuri/evaluate/report/style.py": "CSS",
    "src/onnuri/evaluate/kopairs/rating_page.py": "CSS",
    "docs/configuration.md": "names of version 0.1",
    "tests/train/test_former_names.py": "names of version 0.1",
    "benchmarks/peers/recipe.py": "litgpt's name",
    "benchmarks/peers/training.py": "litgpt's name",
    "tests/corpus/reading/formats/korean_pages.py": "HTML",
    "tests/test_words.py": "this list",
}
ENDINGS = (".py", ".md", ".yaml", ".toml", ".sh", ".cpp", ".h", "Makefile")


def test_words_of_our_own_are_gone() -> None:
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\0")
    names = [name for name in listed if name.endswith(ENDINGS) and (REPOSITORY / name).is_file()]
    assert len(names) > 300
    found = [
        f"{name}:{number}: {word[0]}"
        for name in names
        if name not in ALLOWED and not name.startswith(("tests/data/", "CHANGELOG", "LAB"))
        for number, line in enumerate((REPOSITORY / name).read_text(encoding="utf-8").splitlines(), start=1)
        for word in [OURS.search(line)]
        if word
    ]
    assert found == []
