"""Train one peer's tokenizer, or pack with one peer: called by tokenizer.py beside this file.

    python benchmarks/peers/tokenizer.py train hf TEXTS.jsonl OUTPUT 32000
    python benchmarks/peers/tokenizer.py pack datatrove FOLDER_OF_JSONL OUTPUT TOKENIZER_JSON WORKERS

Prints one JSON line: seconds of the work itself, and for training the file that HF tokenizers reads.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SEPARATOR = "<|endoftext|>"


def read(path: str) -> list[str]:
    """The texts of a JSON-lines file."""
    with Path(path).open(encoding="utf-8") as stream:
        return [json.loads(line)["text"] for line in stream]


def train(how: str, texts: list[str], output: str, vocab_size: int) -> str:
    """Train and write; the path of a tokenizer.json, or "" where there is none."""
    if how in ("hf", "hf_our_words"):
        from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        if how == "hf":
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        else:
            from onnuri.tokenizer.presplit import WORDS

            split = pre_tokenizers.Split(Regex(WORDS), behavior="isolated")
            byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[SEPARATOR],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer, length=len(texts))
        tokenizer.save(output)
        return output
    if how == "sentencepiece":
        import sentencepiece

        lines = Path(output + ".txt")
        lines.write_text("\n".join(x[:4000] for t in texts for x in t.split("\n") if x.strip()))
        sentencepiece.SentencePieceTrainer.train(
            input=str(lines),
            model_prefix=output,
            vocab_size=vocab_size,
            model_type="bpe",
            byte_fallback=True,
            num_threads=2,
            max_sentence_length=20000,
            minloglevel=2,
        )
        return ""
    if how == "rustbpe":
        import rustbpe

        rustbpe.Tokenizer().train_from_iterator(iter(texts), vocab_size)
        return ""
    from kiwipiepy import bpe_trainer

    bpe_trainer.train_bpe_tokenizer(output, texts, vocab_size, num_workers=2, show_progress=False)
    return output


def _documents(path: str, tokenizer: Any) -> Iterator[Any]:
    import torch

    end = tokenizer.token_to_id(SEPARATOR)
    for text in read(path):
        yield torch.tensor([*tokenizer.encode(text).ids, end], dtype=torch.int32)


class LitDataInput:
    """What litdata calls for each file; made once a process."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.tokenizer: Any = None

    def __call__(self, file: str) -> Iterator[Any]:
        from tokenizers import Tokenizer

        self.tokenizer = self.tokenizer or Tokenizer.from_file(self.path)
        yield from _documents(file, self.tokenizer)


def pack(how: str, folder: str, output: str, tokenizer: str, workers: int) -> None:
    """Encode all documents with one peer."""
    files = sorted(str(path) for path in Path(folder).glob("*.jsonl"))
    if how == "datatrove":
        from datatrove.executor import LocalPipelineExecutor
        from datatrove.pipeline.readers import JsonlReader
        from datatrove.pipeline.tokens import DocumentTokenizer

        step = DocumentTokenizer(
            output_folder=output + "/tokens",
            local_working_dir=output + "/work",
            tokenizer_name_or_path=tokenizer,
            eos_token=SEPARATOR,
            shuffle_documents=False,
            save_filename="d",
        )
        pipeline = [JsonlReader(folder), step]
        LocalPipelineExecutor(
            pipeline, tasks=len(files), workers=workers, logging_dir=output + "/log"
        ).run()
    elif how == "litdata":
        from litdata import TokensLoader, optimize

        optimize(
            fn=LitDataInput(tokenizer),
            inputs=files,
            output_dir=output,
            num_workers=workers,
            chunk_size=1024 * 4096,
            item_loader=TokensLoader(block_size=1024),
        )
    else:
        from datasets import load_dataset
        from tokenizers import Tokenizer

        loaded = Tokenizer.from_file(tokenizer)
        end = loaded.token_to_id(SEPARATOR)

        def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
            return {"input_ids": [[*e.ids, int(end or 0)] for e in loaded.encode_batch(batch["text"])]}

        rows = load_dataset("json", data_files=files, split="train", cache_dir=output + "/cache")
        rows = rows.map(encode, batched=True, num_proc=workers, remove_columns=rows.column_names)
        rows.save_to_disk(output + "/rows", num_proc=workers)


def main() -> None:
    """See the top of the file."""
    task, how, source, output, *rest = sys.argv[1:]
    result: dict[str, Any] = {}
    if task == "train":
        texts = read(source)
        start = time.monotonic()
        result["file"] = train(how, texts, output, int(rest[0]))
    else:
        os.environ["TOKENIZERS_PARALLELISM"] = "false"  # processes share the cores already
        start = time.monotonic()
        pack(how, source, output, rest[0], int(rest[1]))
    print("PEER " + json.dumps(result | {"seconds": time.monotonic() - start}))


if __name__ == "__main__":
    main()
