"""The tokenizer of a folder of shards: what packing needs of it, and the copy that the shards keep."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from onnuri.base import manifest
from onnuri.base.errors import UserError
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
    identity: str
    """Of all its files: what the manifest of shards records as their input."""

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


def open_vocabulary(name: str) -> Vocabulary:
    """The tokenizer of a folder: see `find_tokenizer`. Raises UserError if it has no separator."""
    folder, identity = find_tokenizer(name)
    file = TokenizerFile(folder)
    token = special_token(folder, SEPARATOR, "eos_token")
    separator = file.tokenizer.token_to_id(token) if token else None
    if separator is None:
        raise UserError(f"tokenizer {folder} has no {SEPARATOR}, and no eos_token in tokenizer_config.json")
    size = num_ids(file.tokenizer)
    digest = manifest.hash_file(Path(folder) / "tokenizer.json")
    return Vocabulary(file, size, separator, token_dtype(size), digest, identity)


def find_tokenizer(name: str) -> tuple[str, str]:
    """The folder of a tokenizer.json, and the hash that a request knows the tokenizer by.

    `name` is what `onnuri tokenizer`, `export` or `import` wrote, a folder of shards, or a Hugging Face
    folder from elsewhere. Files that a manifest lists must match it.

    Raises UserError for a folder that holds no tokenizer.json, or a changed one.
    """
    kind, root = manifest.kind_of(Path(name)), Path(name)
    places = [each for each in (root, root / "tokenizer") if (each / "tokenizer.json").is_file()]
    if kind == "tokenizer" or not name or not root.is_dir() or (kind and not places):
        found = manifest.read(name, "tokenizer")
        manifest.verify(name, found)
        return name, found.identity
    if not places:
        raise UserError(
            f"tokenizer={name} holds no tokenizer.json; give a tokenizer folder or the folder of a model"
        )
    digests = {
        path.name: manifest.hash_file(path)
        for path in (places[0] / file for file in TOKENIZER_FILES)
        if path.is_file()
    }
    listed = manifest.read(root, kind).files if kind else {}
    for file, digest in digests.items():
        path = places[0] / file
        facts = listed.get(path.relative_to(root).as_posix())
        if kind and (not facts or facts["sha256"] != digest):
            raise UserError(
                f"{path} does not match the hash in {manifest.FILE_NAME}; the file was changed or damaged"
            )
    return str(places[0]), manifest.hash_json(digests)
