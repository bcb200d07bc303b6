"""scripts/corpus.py as people run it: real files, real processes, good and broken input."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.cli import corpus
from onnuri.config import compose
from onnuri.corpus.config import CorpusConfig
from tests.processes import children_cpu_seconds

ROOT = Path(__file__).resolve().parents[2]
KOREAN = "국가연구개발사업이란 중앙행정기관이 법령에 근거하여 지원하는 사업을 말한다."
ENGLISH = "A slicing selects a range of items in a sequence object, such as a string or a list."


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "corpus.py"), *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def make(*words: str) -> int:
    return corpus.run(compose(CorpusConfig, words))


def unlike(number: int) -> str:
    """A text that is no near duplicate of another number's."""
    return "가나 " + hashlib.sha512(str(number).encode()).hexdigest()


def write_lines(path: Path, records: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as stream:
        stream.write(lines)


def documents(folder: Path, pattern: str = "documents/*.parquet") -> list[dict]:
    files = sorted(folder.glob(pattern))
    assert files
    return [record for file in files for record in pq.read_table(file).to_pylist()]


def rejected(folder: Path) -> list[dict]:
    return documents(folder, "rejected/*.parquet")


def test_help_is_quick_and_names_the_options() -> None:
    run("--help")
    before = children_cpu_seconds()
    result = run("--help")
    assert children_cpu_seconds() - before < 1.0
    assert result.returncode == 0
    for option in ("recipe", "output", "input", "text_column", "dataset_split", "heldout_share"):
        assert f"  {option}  <" in result.stdout


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "corpus"
    result = run("recipe=sample", f"output={folder}")
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("kept ") and result.stderr == ""
    return folder


def test_sample_has_korean_and_english_with_terms(sample: Path) -> None:
    counts = manifest.read(sample, "corpus").counts
    manifest.verify(sample, manifest.read(sample, "corpus"))
    assert counts["read"] == counts["kept"] + counts["rejected"]
    assert set(counts["languages"]) == {"ko", "en"}
    for language in counts["languages"].values():
        assert 1_200_000 < language["bytes"] < 2_500_000
        assert 40_000 < language["heldout_bytes"] < 150_000
    for source in counts["sources"].values():
        assert source["license"] and source["legal_basis"] and source["documents"]
    rows = documents(sample)
    assert len(rows) == counts["kept"]
    assert sum(len(row["text"].encode()) for row in rows) == sum(
        entry["bytes"] for entry in counts["sources"].values()
    )
    assert len({row["text"] for row in rows}) == len({row["id"] for row in rows}) == len(rows)
    assert all(len(row["id"]) == 32 and unicodedata.is_normalized("NFC", row["text"]) for row in rows)
    assert all(documents(sample, f"documents/{split}-*.parquet") for split in ("train", "heldout"))
    assert not list(sample.glob("staging*"))
    assert json.loads((sample / "report.json").read_text()) == counts


def test_sample_again_is_up_to_date(sample: Path) -> None:
    before = (sample / "manifest.json").stat().st_mtime_ns
    assert "is up to date" in run("recipe=sample", f"output={sample}").stdout
    assert (sample / "manifest.json").stat().st_mtime_ns == before


def test_same_content_under_another_root_gives_the_same_bytes(tmp_path: Path) -> None:
    records = [{"id": number % 400, "text": unlike(number % 450)} for number in range(900)]
    write_lines(tmp_path / "one" / "a" / "가.jsonl.gz", records[:500])
    write_lines(tmp_path / "one" / "b.jsonl", records[500:])
    shutil.copytree(tmp_path / "one", tmp_path / "other place")
    for root in ("one", "other place"):
        pattern = f"{tmp_path / root}/**/*.jsonl*"
        assert make("recipe=local", f"input={pattern}", f"output={tmp_path / root}.out") == 0
    first, second = (manifest.read(tmp_path / f"{root}.out", "corpus") for root in ("one", "other place"))
    assert first == second
    assert first.counts["kept"] == 450 and first.counts["reasons"] == {"duplicate": 450}
    ids = {row["id"] for row in documents(tmp_path / "one.out") + rejected(tmp_path / "one.out")}
    assert len(ids) == 900, "ids that repeat with another text still make documents of their own"
    kept = {row["text"]: row["id"] for row in documents(tmp_path / "one.out")}
    assert all(kept[row["text"]] < row["id"] for row in rejected(tmp_path / "one.out"))


def test_broken_input_is_rejected_with_a_reason_and_counted(tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "cut.jsonl.gz", [{"text": f"{ENGLISH} {n} {n**9}"} for n in range(3000)])
    whole = (tmp_path / "in" / "cut.jsonl.gz").read_bytes()
    (tmp_path / "in" / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    good = json.dumps({"text": KOREAN, "license": "CC0-1.0", "url": "https://example.org/1"}).encode()
    bad = [
        b'{"text": "half',
        b'{"text": "\xff\xfe"}',
        b"[1]",
        b'{"text": 5}',
        b'{"other": "x"}',
    ]
    empty = [b'{"text": ""}', b'{"text": null}', '{"text": "\u3000 \\n"}'.encode()]
    (tmp_path / "in" / "lines.jsonl").write_bytes(b"\n".join([good, *bad, b"", *empty]))
    (tmp_path / "in" / "torn.parquet").write_bytes(b"PAR1 torn")
    (tmp_path / "in" / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "in" / "whole.txt").write_text(unicodedata.normalize("NFD", "온누리 ① ﬁ"), encoding="utf-8")
    (tmp_path / "in" / "torn.txt.zst").write_bytes(b"\x28\xb5\x2f\xfd no zstandard")
    assert (
        make(
            "recipe=local",
            f"input={tmp_path / 'in'}",
            f"output={tmp_path / 'out'}",
            "heldout_share=0",
            "stages=[]",
        )
        == 0
    )
    counts = manifest.read(tmp_path / "out", "corpus").counts
    assert counts["reasons"] == {"empty": 3, "unreadable": len(bad) + 4}
    assert counts["kept"] == counts["read"] - counts["rejected"] > 1000
    reasons = [row["reason"] for row in rejected(tmp_path / "out")]
    assert any("cut.jsonl.gz: cut" in reason for reason in reasons)
    rows = {row["text"]: row for row in documents(tmp_path / "out")}
    assert rows[KOREAN]["license"] == "CC0-1.0" and rows[KOREAN]["url"] == "https://example.org/1"
    assert rows[KOREAN]["lang"] == "ko"
    assert rows["온누리 ① ﬁ"]["lang"] == "ko", "NFC, not NFKC"
    assert {row["lang"] for text, row in rows.items() if text.startswith("A slicing")} == {"en"}
    assert not list((tmp_path / "out" / "documents").glob("heldout-*"))


def test_damage_of_kept_documents_is_counted(tmp_path: Path) -> None:
    text = (KOREAN + "\n") * 60
    raw = text.encode("cp949")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_bytes(raw[: raw.index(b"\n")] + b"\xff" + raw[raw.index(b"\n") :])
    twice = '{"text": "first", "text": "last", "n": 1}'
    surrogates = ['{"text": "\\ud800 alone \\udc00"}', '{"id": "\\udc00", "text": "\\ud83d\\ude00 ok"}']
    (tmp_path / "in" / "b.jsonl").write_text("\n".join([*surrogates, twice]))
    words = (f"input={tmp_path / 'in'}", f"output={tmp_path / 'out'}", "stages=[normalise]")
    assert make("recipe=local", *words) == 0
    counts = manifest.read(tmp_path / "out", "corpus").counts
    assert counts["kept"] == 4
    assert counts["repaired"] == {"bad characters": 1, "lone surrogates": 1, "name twice": 1}
    assert counts["damaged_characters"] == {"bad characters": 1, "lone surrogates": 2}
    rows = {row["text"]: row["repaired"] for row in documents(tmp_path / "out")}
    assert rows["\ufffd alone \ufffd"] == "lone surrogates: 2" and rows["😀 ok"] == ""
    assert rows["last"] == "name twice"


def test_parquet_columns_are_taken_over_and_bad_rows_do_not_stop_it(tmp_path: Path) -> None:
    raw = [KOREAN.encode(), b"\xff broken", ENGLISH.encode()]
    text = pa.array(raw, pa.binary()).view(pa.string())
    source = pa.array(["법령", "x", ""]).dictionary_encode()
    table = pa.table({"body": text, "source": source, "legal_basis": ["public-data", "", None]})
    pq.write_table(table, tmp_path / "rows.parquet")
    words = (f"input={tmp_path / 'rows.parquet'}", f"output={tmp_path / 'out'}", "text_column=body")
    assert make("recipe=local", *words) == 0
    assert {row["source"]: row["legal_basis"] for row in documents(tmp_path / "out")} == {
        "법령": "public-data",
        "local": "",
    }
    assert [row["reason"].split(":")[0] for row in rejected(tmp_path / "out")] == ["unreadable"]


def test_dictionary_and_nested_columns(tmp_path: Path) -> None:
    texts = pa.array([KOREAN, ENGLISH]).dictionary_encode()
    url = pa.array([{"url": "https://a.kr/"}, {"url": None}])
    pq.write_table(pa.table({"text": texts, "id": [1, 2], "meta": url}), tmp_path / "rows.parquet")
    own = tmp_path / "own.yaml"
    own.write_text(
        f"stages: []\nheldout_share: 0\nsources: [{{name: a, input: {tmp_path}/rows.parquet, "
        "columns: {url: meta.url}, unverified: true}]"
    )
    make(f"recipe={own}", f"output={tmp_path / 'out'}")
    assert {row["text"]: row["url"] for row in documents(tmp_path / "out")} == {
        KOREAN: "https://a.kr/",
        ENGLISH: "",
    }


def test_hugging_face_folder_is_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    records = [
        {"content": f"{text} {unlike(number)}"} for number in range(50) for text in (KOREAN, ENGLISH)
    ]
    write_lines(tmp_path / "set" / "train.jsonl", records)
    words = ("recipe=hf", f"dataset={tmp_path / 'set'}", f"output={tmp_path / 'out'}")
    with pytest.raises(UserError, match=r"no column 'text'.*found: content"):
        make(*words)
    assert make(*words, "text_column=content") == 0
    counts = manifest.read(tmp_path / "out", "corpus").counts
    assert counts["kept"] == 100 and list(counts["sources"]) == ["set"]
    assert counts["languages"]["ko"]["documents"] == 50


def test_own_recipe_limits_held_out_share(tmp_path: Path) -> None:
    write_lines(tmp_path / "in.jsonl", [{"text": f"{KOREAN} {n}"} for n in range(4000)])
    own = tmp_path / "own.yaml"
    entry = f"{{name: law, input: {tmp_path / 'in.jsonl'}, license: CC0-1.0, "
    entry += "legal_basis: open-licence, lang: ko}"
    own.write_text(f"heldout_share: 0.1\nstages: []\nsources:\n  - {entry}\n")
    assert make(f"recipe={own}", f"output={tmp_path / 'a'}") == 0
    assert make(f"recipe={own}", f"output={tmp_path / 'b'}", "heldout_share=0.2") == 0
    few = {row["id"] for row in documents(tmp_path / "a", "documents/heldout-*")}
    more = {row["id"] for row in documents(tmp_path / "b", "documents/heldout-*")}
    assert 320 < len(few) < 480 and 700 < len(more) < 900
    assert few < more, "a larger share keeps what was held out before"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recipe=smple"], r"recipe=smple is not known; .*did you mean 'sample'"),
        (["recipe=local"], r"recipe=local needs input=\.\.\."),
        (["recipe=hf"], r"recipe=hf needs dataset=\.\.\."),
        (["recipe=sample", "input=x"], "recipe=sample does not use input"),
        (["recipe=local", "input=/no/such/folder/*.txt"], "/no/such/folder does not exist"),
        (["recipe=local", "input={here}/*.nothing"], "matches no file"),
        (
            ["recipe=local", "input={here}/in.jsonl", "text_column=boddy"],
            "no column 'boddy'.*'body'.*found: body",
        ),
        (["recipe=local", "input={here}/in.csv"], "no column 'text'.*found: txt"),
        (["recipe=local", "input={here}/in.log"], "passed over 1 text under a suffix that is not known"),
        (["recipe={here}/key.yaml"], "unknown key 'licence'.*did you mean 'license'"),
        (["recipe={here}/package.yaml"], "pip install --no-deps no-such-package-here"),
        (["recipe=sample", "heldout_share=1.5"], "heldout_share=1.5 must be"),
    ],
)
def test_mistakes_are_one_line_and_touch_nothing(tmp_path: Path, words: list[str], message: str) -> None:
    write_lines(tmp_path / "in.jsonl", [{"body": KOREAN}])
    (tmp_path / "in.csv").write_text("txt\nx\n")
    (tmp_path / "in.log").write_text("x\n")
    (tmp_path / "key.yaml").write_text("sources: [{name: a, python: topics, licence: MIT}]")
    (tmp_path / "package.yaml").write_text(
        "sources: [{name: a, package: no-such-package-here, files: '*', records: x, unverified: true}]"
    )
    output = tmp_path / "out"
    with pytest.raises(UserError, match=message) as caught:
        make(*(word.format(here=tmp_path) for word in words), f"output={output}")
    assert "\n" not in str(caught.value)
    assert not output.exists() and not output.with_name("out.partial").exists()
