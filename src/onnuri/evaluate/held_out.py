"""Bits per byte of held-out text by language and source, beside what a compressor reaches."""

from __future__ import annotations

import math
from typing import Any

from onnuri.corpus.texts import Text, xz_bits_per_byte
from onnuri.evaluate.requests import encoder
from onnuri.hf.load import model_context


def score(
    model: Any, tokenizer: Any, texts: list[Text], separator: int, batch_tokens: int
) -> dict[str, Any]:
    """Run the model over the documents; the parts `languages`, `sources` and `total` of a result."""
    from onnuri.evaluate.score import document_nats

    tokens = encoder(tokenizer)([text.text for text in texts])
    context = model_context(model.config)
    nats = document_nats(model, tokens, separator, context, batch_tokens)
    sizes = [len(ids) for ids in tokens]
    return {
        "languages": summary(texts, nats, sizes, [text.lang for text in texts], with_xz=True),
        "sources": summary(texts, nats, sizes, [text.source for text in texts], with_xz=False),
        "total": summary(texts, nats, sizes, ["all"] * len(texts), with_xz=True),
    }


def summary(
    texts: list[Text], nats: list[float], sizes: list[int], labels: list[str], with_xz: bool
) -> dict[str, dict[str, float]]:
    """Documents, bytes, bits per byte and tokens per character of the texts under each label."""
    from onnuri.evaluate.statistics import ratio_interval

    groups: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        groups.setdefault(label, []).append(index)
    result = {}
    for name, members in sorted(groups.items()):
        lengths = [len(texts[i].text.encode()) for i in members]
        bits = [nats[i] / math.log(2) for i in members]
        found = ratio_interval(bits, lengths, members)
        result[name] = {
            "documents": len(members),
            "bytes": sum(lengths),
            "bits_per_byte": sum(nats[i] for i in members) / math.log(2) / sum(lengths),
            "low": found.low,
            "high": found.high,
            "tokens_per_character": sum(sizes[i] for i in members)
            / sum(len(texts[i].text) for i in members),
        }
        if with_xz:
            result[name]["xz_bits_per_byte"] = xz_bits_per_byte([texts[i].text for i in members])
    return result


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"{'held-out text':<24}{'documents':>10}{'bytes':>12}{'bits/byte':>11}"
        f"{'xz -9e':>8}{'tokens/char':>13}"
    ]
    for group in ("languages", "sources", "total"):
        for name, row in result[group].items():
            xz = f"{row['xz_bits_per_byte']:.3f}" if "xz_bits_per_byte" in row else ""
            label = f"  {name}" if group == "sources" else name
            lines.append(
                f"{label:<24}{row['documents']:>10,}{row['bytes']:>12,}{row['bits_per_byte']:>11.3f}{xz:>8}"
                f"{row['tokens_per_character']:>13.3f}"
            )
    return "\n".join(lines)
