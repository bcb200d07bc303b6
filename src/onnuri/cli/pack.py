"""Encode a corpus, or conversations of your own, into memory-mapped token shards.

onnuri pack input=CORPUS_DIR tokenizer=TOKENIZER_DIR output=DIR
onnuri pack kind=chat input='talks/*.jsonl' license=CC-BY-4.0 tokenizer=TOKENIZER_DIR output=DIR
onnuri pack kind=preference input=pairs.parquet license=MIT tokenizer=TOKENIZER_DIR output=DIR
onnuri pack kind=chat recipe=songys input=ChatbotData.csv tokenizer=TOKENIZER_DIR output=DIR
onnuri pack kind=chat input=talks.jsonl source=chat license=MIT base=TOKENS_DIR \\
    tokenizer=TOKENIZER_DIR output=DIR      # with the sources of TOKENS_DIR, for data.mixture
onnuri pack kind=tasks input=TASKS_DIR tokenizer=TOKENIZER_DIR output=DIR      # of onnuri tasks make

Layouts of conversations and what is refused: docs/chat.md
"""

from onnuri.config import run_cli
from onnuri.tokens.config import PackConfig


def run(config: PackConfig) -> None:
    """Encode and write."""
    if config.kind == "text":
        from onnuri.tokens.pack import pack as pack_kind
    elif config.kind == "tasks":
        from onnuri.chat.data.pack_tasks import pack_tasks as pack_kind
    else:
        from onnuri.chat.data.pack import pack as pack_kind
    from onnuri.hf.push import prepare, push_folder

    name = prepare(config.push, config.hub, "dataset")
    pack_kind(config)
    if name:
        push_folder(config.output, name, "tokens")


def main() -> None:
    """The command."""
    run_cli(PackConfig, run, __doc__, command="pack")


if __name__ == "__main__":
    main()
