"""Domains of addresses: what counts as one, and what is no address."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from onnuri.corpus.report import domains


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://www.snu.ac.kr/a/b?c#d", "snu.ac.kr"),
        ("http://blog.naver.com:80/x", "naver.com"),
        ("https://NAVER.com./", "naver.com"),
        ("https://user:word@a.b.example.co.kr?x=1", "example.co.kr"),
        ("s3://bucket.example.org/key", "example.org"),
        ("https://10.0.0.1/z", "10.0.0.1"),
        ("https://xn--3e0b707e.example.한국/z", "example.한국"),
        ("https://co.kr", "co.kr"),
        ("https://localhost/x", ""),
        ("pkg:pypi/name", ""),
        ("naver.com", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_the_domain_of_an_address(url: str | None, domain: str) -> None:
    rows = pa.table({"source": ["a"], "text": ["가나"], "url": pa.array([url], pa.string())})
    assert domains.sizes(rows) == ({("a", domain): 6} if domain else {})


def test_bytes_add_up_by_source_and_the_largest_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    urls = ["https://a.kr/1", "https://x.a.kr/2", "https://b.kr", "https://c.kr", "https://a.kr"]
    texts, sources = ["1", "22", "333", "333333", "9"], ["s", "s", "s", "s", "t"]
    counted = domains.sizes(pa.table({"source": sources, "text": texts, "url": urls}))
    assert counted == Counter({("s", "c.kr"): 6, ("s", "a.kr"): 3, ("s", "b.kr"): 3, ("t", "a.kr"): 1})
    found = domains.largest(counted, "s")
    assert list(found["domains"].items()) == [("c.kr", 6), ("a.kr", 3), ("b.kr", 3)]
    monkeypatch.setattr(domains, "LARGEST", 2)
    assert domains.largest(counted, "s") == {"domains": {"c.kr": 6, "a.kr": 3}, "num_domains": 3}
