"""Made-up conversations, and what lies in the shards that were packed of some."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from onnuri.base import manifest
from onnuri.base.manifest import Manifest
from onnuri.chat.data.pack import pack
from onnuri.tokens.config import PackConfig
from onnuri.tokens.shards import TokenShards, load_array

Record = dict[str, Any]
WORDS = (
    *(
        "연구개발과제의",
        "협약을",
        "변경할",
        "수 있다.",
        "서울은",
        "값이 3,000원",
        "얼마예요?",
        "네,",
        "그렇습니다.",
    ),
    *(
        "The quick brown fox",
        "don't",
        "naïve",
        "한국어",
        "👩‍💻",
        "\n",
        "ㅋㅋㅋ",
        "韓國",
        "def f(x):",
        "  두 칸",
    ),
)


def text(draw: random.Random) -> str:
    """A few words in Korean and English; it may begin and end with white space."""
    return f"{' '.join(draw.choices(WORDS, k=draw.randint(1, 8)))} {draw.randint(0, 10**9)}"


def talks(count: int) -> Iterator[Record]:
    """Records in the messages layout, with systems, tools and calls, seeded."""
    for number in range(count):
        draw = random.Random(number)
        messages = [{"role": "system", "content": text(draw)}] if draw.random() < 0.5 else []
        for _ in range(draw.randint(1, 3)):
            messages.append({"role": "user", "content": text(draw)})
            if draw.random() < 0.2:
                call = {"function": {"name": "날씨", "arguments": {"곳": text(draw)}}}
                messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
                messages.append({"role": "tool", "content": text(draw)})
            messages.append({"role": "assistant", "content": text(draw)})
        record = {"id": f"talk-{number}", "messages": messages, "license": "MIT"}
        yield record | ({"tools": [{"name": "날씨"}]} if draw.random() < 0.2 else {})


def turn(role: str, content: Any = "네.", **more: Any) -> Record:
    """A message."""
    return {"role": role, "content": content, **more}


def ask(content: str = "뭐예요?", answer: str = "값입니다.") -> list[Record]:
    """A question and an answer."""
    return [turn("user", content), turn("assistant", answer)]


def write(path: Path, records: Sequence[Record | bytes]) -> Path:
    """JSON lines; bytes are written as they are."""
    lines = [r if isinstance(r, bytes) else json.dumps(r, ensure_ascii=False).encode() for r in records]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def packed(folder: Path, records: Sequence[Record | bytes], tokenizer: str, **words: Any) -> Manifest:
    """Pack records into folder/out; `license` is MIT unless it is given."""
    path = write(folder / "in.jsonl", records)
    options = {"kind": "chat", "license": "MIT", "most_refused": 1.0, "heldout_share": 0.0, **words}
    pack(PackConfig(input=str(path), tokenizer=tokenizer, output=str(folder / "out"), **options))
    return manifest.read_whole(folder / "out", "tokens")


def documents(
    folder: Path, split: str = "train"
) -> Iterator[tuple[bytes, list[int], list[tuple[int, int]]]]:
    """Id, tokens without the separator, and trained spans (start and end in the document) of each."""
    shards = TokenShards.open(folder, split)
    for number, tokens in enumerate(shards.shards):
        path = shards.document_files[number]
        trained = load_array(path.with_name(path.name.replace(".documents.", ".trained.")))
        starts = trained["offset"].astype(int)
        ends = starts + trained["length"]
        assert (starts[1:] >= ends[:-1]).all() and (trained["length"] > 0).all()
        inside = 0
        for row in load_array(path):
            first, end = int(row["offset"]), int(row["offset"]) + int(row["length"])
            own = [
                (int(s) - first, int(e) - first)
                for s, e in zip(starts, ends, strict=True)
                if first <= s < end
            ]
            assert all(e < end - first for _, e in own), "the separator is not trained on"
            inside += len(own)
            yield row["id"], tokens[first : end - 1].tolist(), own
        assert inside == len(trained)


def refused(folder: Path) -> list[Record]:
    """The lines of refused.jsonl."""
    lines = (folder / "out" / "refused.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
