"""Which domains a corpus comes from: bytes of text by source and registrable domain.

No list of public suffixes is read. The domain of a host is its last two labels, or the last three where the
second last is one under which countries register names (co.kr, or.kr, ac.uk). So all blogs of tistory.com
count as one domain, and all hosts under a rarer suffix of two labels as that suffix.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

LARGEST = 1000
"""Domains of a source that a manifest names."""
HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:@]+)"
REGISTRABLE = (
    r"(?P<domain>^[0-9.]+$|[^.]+\.(?:(?:ac|co|com|edu|go|gov|hs|kg|mil|ms|ne|net|or|org|pe|re|sc|es)"
    r"\.[a-z]{2}|[^.]+)$)"
)


def sizes(rows: pa.Table) -> Counter[tuple[str, ...]]:
    """(source, domain) to bytes of text, of the documents that name an address with a host."""
    hosts = pc.struct_field(pc.extract_regex(rows["url"], HOST), "host")
    hosts = pc.utf8_rtrim(pc.utf8_lower(hosts), ".")
    domains = pc.struct_field(pc.extract_regex(hosts, REGISTRABLE), "domain")
    table = pa.table(
        {"source": rows["source"], "domain": domains, "bytes": pc.binary_length(rows["text"])}
    ).filter(pc.is_valid(domains))
    grouped = table.group_by(["source", "domain"]).aggregate([("bytes", "sum")])
    return Counter({(each["source"], each["domain"]): each["bytes_sum"] for each in grouped.to_pylist()})


def largest(counted: Mapping[tuple[str, ...], int], source: str) -> dict[str, Any]:
    """The manifest's `domains` of a source, bytes by domain, the largest first, and their number in all."""
    mine = [(size, name) for (whose, name), size in counted.items() if whose == source]
    mine.sort(key=lambda each: (-each[0], each[1]))
    return {"domains": {name: size for size, name in mine[:LARGEST]}, "num_domains": len(mine)}
