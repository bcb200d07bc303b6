"""`onnuri COMMAND ...`: which command a name stands for. Imports nothing but the command."""

from __future__ import annotations

import importlib
import sys

from onnuri import __version__
from onnuri.base.errors import nearest

COMMANDS = {
    "corpus": "clean, mask and deduplicate raw text",
    "quality": "train a quality model for the corpus",
    "tokenizer": "train, compare or extend a tokenizer",
    "pack": "encode a corpus into token shards",
    "plan": "memory, time and network of a run before it starts",
    "pretrain": "pretrain a model (under torchrun: torchrun ... -m onnuri.cli.pretrain)",
    "tune": "tune a model on conversations or preference pairs (under torchrun: -m onnuri.cli.tune)",
    "export": "write a run as a Hugging Face folder, its model card, a GGUF file",
    "import": "take an open model, to go on training it",
    "evaluate": "bits per byte of a model on held-out text",
    "generate": "continue a text with a model",
    "chat": "talk to a chat model in the terminal",
    "serve": "an OpenAI-compatible server with a chat page",
    "hub": "a place to share models and datasets, for Hugging Face clients",
    "tasks": "Korean tasks made by program, with exact checkers",
    "ledger": "verify or sign a run, list the sources of a checkpoint",
    "challenge": "an open contest: fixed text, sealed held-out text, runs that replay",
    "bundle": "everything for an installation without a network",
    "gpu_check": "check and measure this machine's GPU",
}
MODULES = {"import": "import_model"}
"""Of commands that no module can be named after."""


def main() -> None:
    """Run the command that the first word names."""
    name, *words = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        print("Raw Korean and English text to a language model.\n\nonnuri COMMAND [key=value ...]\n")
        print("\n".join(f"  {command:<10} {purpose}" for command, purpose in COMMANDS.items()))
        print("\nonnuri COMMAND --help lists its options; onnuri --version")
    elif name == "--version":
        print(f"onnuri {__version__}")
    elif name in COMMANDS:
        sys.argv[1:] = words
        importlib.import_module(f"onnuri.cli.{MODULES.get(name, name)}").main()
    else:
        print(f"error: '{name}' is no command{nearest(name, COMMANDS)}; see onnuri --help", file=sys.stderr)
        sys.exit(2)
