"""KoPairs is not trained on: its file is refused, and copies in other texts are found."""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path

from onnuri.corpus.reading.canary import CANARIES
from onnuri.evaluate.kopairs.files import CANARY, write
from tests.conftest import run_command

PROSE = (
    "국가연구개발혁신법 시행령에 따라 연구개발과제를 수행하는 기관은 협약의 내용을 성실히 이행하여야 한다. "
)


def test_its_file_is_refused_under_any_name(tmp_path: Path) -> None:
    write(tmp_path / "kopairs.jsonl")
    (tmp_path / "texts.txt").write_bytes((tmp_path / "kopairs.jsonl").read_bytes())
    (tmp_path / "kopairs.jsonl").unlink()
    words = ["recipe=local", f"input={tmp_path}/*", f"output={tmp_path / 'corpus'}"]
    result = run_command("corpus", *words, check=False)
    assert result.returncode == 2
    assert "texts.txt is the benchmark KoPairs" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "corpus" / "manifest.json").exists()
    assert all(guid in CANARY for guid in CANARIES)


def test_copies_are_found_respaced_and_decomposed(tmp_path: Path) -> None:
    items = write(tmp_path / "kopairs.jsonl")
    chosen = random.Random(0).sample(list(items), 120)
    changes = (str, lambda text: text.replace(" ", ""), lambda text: unicodedata.normalize("NFD", text))
    documents = []
    for number, item in enumerate(chosen):
        copy = changes[number % 3](" ".join(item.sentences))
        documents.append({"text": f"{PROSE * 3}\n{copy}\n{number}번 문서의 나머지. {PROSE * 2}"})
    texts = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in documents)
    (tmp_path / "texts.jsonl").write_text(texts)
    words = ["recipe=local", f"input={tmp_path / 'texts.jsonl'}", f"output={tmp_path / 'corpus'}"]
    words += ["stages=[normalise,describe,decontaminate]", f"benchmarks=[{tmp_path / 'kopairs.jsonl'}]"]
    run_command("corpus", *words)
    found = json.loads((tmp_path / "corpus" / "manifest.json").read_text())["counts"]["contamination"]
    assert found["kopairs"]["documents"] >= 0.99 * len(documents)
