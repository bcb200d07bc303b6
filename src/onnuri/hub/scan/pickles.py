"""Calls that loading a file would make: pickles, alone and in the zip files of torch and numpy, and Keras.

Nothing is unpickled: picklescan reads the instructions of a pickle for what they import.
"""

from __future__ import annotations

import ast
import json
import pickletools
import re
import struct
import zipfile
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from picklescan.relaxed_zipfile import RelaxedZipFile
from picklescan.scanner import SafetyLevel, scan_pickle_bytes

from onnuri.hub.scan.table import SAFE, SUSPICIOUS, UNSAFE

MAGIC = re.compile(rb"\x80[\x00-\x05]")
ZIP, NUMPY = b"PK\x03\x04", b"\x93NUMPY"
TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""How files of torch before 1.6 begin: five pickles, then the tensors."""
TORCH_PICKLES = 5
COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"x\x01", b"x\x5e", b"x\x9c", b"x\xda", b"\x28\xb5\x2f\xfd")
PICKLE_NAMES = (".pkl", ".pickle", ".joblib", ".dill", ".data", ".dat")
MOST_MEMBERS = 100_000
LARGEST_MEMBER = 256 << 20
"""Bytes of a pickle in a zip file, decompressed."""
BOMB_RATIO, BOMB_SIZE = 100, 16 << 20
LARGEST_CONFIG = 32 << 20
LAMBDA = re.compile(rb'"class_name"\s*:\s*"Lambda"')
MOST_REASONS = 20
KNOWN = frozenset(("torch._utils._rebuild_parameter",))
"""Calls that torch's own files make and its weights_only=True allows, which picklescan does not list."""
ORDER = (SAFE, SUSPICIOUS, UNSAFE)


@dataclass
class Found:
    """What a look at a file gave."""

    state: str = SAFE
    reasons: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, state: str, reason: str) -> None:
        """The state only gets worse."""
        self.state = max(self.state, state, key=ORDER.index)
        if len(self.reasons) < MOST_REASONS:
            self.reasons.append(reason[:300])


def loadable(found: Found, stream: BinaryIO, named: bool) -> None:
    """A file by how it begins; `named` says that it is loaded as a pickle, however it begins."""
    start = stream.read(len(TORCH))
    stream.seek(0)
    if start.startswith(ZIP):
        archive(found, stream)
    elif start.startswith(NUMPY):
        array(found, stream, "")
    elif start == TORCH:
        for _ in range(TORCH_PICKLES):
            one_pickle(found, stream, "")
    elif named and start.startswith(COMPRESSED):
        found.add(SUSPICIOUS, "a compressed pickle is not looked into")
    elif named or MAGIC.match(start):
        pickles(found, stream, "")


def archive(found: Found, stream: BinaryIO) -> None:
    """A zip file. No member is decompressed further than a pickle in it may be large."""
    try:
        opened = RelaxedZipFile(stream)
    except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as error:
        found.add(SUSPICIOUS, f"the zip file cannot be read: {error}")
        return
    members = opened.infolist()
    if len(members) > MOST_MEMBERS:
        found.add(SUSPICIOUS, f"a zip file of {len(members):,} members is not looked into")
        return
    for member in members:
        if member.file_size > max(BOMB_SIZE, BOMB_RATIO * member.compress_size):
            found.add(
                UNSAFE, f"{member.filename}: {member.file_size:,} bytes out of {member.compress_size:,}"
            )
            continue
        try:
            _member(found, opened, member)
        except (
            zipfile.BadZipFile,
            EOFError,
            ValueError,
            RuntimeError,
            NotImplementedError,
            OSError,
        ) as error:
            found.add(SUSPICIOUS, f"{member.filename}: cannot be read: {error}")


def _member(found: Found, opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
    with opened.open(member) as first:
        start = first.read(len(NUMPY))
    is_array = start.startswith(NUMPY)
    if not is_array and not MAGIC.match(start) and not member.filename.lower().endswith(PICKLE_NAMES):
        return
    if is_array:
        with opened.open(member) as stream:
            array(found, cast(BinaryIO, stream), member.filename)
    elif member.file_size > LARGEST_MEMBER:
        found.add(
            SUSPICIOUS, f"{member.filename}: a pickle of {member.file_size:,} bytes is not looked into"
        )
    else:
        with opened.open(member) as stream:
            pickles(found, cast(BinaryIO, stream), member.filename)


def array(found: Found, stream: BinaryIO, name: str) -> None:
    """A file of numpy: one of objects has a pickle behind its header."""
    stream.read(len(NUMPY))
    version = stream.read(2)
    size = 2 if version[:1] == b"\x01" else 4
    length = int.from_bytes(stream.read(size), "little")
    text = stream.read(min(length, 1 << 16)).decode("latin-1").strip()
    try:
        kind = repr(ast.literal_eval(text)["descr"])
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError):
        found.add(SUSPICIOUS, f"{name}: the header of the array cannot be read".lstrip(": "))
        return
    if re.search(r"'[|<>=]?O\d*'", kind):
        pickles(found, stream, name)


def pickles(found: Found, stream: BinaryIO, name: str) -> None:
    """A pickle, and those that follow it."""
    start = stream.tell()
    whole = True
    try:
        for _ in pickletools.genops(stream):
            pass
    except (ValueError, EOFError, IndexError, struct.error, UnicodeDecodeError, OverflowError):
        whole = False
    stream.seek(start)
    _scan(found, stream, name, several=True)
    if not whole:
        found.add(SUSPICIOUS, f"{name}: no pickle that can be read to its end".lstrip(": "))


def one_pickle(found: Found, stream: BinaryIO, name: str) -> None:
    """The pickle that comes next; the stream is behind it afterwards."""
    _scan(found, stream, name, several=False)


def _scan(found: Found, stream: BinaryIO, name: str, several: bool) -> None:
    result = scan_pickle_bytes(stream, name or "file", multiple_pickles=several)
    prefix = f"{name}: " if name else ""
    for each in sorted(result.globals, key=lambda each: (each.module, each.name)):
        call = f"{each.module}.{each.name}"
        if each.safety is SafetyLevel.Dangerous:
            found.add(UNSAFE, f"{prefix}calls {call}")
        elif each.safety is SafetyLevel.Suspicious and call not in KNOWN:
            found.add(SUSPICIOUS, f"{prefix}calls {call}, which is not known to be safe")
    if result.scan_err:
        found.add(SUSPICIOUS, f"{prefix}no pickle that can be read to its end")


def keras(found: Found, stream: BinaryIO) -> None:
    """Lambda layers of Keras, which hold code."""
    if stream.read(4) == ZIP:
        stream.seek(0)
        archive(found, stream)
        with RelaxedZipFile(stream) as opened:
            for member in opened.infolist():
                if member.filename == "config.json":
                    with opened.open(member) as config:
                        _config_of_keras(found, config.read(LARGEST_CONFIG + 1))
        return
    stream.seek(0)
    before = b""
    while piece := stream.read(1 << 20):
        if LAMBDA.search(before + piece):
            found.add(UNSAFE, "a Lambda layer of Keras runs code")
            return
        before = piece[-64:]


def _config_of_keras(found: Found, content: bytes) -> None:
    if len(content) > LARGEST_CONFIG:
        found.add(SUSPICIOUS, f"config.json has more than {LARGEST_CONFIG:,} bytes")
        return
    left: list[Any] = [json.loads(content)]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            if each.get("class_name") == "Lambda":
                found.add(UNSAFE, "a Lambda layer of Keras runs code")
                return
            left.extend(each.values())
        elif isinstance(each, list):
            left.extend(each)


def config(found: Found, stream: BinaryIO) -> None:
    """auto_map of transformers, which names classes in files of the repository."""
    content = stream.read(LARGEST_CONFIG + 1)
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return  # nothing loads it
    if isinstance(value, dict) and value.get("auto_map"):
        found.add(SUSPICIOUS, "runs code of the repository where trust_remote_code is given (auto_map)")
