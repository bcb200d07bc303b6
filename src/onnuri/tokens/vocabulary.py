"""The tokenizer of a folder of shards: what packing needs of it, and the copy that the shards keep."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnuri.base.errors import UserError
from onnuri.base.manifest import Manifest
from onnuri.tokenizer.encoder import TokenizerFile
from onnuri.tokenizer.huggingface import TOKENIZER_FILES, num_ids, special_token, token_bytes
from onnuri.tokenizer.special import SEPARATOR
from onnuri.tokens.shards import token_dtype


class Vocabulary(NamedTuple):
    """A tokenizer that is ready to encode."""

    file: TokenizerFile
    size: int
    separator: int
    dtype: np.dtype
    sha256: str
    """Of tokenizer.json."""

    def facts(self) -> dict[str, Any]:
        """What the counts of the shards say of it."""
        return {"vocab_size": self.size, "dtype": self.dtype.name, "separator": self.separator}

    def keep(self, folder: Path) -> None:
        """Write the files of the tokenizer, and the bytes of each token, into a folder of shards."""
        (folder / "tokenizer").mkdir()
        for name in TOKENIZER_FILES:
            if (Path(self.file.folder) / name).is_file():
                shutil.copyfile(Path(self.file.folder) / name, folder / "tokenizer" / name)
        sizes = np.array([len(piece) for piece in token_bytes(self.file.tokenizer)], dtype=np.int32)
        np.save(folder / "token_bytes.npy", sizes)


def open_vocabulary(folder: str, tokenizer: Manifest) -> Vocabulary:
    """The tokenizer of a folder with its manifest. Raises UserError if it has no separator."""
    file = TokenizerFile(folder)
    name = special_token(folder, SEPARATOR, "eos_token")
    separator = file.tokenizer.token_to_id(name) if name else None
    if separator is None:
        raise UserError(f"tokenizer {folder} has no {SEPARATOR}, and no eos_token in tokenizer_config.json")
    size = num_ids(file.tokenizer)
    digest = tokenizer.files["tokenizer.json"]["sha256"]
    return Vocabulary(file, size, separator, token_dtype(size), digest)
