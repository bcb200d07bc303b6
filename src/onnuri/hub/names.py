"""Names of accounts, repositories, branches and files: what may be one."""

from __future__ import annotations

import re
import unicodedata

from onnuri.hub.errors import HubError, bad_request

TYPES = {"models": "model", "datasets": "dataset"}
"""In addresses, and in the tables."""
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
RESERVED = frozenset(
    (
        "access",
        "admin",
        "api",
        "audit",
        "cas",
        "datasets",
        "docs",
        "favicon.ico",
        "health",
        "join",
        "login",
        "logout",
        "metrics",
        "models",
        "new",
        "oauth",
        "organizations",
        "robots.txt",
        "search",
        "settings",
        "sources",
        "spaces",
        "static",
        "tokens",
        "users",
        "v1",
    )
)
"""First parts of the hub's own addresses."""
UNSEEN, JOINERS = ("Cc", "Cs", "Zl", "Zp", "Cf"), "\u200c\u200d"
"""Kinds of characters that a reader does not see; those that emoji and some scripts are written with."""
LONGEST_PART, LONGEST_PATH, DEEPEST = 255, 1024, 32
"""Bytes, bytes, folders."""
REF = re.compile(r"(?!/)(?!.*(?://|\.\.|@\{|/\.|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\]{1,200}(?<![/.])")


def check_name(name: str) -> str:
    """A name of an account or repository, as it is. Raises HubError for what clients would refuse too."""
    if (
        not NAME.fullmatch(name)
        or "--" in name
        or ".." in name
        or name.lower().endswith((".git", ".ipynb"))
    ):
        raise bad_request(
            f"{name[:100]!r} is no name here: 1 to 96 letters, digits and . _ - ; no -- or .. , no . or - "
            "at an end, no .git or .ipynb at the end"
        )
    return name


def check_account(name: str) -> str:
    """The same, for what is the first part of addresses."""
    if check_name(name).casefold() in RESERVED:
        raise bad_request(f"{name!r} is an address of the hub itself; choose another name")
    return name


def check_ref(name: str) -> str:
    """The name of a branch or tag."""
    if not REF.fullmatch(name) or name.startswith(("refs/", "-")) or re.fullmatch(r"[0-9a-f]{40}", name):
        raise bad_request(f"{name[:100]!r} cannot be a branch or tag")
    return name


def clean_path(path: str) -> str:
    """A path of a file, in NFC. Raises HubError for one that could leave its folder or be misread."""
    path = unicodedata.normalize("NFC", path)
    parts = path.split("/")
    for part in parts:
        if (
            part in ("", ".", "..")
            or part.lower() == ".git"
            or len(part.encode(errors="replace")) > LONGEST_PART
        ):
            raise bad_request(f"{path[:200]!r} is no path of a file here")
        for each in part:
            if each == "\\" or (unicodedata.category(each) in UNSEEN and each not in JOINERS):
                raise bad_request(
                    f"{path[:200]!r} has the character U+{ord(each):04X}, which no path here may have"
                )
    if len(path.encode()) > LONGEST_PATH or len(parts) > DEEPEST:
        raise bad_request(f"{path[:100]!r}... is too long: {LONGEST_PATH} bytes, {DEEPEST} folders")
    return path


def type_of(plural: str) -> str:
    """model or dataset, from an address."""
    if plural not in TYPES:
        raise HubError(404, f"{plural[:40]!r} are not kept here, but models and datasets")
    return TYPES[plural]


def plural_of(kind: str) -> str:
    """models or datasets."""
    return f"{kind}s"
