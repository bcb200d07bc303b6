"""Token shards on disk: plain .npy files, memory-mapped, with one row of facts per document."""

from __future__ import annotations

import bisect
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from onnuri.errors import UserError

DOCUMENT = np.dtype(
    [
        ("offset", "<u8"),
        ("length", "<u4"),
        ("bytes", "<u4"),
        ("source", "<u2"),
        ("lang", "<u2"),
        ("id", "S32"),
    ]
)
"""offset: first token; length: tokens with the separator; bytes: UTF-8 size; source, lang: table rows."""


def token_dtype(vocab_size: int) -> np.dtype:
    """The smallest unsigned integer that holds every token id."""
    return np.dtype("<u2") if vocab_size <= 1 << 16 else np.dtype("<u4")


@dataclass(frozen=True)
class TokenShards:
    """All shards of one split as one stream of tokens."""

    shards: list[np.ndarray]
    """Memory-mapped 1-D arrays of token ids."""
    document_files: list[Path]
    """Document table of each shard; offsets in it count from the start of the shard."""
    starts: list[int]
    """Place of each shard's first token in the stream, and the length of the stream at the end."""

    @classmethod
    def open(cls, folder: str | Path, split: str) -> TokenShards:
        """Map the shards of `split` (train or heldout). Reads no token.

        Raises UserError if there is no such shard.
        """
        paths = sorted(Path(folder).glob(f"{split}-*.tokens.npy"))
        if not paths:
            raise UserError(f"{folder} has no {split} shards")
        shards = [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]
        starts = [0]
        for shard in shards:
            starts.append(starts[-1] + len(shard))
        tables = [path.with_name(path.name.replace(".tokens.", ".documents.")) for path in paths]
        return cls(shards, tables, starts)

    @property
    def num_tokens(self) -> int:
        """Tokens in the stream."""
        return self.starts[-1]

    def read(self, start: int, count: int) -> np.ndarray:
        """Tokens [start, start + count) of the stream, across shard borders; [count] of the stored dtype.

        Raises IndexError outside of the stream.
        """
        if start < 0 or start + count > self.num_tokens:
            raise IndexError(f"tokens {start} to {start + count} of {self.num_tokens}")
        out = np.empty(count, dtype=self.shards[0].dtype)
        done, index = 0, bisect.bisect_right(self.starts, start) - 1
        while done < count:
            offset = start + done - self.starts[index]
            piece = self.shards[index][offset : offset + count - done]
            out[done : done + len(piece)] = piece
            done += len(piece)
            index += 1
        return out

    @cached_property
    def documents(self) -> np.ndarray:
        """One DOCUMENT row per document, offsets counting through the whole stream."""
        tables = [np.load(path, allow_pickle=False) for path in self.document_files]
        for table, start in zip(tables, self.starts, strict=False):
            table["offset"] += start
        return np.concatenate(tables)


class ShardWriter:
    """Writes one split, shard by shard; holds one document at a time."""

    def __init__(self, folder: Path, split: str, dtype: np.dtype, shard_tokens: int) -> None:
        self.folder, self.split, self.dtype, self.shard_tokens = folder, split, dtype, shard_tokens
        self.num_shards = 0
        self.num_tokens = 0
        self.num_documents = 0
        self.num_bytes = 0
        self._rows: list[tuple[int, int, int, int, int, bytes]] = []
        self._offset = 0
        self._raw = self._raw_path().open("wb")

    def add(self, tokens: np.ndarray, num_bytes: int, source: int, lang: int, identity: str) -> None:
        """Append one document: its tokens, the separator included."""
        if self._offset and self._offset + len(tokens) > self.shard_tokens:
            self._finish_shard()
        self._raw.write(tokens.astype(self.dtype).tobytes())
        self._rows.append((self._offset, len(tokens), num_bytes, source, lang, identity.encode()))
        self._offset += len(tokens)
        self.num_tokens += len(tokens)
        self.num_documents += 1
        self.num_bytes += num_bytes

    def close(self) -> None:
        """Finish the last shard."""
        if self._offset:
            self._finish_shard()
        self._raw.close()
        self._raw_path().unlink()

    def _raw_path(self) -> Path:
        return self.folder / f"{self.split}.raw"

    def _finish_shard(self) -> None:
        """Turn the raw tokens into .npy: header first, then the bytes."""
        self._raw.close()
        name = f"{self.split}-{self.num_shards:05d}"
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self._offset,)}
        with (self.folder / f"{name}.tokens.npy").open("wb") as out, self._raw_path().open("rb") as raw:
            np.lib.format.write_array_header_1_0(out, header)
            shutil.copyfileobj(raw, out, 1 << 20)
        np.save(self.folder / f"{name}.documents.npy", np.array(self._rows, dtype=DOCUMENT))
        self.num_shards += 1
        self._rows, self._offset = [], 0
        self._raw = self._raw_path().open("wb")
