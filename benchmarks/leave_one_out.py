"""How well tokenizers do on text of a kind that they never saw: each source left out of training in turn.

    python benchmarks/leave_one_out.py --corpus CORPUS_DIR --heldout ko.jsonl --vocab-size 131072

Tokens per character of the held-out documents of a source (JSON lines with `text` and `source`), under
tokenizers trained on everything else.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from onnuri.base import manifest
from onnuri.tokenizer.huggingface import load_tokenizer

COMMAND = Path(__file__).resolve().parents[1] / "scripts" / "tokenizer.py"


def train(corpus: Path, output: Path, words: Sequence[str]) -> Path:
    """Train through the command."""
    command = [sys.executable, str(COMMAND), f"input={corpus}", f"output={output}", *words]
    subprocess.run(command, check=True, capture_output=True)
    return output


def fertility(folder: Path, texts: Sequence[str]) -> float:
    """Tokens per character."""
    encoded = load_tokenizer(folder).encode_batch_fast(list(texts))
    return sum(len(e.ids) for e in encoded) / sum(map(len, texts))


def main() -> None:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, nargs="+", required=True)
    parser.add_argument("--vocab-size", type=int, default=131072)
    parser.add_argument("--algorithms", nargs="+", default=["bpe", "superword"])
    parser.add_argument("--sources", nargs="*", help="not given: all that are in corpus and held-out text")
    options = parser.parse_args()
    texts: dict[str, list[str]] = defaultdict(list)
    for path in options.heldout:
        with path.open(encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                texts[row["source"]].append(row["text"])
    known = manifest.read(options.corpus, "corpus").counts["sources"]
    sources = options.sources or sorted(name for name in texts if name in known)
    first = options.algorithms[0]
    print(f"{'source left out':24}{'characters':>11}" + "".join(f"{a:>20}" for a in options.algorithms))
    totals = dict.fromkeys(options.algorithms, 0.0)
    with tempfile.TemporaryDirectory() as scratch:
        for source in sources:
            characters = sum(map(len, texts[source]))
            values = {}
            for algorithm in options.algorithms:
                words = [f"algorithm={algorithm}", f"vocab_size={options.vocab_size}"]
                words.append(f"source_weights={{'{source}':0}}")
                folder = train(options.corpus, Path(scratch) / f"{source}-{algorithm}", words)
                values[algorithm] = fertility(folder, texts[source])
                totals[algorithm] += values[algorithm] * characters
            shown = "".join(f"{v:11.4f} ({v / values[first] - 1:+6.1%})" for v in values.values())
            print(f"{source:24}{characters:11,}{shown}", flush=True)
    everything = sum(len(text) for source in sources for text in texts[source])
    shown = "".join(f"{t / everything:11.4f} ({t / totals[first] - 1:+6.1%})" for t in totals.values())
    print(f"{'all':24}{everything:11,}{shown}")


if __name__ == "__main__":
    main()
