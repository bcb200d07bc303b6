"""Token shards on disk: plain .npy files, memory-mapped, with one row of facts per document.

A shard holds documents of one source, and no document is cut between two shards. Shards of conversations
have a third file, which says what a model learns to write of them.
"""

from __future__ import annotations

import bisect
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np

from onnuri.base.errors import UserError

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
TRAINED = np.dtype([("offset", "<u8"), ("length", "<u4")])
"""A run of tokens that are trained on; offset: of its first token, from the start of the shard. Rows ascend
and do not overlap. They lie in NAME.trained.npy; of a shard without that file everything is trained on."""
SYNC_BYTES = 32 << 20
"""Written between two requests to put a shard on disk, so that little is left to wait for at the end."""


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
    sources: list[int]
    """Row of each shard's source in the table of sources."""
    starts: list[int]
    """Offset of each shard's first token in the stream, and the length of the stream at the end."""

    @classmethod
    def open(cls, folder: str | Path, split: str) -> TokenShards:
        """Map the shards of `split` (train or heldout). Reads no token.

        Raises UserError if there is no such shard.
        """
        paths = sorted(Path(folder).glob(f"{split}-*.tokens.npy"))
        if not paths:
            raise UserError(f"{folder} has no {split} shards")
        shards = [load_array(path, "r") for path in paths]
        starts = [0]
        for shard in shards:
            starts.append(starts[-1] + len(shard))
        tables = [path.with_name(path.name.replace(".tokens.", ".documents.")) for path in paths]
        sources = [int(load_array(table, "r")["source"][0]) for table in tables]
        return cls(shards, tables, sources, starts)

    @property
    def dtype(self) -> np.dtype:
        """How a token id is stored."""
        return self.shards[0].dtype

    @property
    def num_tokens(self) -> int:
        """Tokens in the stream."""
        return self.starts[-1]

    def read(self, start: int, count: int) -> np.ndarray:
        """Tokens [start, start + count) of the stream, across shards; [count] of the stored dtype.

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

    def document_table(self, shard: int) -> np.ndarray:
        """DOCUMENT rows of one shard, memory-mapped; offsets count from the shard's start."""
        return load_array(self.document_files[shard], "r")

    def documents(self, shards: Sequence[int] | None = None) -> np.ndarray:
        """One DOCUMENT row per document of some shards, or of all; offsets count through the stream."""
        tables = [np.zeros(0, dtype=DOCUMENT)]
        for shard in range(len(self.shards)) if shards is None else shards:
            tables.append(load_array(self.document_files[shard]))
            tables[-1]["offset"] += self.starts[shard]
        return np.concatenate(tables)


def load_array(
    path: Path, mmap_mode: Literal["r"] | None = None, way_out: str = "pack again"
) -> np.ndarray:
    """An array of a .npy file, memory-mapped or read. Raises UserError if the file is damaged."""
    try:
        array: np.ndarray = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
    except (ValueError, EOFError):  # their texts speak of pickles, which it is not
        raise UserError(f"{path} is damaged: no whole NumPy array; {way_out}") from None
    return array


def write_array(path: Path, values: np.ndarray) -> None:
    """Write a .npy file that is there as a whole or not at all."""
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    with partial.open("wb") as stream:
        np.save(stream, values)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(path)


class SplitWriter:
    """Writes one split: the documents of each source to shards of their own.

    Args:
        together: so many documents in a row lie in one shard (a pair: 2); `add` takes whole groups.
    """

    def __init__(
        self, folder: Path, split: str, dtype: np.dtype, shard_tokens: int, together: int = 1
    ) -> None:
        self.folder, self.split, self.dtype, self.shard_tokens = folder, split, dtype, shard_tokens
        self.together = together
        self._writers: dict[int, ShardWriter] = {}

    def add(self, tokens: np.ndarray, documents: np.ndarray, trained: np.ndarray | None = None) -> None:
        """Append documents of any sources: their tokens, separators included, and a DOCUMENT row for each.

        The rows lie as the tokens do, and their offsets count from the first of `tokens`; so do those of
        `trained`, TRAINED rows within the documents. None: everything is trained on.
        """
        sources = np.unique(documents["source"]).tolist()
        for source in sources:
            rows, piece, spans = documents, tokens, trained
            if len(sources) > 1:
                chosen = documents["source"] == source
                rows, piece = documents[chosen], tokens[np.repeat(chosen, documents["length"])]
                rows["offset"] = np.cumsum(rows["length"]) - rows["length"]
                if trained is not None:
                    begins = documents["offset"].copy()
                    inside = np.searchsorted(begins, trained["offset"], side="right") - 1
                    moved = chosen[inside]
                    begins[chosen] -= rows["offset"]  # how far each document moves
                    spans = trained[moved].copy()
                    spans["offset"] -= begins[inside[moved]]
            if source not in self._writers:
                name = f"{self.split}-{source:05d}"
                self._writers[source] = ShardWriter(
                    self.folder, name, self.dtype, self.shard_tokens, self.together
                )
            self._writers[source].add(piece, rows, spans)

    def close(self) -> None:
        """Finish all shards."""
        for writer in self._writers.values():
            writer.close()

    @property
    def num_shards(self) -> int:
        """Shards of all sources."""
        return sum(writer.num_shards for writer in self._writers.values())

    def totals(self, source: int | None = None) -> dict[str, int]:
        """Documents, tokens and bytes of text, of one source or of all."""
        writers = self._of(source)
        return {
            "documents": sum(writer.num_documents for writer in writers),
            "tokens": sum(writer.num_tokens for writer in writers),
            "bytes": sum(writer.num_bytes for writer in writers),
        }

    def trained_tokens(self, source: int | None = None) -> int:
        """Tokens that are trained on, of one source or of all."""
        return sum(writer.num_trained for writer in self._of(source))

    def languages(self, source: int) -> set[int]:
        """Languages that a source's documents are in."""
        return self._writers[source].languages if source in self._writers else set()

    def _of(self, source: int | None) -> list[ShardWriter]:
        return [writer for number, writer in self._writers.items() if source in (None, number)]


class ShardWriter:
    """Writes NAME-00000, NAME-00001 and so on, one after the other; holds one batch of documents."""

    def __init__(
        self, folder: Path, name: str, dtype: np.dtype, shard_tokens: int, together: int = 1
    ) -> None:
        self.folder, self.name, self.dtype, self.shard_tokens = folder, name, dtype, shard_tokens
        self.together = together
        self.num_shards = 0
        self.num_tokens = 0
        self.num_documents = 0
        self.num_bytes = 0
        self.num_trained = 0
        self.languages: set[int] = set()
        self._tables: list[np.ndarray] = []
        self._spans: list[np.ndarray] = []
        self._offset = 0
        self._file: BinaryIO | None = None
        self._unsynced = 0
        self._syncing = ThreadPoolExecutor(1)
        self._synced: list[Future[None]] = []

    def add(self, tokens: np.ndarray, documents: np.ndarray, trained: np.ndarray | None = None) -> None:
        """Append documents: their tokens, separators included, and a DOCUMENT row for each.

        The rows' offsets count from the first of `tokens`, and those of `trained`, TRAINED rows, do too.
        """
        ends = (documents["offset"] + documents["length"]).astype(np.int64)
        done = 0
        while done < len(documents):
            start = int(documents["offset"][done])
            room = start + self.shard_tokens - self._offset
            stop = int(np.searchsorted(ends, room, side="right"))
            stop -= (stop - done) % self.together
            if stop <= done and self._offset:
                self.close()
                continue
            stop = max(stop, done + self.together)  # what is longer than a shard has one of its own
            rows = documents[done:stop].copy()
            rows["offset"] += np.uint64(self._offset)
            rows["offset"] -= np.uint64(start)
            if self._file is None:
                self._file = (self.folder / f"{self._name()}.tokens.npy").open("wb")
                self._write_header(self._file)
            self._unsynced += self._file.write(
                tokens[start : ends[stop - 1]].astype(self.dtype, copy=False).data
            )
            if self._unsynced > SYNC_BYTES:
                self._file.flush()
                self._synced.append(self._syncing.submit(os.fdatasync, self._file.fileno()))
                self._unsynced = 0
            self._tables.append(rows)
            if trained is not None:
                first, last = np.searchsorted(trained["offset"], [start, ends[stop - 1]])
                spans = trained[first:last].copy()
                spans["offset"] += np.uint64(self._offset)
                spans["offset"] -= np.uint64(start)
                self._spans.append(spans)
            self._offset += int(ends[stop - 1]) - start
            done = stop
        self.num_tokens += int(documents["length"].sum())
        self.num_documents += len(documents)
        self.num_bytes += int(documents["bytes"].sum())
        self.num_trained += int((documents if trained is None else trained)["length"].sum())
        self.languages.update(np.unique(documents["lang"]).tolist())

    def close(self) -> None:
        """Finish the shard that is being written, if there is one."""
        if self._file is None:
            return
        for future in self._synced:
            future.result()  # an error of the disk is raised once
        self._file.seek(0)
        self._write_header(self._file)
        self._file.close()
        np.save(self.folder / f"{self._name()}.documents.npy", np.concatenate(self._tables))
        if self._spans:
            np.save(self.folder / f"{self._name()}.trained.npy", np.concatenate(self._spans))
        self.num_shards += 1
        self._tables, self._spans, self._offset, self._file, self._synced = [], [], 0, None, []

    def _name(self) -> str:
        return f"{self.name}-{self.num_shards:05d}"

    def _write_header(self, file: BinaryIO) -> None:
        """NumPy leaves room for the shape to grow, so the header is as long at the end as at the start."""
        header = {"descr": self.dtype.str, "fortran_order": False, "shape": (self._offset,)}
        np.lib.format.write_array_header_1_0(file, header)
