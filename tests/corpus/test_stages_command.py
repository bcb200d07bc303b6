"""The stages through the command: what they did to every document can be read afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from onnuri.base.errors import UserError
from onnuri.config import compose
from onnuri.corpus.config import CorpusConfig
from onnuri.corpus.execution.build import build
from tests.conftest import SCRIPTS

WORDS = (
    *(
        "정부는",
        "올해",
        "예산을",
        "교육과",
        "연구에",
        "나누어",
        "쓰기로",
        "했다",
        "학교에서는",
        "학생이",
        "책을",
    ),
    *(
        "읽고",
        "토론을",
        "한다",
        "강가의",
        "마을",
        "사람들이",
        "봄마다",
        "모여",
        "나무를",
        "심는다",
        "기술은",
    ),
    *("빠르게", "바뀌지만", "기본은", "남는다", "법률은", "공포한", "날부터", "시행한다"),
)


def prose(seed: int, sentences: int = 12) -> str:
    """Korean sentences that no other seed has."""
    generator = random.Random(seed)
    picked = (
        " ".join(generator.choices(WORDS, k=8)) + f" {generator.randrange(10**6)}개이다."
        for _ in range(sentences)
    )
    return "\n".join(picked)


def make(tmp_path: Path, texts: list[str], *words: str) -> tuple[dict[str, dict], dict[str, dict], dict]:
    """Documents and rejects by their row's number, and the report."""
    source = tmp_path / "in.jsonl"
    rows = [json.dumps({"text": text, "id": str(n)}, ensure_ascii=False) for n, text in enumerate(texts)]
    source.write_text("\n".join(rows), encoding="utf-8")
    output = tmp_path / "out"
    build(compose(CorpusConfig, ["recipe=local", f"input={source}", f"output={output}", *words]))
    ids = {
        hashlib.blake2b(f"5:local{len(str(n))}:{n}0:{text}".encode(), digest_size=16).hexdigest(): str(n)
        for n, text in enumerate(texts)
    }
    found = []
    for folder in ("documents", "rejected"):
        rows = [
            row for path in (output / folder).glob("*.parquet") for row in pq.read_table(path).to_pylist()
        ]
        found.append({ids[row["id"]]: row for row in rows})
    return found[0], found[1], json.loads((output / "report.json").read_text(encoding="utf-8"))


ALL = "stages=[normalise,describe,filter,pii,dedup]"


def test_every_stage_does_its_work_and_the_counts_add_up(tmp_path: Path) -> None:
    copied = prose(1)
    texts = [
        copied,
        unicodedata.normalize("NFD", copied.replace(" ", "  ")),
        copied + "\n덧붙임: 끝으로 한 줄이 더 있다.",
        prose(2) + "\n문의는 010-1234-5678로, 메일은hong@naver.com으로 한다.",
        prose(3) + "\n정말 좋았어요ㅋㅋㅋㅋㅋㅋㅋㅋ 또 올게요!!!!!!",
        "짧은 글이다.",
        "카지노사이트 바카라 먹튀검증 토토사이트 안전놀이터 추천 " * 30,
        "",
        "같은 줄이 되풀이된다.\n" * 60,
    ]
    kept, rejected, report = make(tmp_path, texts, ALL)
    assert len(kept) + len(rejected) == len(texts)
    assert {"2", "3", "4"} <= kept.keys(), {n: row["reason"] for n, row in rejected.items()}
    assert rejected["7"]["stage"] == "read"
    assert (rejected["5"]["stage"], rejected["5"]["reason"].split(":")[0]) == ("filter", "words")
    assert rejected["6"]["stage"] == rejected["8"]["stage"] == "filter"
    assert {rejected[n]["stage"] for n in ("0", "1")} == {"dedup"}
    assert {rejected[n]["reason"] for n in ("0", "1")} == {"near duplicate"} or "duplicate" in {
        rejected[n]["reason"] for n in ("0", "1")
    }
    assert "<|phone|>로, 메일은<|email|>으로" in kept["3"]["text"]
    assert kept["3"]["personal_data"]["phone"] == kept["3"]["personal_data"]["email"] == 1
    assert "좋았어요ㅋㅋㅋ 또 올게요!!!" in kept["4"]["text"]
    assert kept["4"]["lang"] == "ko"
    assert kept["4"]["register"] == "plain"
    assert [row["stage"] for row in report["stages"]] == [
        "read",
        "normalise",
        "describe",
        "filter",
        "pii",
        "dedup",
    ]
    entered = [row["documents"] for row in report["stages"]]
    left = [row["documents_left"] for row in report["stages"]]
    assert entered[0] == len(texts)
    assert entered[1:] == left[:-1]
    assert left[-1] == report["kept"] == len(kept)
    assert report["personal_data"]["phone"] == 1
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "말뭉치 보고서" in page
    assert not re.search(r"<script|src=|href=|url\(|@import", page)
    assert "010-1234-5678" not in page


def test_stages_can_be_chosen(tmp_path: Path) -> None:
    texts = [prose(1), prose(1), "ㅋㅋㅋㅋㅋㅋ 010-1234-5678"]
    kept, _, report = make(tmp_path, texts, "stages=[pii]")
    assert len(kept) == 3
    assert kept["2"]["text"] == "ㅋㅋㅋㅋㅋㅋ <|phone|>"
    assert kept["2"]["register"] is None
    assert [row["stage"] for row in report["stages"]] == ["read", "pii"]
    with pytest.raises(UserError, match="did you mean 'normalise'"):
        make(tmp_path, texts, "stages=[normalize]")


def test_result_does_not_depend_on_order_or_files(tmp_path: Path) -> None:
    rows = [{"id": str(n), "text": prose(n % 40) + f"\n{'끝' * (n % 3)}"} for n in range(120)]
    kept = []
    for name, parts, seed in (("one", 1, 0), ("many", 7, 1)):
        mixed = rows.copy()
        random.Random(seed).shuffle(mixed)
        for part in range(parts):
            path = tmp_path / name / f"{part}.jsonl"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(json.dumps(row) for row in mixed[part::parts]))
        output = tmp_path / f"{name}.out"
        build(compose(CorpusConfig, ["recipe=local", f"input={tmp_path / name}", f"output={output}", ALL]))
        paths = (output / "documents").glob("*.parquet")
        kept.append({row["id"]: row["text"] for path in paths for row in pq.read_table(path).to_pylist()})
    assert kept[0] == kept[1]
    assert len(kept[0]) == 40


@pytest.mark.extra("ray")
def test_two_ray_nodes_give_the_same_bytes(tmp_path: Path) -> None:
    from ray import cluster_utils

    source = tmp_path / "in"
    source.mkdir()
    for part in range(6):
        rows = (json.dumps({"text": prose((50 * part + n) % 280, 150)}) for n in range(60))
        (source / f"{part}.jsonl").write_text("\n".join(rows), encoding="utf-8")
    words = ["recipe=local", f"input={source}", "engine.workers=2", ALL]
    command = [sys.executable, str(SCRIPTS / "corpus.py"), *words]
    subprocess.run([*command, f"output={tmp_path / 'local'}"], check=True, capture_output=True)
    head = {"num_cpus": 1, "include_dashboard": False}
    cluster = cluster_utils.Cluster(initialize_head=True, connect=False, head_node_args=head)
    try:
        cluster.add_node(num_cpus=1)
        ray = [f"output={tmp_path / 'ray'}", "engine=ray", f"engine.address={cluster.address}"]
        subprocess.run([*command, *ray], check=True, capture_output=True, timeout=200)
    finally:
        cluster.shutdown()
    assert digests(tmp_path / "local") == digests(tmp_path / "ray")
    assert len(list((tmp_path / "ray" / "documents").glob("train-*"))) > 1, "one unit says nothing"


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_kill_9_and_resume_is_byte_identical(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for part in range(12):
        lines = (json.dumps({"text": prose(1000 * part + n, 40)}, ensure_ascii=False) for n in range(400))
        (source / f"{part}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    words = [sys.executable, str(SCRIPTS / "corpus.py"), "recipe=local", f"input={source}"]
    subprocess.run([*words, f"output={tmp_path / 'whole'}"], check=True, capture_output=True)
    killed = tmp_path / "killed"
    staging = tmp_path / "killed.partial" / "staging"
    words.append(f"output={killed}")

    process, workers = started(words)
    os.kill(workers[0], signal.SIGKILL)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 2, output
    assert re.fullmatch(r"(?s).*error: a worker process died \(out of memory[^\n]*\n", output)
    assert "Traceback" not in output

    process, workers = started(words)
    deadline = time.monotonic() + 120
    while not list(staging.glob("unit-*.parquet")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    time.sleep(1)
    assert not any(is_worker(worker) for worker in workers), "workers outlive a driver that was killed"
    before = {path: path.stat().st_mtime_ns for path in staging.glob("unit-*.parquet")}
    assert 0 < len(before) < 5, "there was something left to do"
    again = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seen: set[Path] = set()
    while again.poll() is None:
        seen |= {path for path in before if path.exists() and path.stat().st_mtime_ns != before[path]}
        time.sleep(0.05)
    assert again.returncode == 0
    assert not seen, "complete units were made again"
    assert digests(killed) == digests(tmp_path / "whole")


def started(command: list[str]) -> tuple[subprocess.Popen[str], list[int]]:
    """A command whose workers are at work, and the numbers of their processes."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while not (workers := [int(n) for n in children.read_text().split() if is_worker(int(n))]):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    return process, workers


def is_worker(process: int) -> bool:
    """Whether this is a living worker of the corpus command."""
    with contextlib.suppress(OSError):
        return b"multiprocessing.spawn" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False


def test_interrupted_in_one_line(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    text = "\n".join(json.dumps({"text": prose(n, 200)}) for n in range(1500))
    source.write_text(text, encoding="utf-8")
    words = ["recipe=local", f"input={source}", f"output={tmp_path / 'out'}", ALL]
    process, workers = started([sys.executable, str(SCRIPTS / "corpus.py"), *words])
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    pressed = time.monotonic()
    output = process.communicate(timeout=60)[0]
    assert time.monotonic() - pressed < 10
    assert process.returncode == 130, output
    assert "interrupted" in output and "Traceback" not in output
    assert not any(map(is_worker, workers))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("sources: [{name: a, input: x, license: MIT}]", "no legal_basis; state"),
        (
            "sources: [{name: a, input: x, license: MIT, legal_basis: consent}]",
            "needs a consent_id",
        ),
        (
            "sources: [{name: a, input: x, license: MIT, legal_basis: contrakt}]",
            "did you mean 'contract'",
        ),
        (
            "stages: [{pii: {kind: [phone]}}]\nsources: [{name: a, python: topics, unverified: true}]",
            "'kinds'",
        ),
        (
            "stages: [dedupe]\nsources: [{name: a, python: topics, unverified: true}]",
            "did you mean 'dedup'",
        ),
    ],
)
def test_recipes_state_their_terms(tmp_path: Path, recipe: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(recipe)
    with pytest.raises(UserError, match=re.escape(message)):
        build(compose(CorpusConfig, [f"recipe={path}", f"output={tmp_path / 'out'}"]))
    assert not (tmp_path / "out").exists()


def test_shipped_recipes_are_well_formed() -> None:
    from onnuri.corpus import recipe

    options = {
        "input": "x",
        "dataset": "y",
        "dataset_config": "",
        "dataset_split": "train",
        "text_column": "text",
    }
    paths = sorted(recipe.RECIPE_FOLDER.glob("*.yaml"))
    assert len(paths) >= 6
    for path in paths:
        used = {key: value for key, value in options.items() if f"${{{key}}}" in path.read_text()}
        plan = recipe.load(path.stem, used)
        assert plan.sources
