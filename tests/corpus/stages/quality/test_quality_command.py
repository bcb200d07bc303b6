"""scripts/quality.py: from files of any kind to a folder that the stage loads, and errors in one line."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from onnuri.base import manifest
from onnuri.base.errors import UserError
from onnuri.corpus.stages.quality import quality
from onnuri.corpus.stages.quality.model import load
from onnuri.corpus.stages.quality.texts import read
from tests.conftest import run_command
from tests.corpus.stages.quality.test_quality import (
    KOREAN_ARTICLE,
    KOREAN_CHATTER,
    prose,
    texts_like,
)


def write_jsonl(path: Path, texts: Sequence[object], key: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = "".join(json.dumps({key: text}, ensure_ascii=False) + "\n" for text in texts).encode()
    packers = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}
    path.write_bytes(packers.get(path.suffix, bytes)(data))
    return path


def write_parquet(path: Path, texts: Sequence[str], column: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({column: pa.array(texts, pa.large_string())}), path)
    return path


def write_corpus(folder: Path, train: Sequence[str], heldout: Sequence[str]) -> Path:
    with manifest.building(folder, "corpus") as partial:
        write_parquet(partial / "documents" / "train-00000.parquet", train)
        write_parquet(partial / "documents" / "heldout-00000.parquet", heldout)
        manifest.seal(partial, "corpus", {}, {}, {})
    return folder


@pytest.fixture
def examples(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of good and one of random texts, 80 each, in files of several kinds."""
    good = texts_like(KOREAN_ARTICLE, 0, 80)
    write_jsonl(tmp_path / "good" / "a.jsonl", good[:20])
    write_jsonl(tmp_path / "good" / "deep" / "b.jsonl.gz", good[20:40])
    write_jsonl(tmp_path / "good" / "deep" / "c.jsonl.zst", good[40:60])
    write_parquet(tmp_path / "good" / "d.parquet", good[60:])
    return tmp_path / "good", write_parquet(
        tmp_path / "random" / "r.parquet", texts_like(KOREAN_CHATTER, 500, 80)
    ).parent


def refused(*words: str) -> str:
    """The one line that the command prints when it refuses."""
    done = run_command("quality", *words, check=False)
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1
    return done.stderr


def test_the_command_trains_a_model_that_the_stage_uses(
    tmp_path: Path, examples: tuple[Path, Path]
) -> None:
    words = (f"good={examples[0]}", f"random={examples[1]}/*.parquet", f"output={tmp_path / 'model'}")
    done = run_command("quality", *words)
    assert "korean: 80 good and 80 random texts" in done.stdout
    assert "AUC 1.0000" in done.stdout
    counts = manifest.read(tmp_path / "model", "quality").counts
    assert counts["korean"]["auc"] == 1.0 and counts["latin"] == {"good": 0, "random": 0}
    fresh = pa.array([prose(KOREAN_ARTICLE, 9000), prose(KOREAN_CHATTER, 9001)])
    reasons = quality(fresh, load(tmp_path / "model"), 0.5)[1].to_pylist()
    assert reasons[0] == "" and reasons[1].startswith("low quality: 0.")

    assert "is up to date" in run_command("quality", *words).stdout
    write_jsonl(examples[0] / "a.jsonl", texts_like(KOREAN_ARTICLE, 7000, 20))
    assert "80 good" in run_command("quality", *words).stdout


def test_the_same_texts_make_the_same_weights_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("one", "two"):
        write_jsonl(tmp_path / place / "good.jsonl", texts_like(KOREAN_ARTICLE, 0, 60))
        write_jsonl(tmp_path / place / "random.jsonl", texts_like(KOREAN_CHATTER, 500, 60))
        sides = [f"{side}={tmp_path / place / side}.jsonl" for side in ("good", "random")]
        run_command("quality", *sides, f"output={tmp_path / place / 'model'}")
    one, two = (manifest.read(tmp_path / place / "model", "quality") for place in ("one", "two"))
    assert one.files == two.files and one.inputs == two.inputs


def test_errors_name_what_was_wrong(tmp_path: Path, examples: tuple[Path, Path]) -> None:
    good, other = (str(path) for path in examples)
    out = f"output={tmp_path / 'model'}"
    assert f"good={tmp_path}/nowhere" in refused(f"good={tmp_path}/nowhere", f"random={other}", out)
    empty = write_jsonl(tmp_path / "empty.jsonl", ["", "short", None, 7])
    assert f"random={empty} has no text" in refused(f"good={good}", f"random={empty}", out)
    assert "no text_column=body; it has text" in refused(
        f"good={good}", f"random={other}", out, "text_column=body"
    )
    few = write_jsonl(tmp_path / "few.jsonl", texts_like(KOREAN_ARTICLE, 0, 5))
    assert "too few texts" in refused(f"good={few}", f"random={other}", out)
    page = tmp_path / "page.html"
    page.write_text("<p>hello</p>")
    assert "no .jsonl, .parquet or .txt file" in refused(f"good={page}", f"random={other}", out)
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 not really")
    assert f"{broken} cannot be read" in refused(f"good={broken}", f"random={other}", out)
    assert "choose another output" in refused(f"good={good}", f"random={other}", f"output={good}")
    assert not (tmp_path / "model").exists()


def test_a_folder_that_is_no_sound_model_is_refused(tmp_path: Path, examples: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="does not exist"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not a finished quality folder"):
        load(examples[0])
    with pytest.raises(UserError, match="is a corpus folder, but a quality folder is needed"):
        load(write_corpus(tmp_path / "corpus", ["x"], ["y"]))
    model = tmp_path / "model"
    run_command("quality", f"good={examples[0]}", f"random={examples[1]}", f"output={model}")
    weights = np.load(model / "weights.npy")
    np.save(model / "weights.npy", weights[::-1])
    with pytest.raises(UserError, match="does not match the hash"):
        load(model)
    with manifest.building(tmp_path / "other", "quality") as partial:
        np.save(partial / "weights.npy", weights)
        manifest.write_json(partial / "model.json", {"features": 0, "calibration": {"korean": [1, 0]}})
        manifest.seal(partial, "quality", {}, {}, {})
    with pytest.raises(UserError, match="train it again"):
        load(tmp_path / "other")


def test_heldout_documents_of_a_corpus_are_not_learnt_from(tmp_path: Path) -> None:
    corpus = write_corpus(
        tmp_path / "corpus",
        texts_like(KOREAN_ARTICLE, 0, 30),
        texts_like(KOREAN_ARTICLE, 100, 30),
    )
    assert read("good", str(corpus), "ignored", 100) == texts_like(KOREAN_ARTICLE, 0, 30)


def test_texts_are_taken_evenly_and_once(tmp_path: Path) -> None:
    small, large, larger = (
        texts_like(KOREAN_ARTICLE, seed, count) for seed, count in ((0, 5), (100, 60), (200, 90))
    )
    write_jsonl(tmp_path / "small.jsonl", small)
    write_jsonl(tmp_path / "large.jsonl", [*large[:1], *large])
    write_jsonl(tmp_path / "larger.jsonl", larger)
    found = read("good", str(tmp_path), "text", 45)
    assert found == [*small, *large[:20], *larger[:20]]


def test_a_text_file_is_taken_in_pieces_without_loss(tmp_path: Path) -> None:
    lines = [prose(KOREAN_ARTICLE, seed, 30) + "\n" for seed in range(200)]
    for encoding in ("utf-8", "cp949"):
        (tmp_path / "book.txt").write_text("".join(lines), encoding)
        pieces = read("good", str(tmp_path / "book.txt"), "text", 1000)
        assert len(pieces) > 5
        assert all(len(piece) <= 2000 for piece in pieces)
        assert pieces[0].startswith(lines[0]) and pieces[-1].endswith(lines[-1])


def test_lines_that_are_no_json_are_passed_over(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", texts_like(KOREAN_ARTICLE, 0, 3))
    with path.open("ab") as stream:
        stream.write(
            b'{"text": "cut off\n[1, 2]\n\xff\xfe\n{"other": 1}\n{"text": "' + b"\\ud800" * 30 + b'"}\n'
        )
    assert read("good", str(path), "text", 10) == [*texts_like(KOREAN_ARTICLE, 0, 3), "?" * 30]
