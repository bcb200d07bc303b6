"""What uploads must not be able to do: have others' bytes, exhaust memory, put wrong bytes under a hash."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import update

from onnuri.hub import accounts, schema
from onnuri.hub.database import Database
from onnuri.hub.errors import HubError
from onnuri.hub.xet import gateway
from onnuri.hub.xet.formats import Tree, XorbReader, from_hex, to_hex
from onnuri.hub.xet.gateway import Xorbs
from tests.hub.hubs import Server, running
from tests.hub.lfs import batch, commit
from tests.hub.xorbs import BOOKEND, TAG, chunk_hash, pack, shard, tree, xorb
from tests.soak import tries

NewName = Callable[[], str]
SECRET = random.Random(0).randbytes(200_000)


class Cas:
    """A client of the xet routes of one repository."""

    def __init__(self, hub: Server, who: str, name: str) -> None:
        with hub.client(who) as client:
            answer = client.get(f"/api/models/{name}/xet-write-token/main")
        self.facts = answer.json()
        assert answer.headers["x-xet-cas-url"] == self.facts["casUrl"]
        assert answer.headers["x-xet-access-token"] == self.facts["accessToken"]
        headers = {"authorization": f"Bearer {self.facts['accessToken']}"}
        self.client = httpx.Client(base_url=self.facts["casUrl"], headers=headers, timeout=60)

    def xorb(self, hash: str, body: bytes) -> httpx.Response:
        return self.client.post(f"/v1/xorbs/default/{hash}", content=body)

    def shard(self, body: bytes) -> httpx.Response:
        return self.client.post("/v1/shards", content=body)

    def ask(self, chunk: bytes) -> httpx.Response:
        return self.client.get(f"/v1/chunks/default/{to_hex(chunk_hash(chunk))}")


@pytest.fixture
def names(hub: Server, new_name: NewName) -> Iterator[tuple[str, str]]:
    """A private repository of `lab` with SECRET in it, and one of a stranger."""
    secret, own = f"lab/{new_name()}", f"park/{new_name()}"
    hub.api("lee").create_repo(secret, private=True)
    hub.api("park").create_repo(own)
    cas = Cas(hub, "lee", secret)
    hash, body = xorb([SECRET[:100_000], SECRET[100_000:]])
    assert cas.xorb(hash, body).json() == {"was_inserted": True}
    assert cas.xorb(hash, body).json() == {"was_inserted": False}
    for result in (1, 0):  # the second time nothing is new
        answer = cas.shard(shard(hash, [SECRET[:100_000], SECRET[100_000:]]))
        assert answer.json() == {"result": result}, answer.text
    assert commit(hub, "lee", secret, SECRET).status_code == 200
    yield secret, own


def test_a_hash_opens_nothing(hub: Server, names: tuple[str, str], tmp_path: Path) -> None:
    secret, own = names
    path = hub.api("lee").hf_hub_download(secret, "w.bin", cache_dir=tmp_path)
    assert Path(path).read_bytes() == SECRET
    chunks = [SECRET[:100_000], SECRET[100_000:]]
    hash, _ = xorb(chunks)

    answer = commit(hub, "park", own, SECRET)
    assert answer.status_code == 400 and "was not uploaded" in answer.json()["error"]

    assert "upload" in batch(hub, "park", own, SECRET)["actions"], (
        "another's content does not count as there"
    )
    assert batch(hub, "park", own, SECRET, "download")["error"]["code"] == 404
    assert "actions" not in batch(hub, "lee", secret, SECRET)

    cas = Cas(hub, "park", own)
    answer = cas.shard(shard(hash, chunks))
    assert answer.status_code == 400 and "was not uploaded" in answer.json()["error"]
    assert [cas.ask(chunk).status_code for chunk in chunks] == [404, 404]
    for path in ("/v2/shards", f"/v1/xorb-grants/default/{hash}"):
        assert cas.client.post(path, content=b"x").status_code == 404
    foreign = Cas(hub, "lee", secret)
    cas.client.base_url = foreign.client.base_url
    assert cas.shard(shard(hash, chunks)).status_code == 403, "a token is for its repository"
    with hub.client("park") as client:
        assert client.get(f"/api/models/{secret}/xet-write-token/main").status_code == 404
    with hub.client() as client:
        assert client.post("/v1/telemetry", content=b"{}").status_code == 200
    assert commit(hub, "park", own, SECRET).status_code == 400


def described(body: bytes) -> dict[str, list[tuple[bytes, int, int]]]:
    """Of the xorbs of a shard: hash, start and size of each chunk."""
    footer = struct.unpack("<9Q32s12Q", body[-200:])
    assert body.startswith(struct.pack("<32sQQ", TAG, 2, 200) + BOOKEND)
    first, last = footer[2], footer[3]
    assert footer[:3] == (1, 48, 96) and footer[-1] == last == len(body) - 200
    assert footer[3:9] == (last, 0) * 3 and footer[9] == bytes(32)
    found: dict[str, list[tuple[bytes, int, int]]] = {}
    while (record := body[first : first + 48]) != BOOKEND:
        digest, flags, count, size, _ = struct.unpack("<32s4I", record)
        chunks = [struct.unpack_from("<32s4I", body, first + 48 * number) for number in range(1, count + 1)]
        assert flags == 0 and size == sum(chunk[2] for chunk in chunks)
        found[to_hex(digest)] = [chunk[:3] for chunk in chunks]
        first += 48 * (count + 1)
    assert first + 48 == last
    return found


def test_a_question_shows_ones_own_xorbs_alone(hub: Server, new_name: NewName) -> None:
    name, other, foreign = f"lab/{new_name()}", f"lab/{new_name()}", f"park/{new_name()}"
    for who, each in (("kim", name), ("kim", other), ("park", foreign)):
        hub.api(who).create_repo(each)
    lee, kim, chunks = Cas(hub, "lee", name), Cas(hub, "kim", name), [b"a" * 1000, b"b" * 2000]
    hash, body = xorb(chunks)
    assert lee.ask(chunks[0]).status_code == 404, "nothing was sent"
    assert lee.xorb(hash, body).status_code == 200
    kims = xorb([b"c"])
    assert kim.xorb(*kims).status_code == 200
    records = [(chunk_hash(chunks[0]), 0, 1000), (chunk_hash(chunks[1]), 1000, 2000)]
    for chunk in chunks:
        answer = lee.ask(chunk)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert described(answer.content) == {hash: records}

    nobody, stranger = Cas(hub, "lee", name), Cas(hub, "park", foreign)
    del nobody.client.headers["authorization"]
    crossed = Cas(hub, "park", foreign)
    crossed.client.base_url = lee.client.base_url
    assert stranger.xorb(*xorb([b"d"])).status_code == 200
    answers = [each.ask(chunks[0]) for each in (kim, Cas(hub, "lee", other), stranger, nobody, crossed)]
    answers += [lee.ask(b"c"), lee.ask(b"e"), lee.client.get("/v1/chunks/default/1")]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    assert kim.xorb(hash, body).status_code == 200
    assert set(described(kim.ask(chunks[0]).content)) == {hash, kims[0]}, "he has sent it too"

    tables = Database(hub.data, hub.database)
    with tables.writing() as connection:
        table = schema.repositories
        uid = lee.facts["casUrl"].split("/")[-2]
        connection.execute(update(table).where(table.c.uid == uid).values(epoch=table.c.epoch + 1))
    tables.close()
    assert lee.ask(chunks[0]).status_code == 404, "old xorbs may go at any time"
    assert Cas(hub, "lee", name).ask(chunks[0]).status_code == 404


def test_an_answer_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest xorbs are described, and none of those that were not finished."""
    xorbs, hashes = Xorbs(tmp_path / "xorbs"), []
    for number in range(5):
        hash, body = xorb([bytes([number])])
        received = xorbs.receiving("uid", 0, from_hex(hash), user=7)
        received.write(body)
        received.finish()
        os.utime(tmp_path / "xorbs" / "uid" / "0" / f"{hash}.7", (number, number))
        hashes.append(hash)
    xorbs.receiving("uid", 0, bytes(32), user=7).keep_part()
    monkeypatch.setattr(gateway, "MOST_DESCRIBED", 3 * 36)
    shards = [xorbs.describe("uid", 0, 7, chunk_hash(bytes([number]))) for number in range(5)]
    assert shards[:2] == [None, None]
    assert list(described(shards[4] or b"")) == hashes[:1:-1]
    assert xorbs.describe("uid", 0, 70, chunk_hash(bytes([4]))) is None


def test_rights_are_looked_up_at_every_request(hub: Server, new_name: NewName) -> None:
    name = f"lab/{new_name()}"
    hub.api("kim").create_repo(name)
    tables = Database(hub.data, hub.database)
    with tables.writing() as connection:
        user = accounts.account_of(connection, "lee").id
        token = accounts.create_token(connection, user, "brief", "write")
        number = accounts.token_row(connection, token).id
    hub.tokens["brief"] = token
    cas = Cas(hub, "brief", name)
    upload = batch(hub, "brief", name, b"content")["actions"]["upload"]["href"]
    hash, body = xorb([b"one"])
    assert cas.xorb(hash, body).status_code == 200
    with tables.writing() as connection:
        accounts.revoke_token(connection, user, number)
    tables.close()
    assert cas.xorb(hash, body).status_code == 401
    assert cas.shard(shard(hash, [b"one"])).status_code == 401
    with hub.client() as client:
        assert client.put(upload, content=b"content").status_code == 401
    assert commit(hub, "lee", name, b"content").status_code == 400


def test_wrong_bytes_are_refused(hub: Server, new_name: NewName) -> None:
    name = f"lee/{new_name()}"
    hub.api("lee").create_repo(name)
    cas, chunks = Cas(hub, "lee", name), [b"a" * 1000, b"b" * 1000]
    hash, body = xorb(chunks)
    assert cas.xorb(xorb([b"other"])[0], body).status_code == 400
    assert cas.xorb(hash, body).status_code == 200
    for wrong in (
        shard(hash, chunks, sha256="0" * 64),
        shard(hash, chunks, file=bytes(32)),
        shard(hash, [b"a" * 1000, b"c" * 1000]),
        shard(hash, [*chunks, b"d"]),
    ):
        assert cas.shard(wrong).status_code == 400
    assert commit(hub, "lee", name, b"".join(chunks)).status_code == 400
    assert cas.shard(shard(hash, chunks[:1])).json() == {"result": 1}, "a part of a xorb is a file too"

    content = random.Random(1).randbytes(40 << 20)
    shown = batch(hub, "lee", name, content)["actions"]
    parts = sorted((key, url) for key, url in shown["upload"]["header"].items() if key.isdigit())
    with hub.client("lee") as client:
        put = httpx.Client(timeout=60)
        assert put.put(parts[1][1], content=content[32 << 20 :]).headers["etag"]
        assert put.put(parts[1][1], content=content[: 9 << 20]).status_code == 413
        assert put.put(parts[1][1], content=b"short").status_code == 400
        assert put.post(shown["upload"]["href"], json={}).status_code == 400, "no first part, wrong bytes"
        assert put.put(parts[0][1], content=content[: 32 << 20]).status_code == 404, (
            "begun again by a batch"
        )
        batch(hub, "lee", name, content)
        for number in (1, 0):  # in any order
            piece = content[number << 25 : (number + 1) << 25]
            assert put.put(parts[number][1], content=piece).status_code == 200
        assert put.post(shown["upload"]["href"], json={}).status_code == 200
        assert put.post(shown["upload"]["href"], json={}).status_code == 200, "an answer was lost"
        wanted = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
        assert client.post(shown["verify"]["href"], json=wanted).status_code == 200
        assert client.post(shown["verify"]["href"], json=wanted | {"size": 1}).status_code == 404
        small = batch(hub, "lee", name, b"right")["actions"]["upload"]["href"]
        for wrong_bytes in (b"wrong", b"righ", b"right and more"):
            assert put.put(small, content=wrong_bytes).status_code in (400, 413)
        assert put.put(f"{small}x", content=b"right").status_code == 403
        assert put.put(small, content=b"right").status_code == 200
    assert commit(hub, "lee", name, content).status_code == 200
    down = batch(hub, "lee", name, content, "download")["actions"]["download"]["href"]
    assert httpx.get(down, headers={"range": "bytes=-9"}).content == content[-9:]


def test_too_much_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, "quota_bytes=1000000", "most_uploads=1") as hub:
        api = hub.api("lee")
        api.create_repo("lee/m")
        with hub.client("lee") as client:
            huge = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 50 * 10**9 + 1}]}
            path = "/lee/m.git/info/lfs/objects/batch"
            assert client.post(path, json=huge).status_code == 413, "its quota comes first"
            files = {"files": [{"path": "a.bin", "size": 50 * 10**9 + 1, "sample": ""}]}
            answer = client.post("/api/models/lee/m/preupload/main", json=files)
            assert answer.status_code == 400 and "max_shard_size" in answer.json()["error"]
        cas = Cas(hub, "lee", "lee/m")
        chunks = [bytes([number]) * 100_000 for number in range(9)]
        hash, body = xorb(chunks)
        assert cas.xorb(hash, body).status_code == 200
        again = xorb([b"z" * 100_000, b"y" * 10_000])
        answer = cas.xorb(*again)
        assert answer.status_code == 413 and "may hold 1,000,000" in answer.json()["error"]
        assert cas.shard(shard(hash, chunks)).status_code == 200
        with hub.client("lee") as client:
            wanted = {"operation": "upload", "objects": [{"oid": "1" * 64, "size": 200_000}]}
            assert client.post(path, json=wanted).status_code == 413


def _bad_xorb(random_: random.Random) -> bytes:
    chunks = [random_.randbytes(random_.randrange(1, 3000)) for _ in range(random_.randrange(1, 5))]
    return _mutated(random_, xorb(chunks, random_.randrange(3))[1])


def _mutated(random_: random.Random, body: bytes) -> bytes:
    """Bytes changed, inserted, removed, repeated, or numbers made large."""
    found = bytearray(body)
    for _ in range(random_.randrange(1, 4)):
        at = random_.randrange(len(found) + 1)
        kind = random_.randrange(5)
        if kind == 0:
            found[at : at + 1] = random_.randbytes(1)
        elif kind == 1:
            found[at:at] = random_.randbytes(random_.randrange(1, 50))
        elif kind == 2:
            del found[at : at + random_.randrange(1, 50)]
        elif kind == 3:
            found[at : at + 4] = b"\xff" * 4
        else:
            found += found[:at]
    return bytes(found)


BOMBS = {
    "raw length": b"\0" + b"\x10\0\0" + b"\1" + b"\xff\xff\xff" + bytes(16),
    "longer than said": pack(bytes(1000), 1)[:5] + (10).to_bytes(3, "little") + pack(bytes(1000), 1)[8:],
    "shorter than said": pack(bytes(1000), 1)[:5] + (2000).to_bytes(3, "little") + pack(bytes(1000), 1)[8:],
    "two frames": b"\0\x32\0\0\1\x08\0\0" + 2 * pack(b"ab" * 4, 1)[8:],
    "scheme": pack(b"a")[:4] + b"\3" + pack(b"a")[5:],
    "version": b"\1" + pack(b"a")[1:],
    "many chunks": pack(b"a") * 8193,
    "many bytes": pack(bytes(128 << 10), 1) * 513,
    "empty": b"",
    "cut": pack(b"abc")[:-1],
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(name: str) -> None:
    reader = XorbReader()
    with pytest.raises(HubError) as found:
        for _ in reader.feed(BOMBS[name]):
            pass
        reader.finish()
    assert found.value.status == 400


def test_hashes_are_those_of_the_specification() -> None:
    seeded = random.Random(2)
    for count in [1, 2, 3, 9, 10, 11, *(seeded.randrange(1, 3000) for _ in range(20))]:
        children = [(seeded.randbytes(32), seeded.randrange(1, 1 << 17)) for _ in range(count)]
        streamed = Tree()
        for child in children:
            streamed.add(*child)
        assert streamed.root() == tree(children)
    for scheme in range(3):
        chunks = [seeded.randbytes(seeded.randrange(1, 5000)) + bytes(999) for _ in range(40)]
        hash, body = xorb(chunks, scheme)
        reader, found = XorbReader(), []
        while body:
            count = seeded.randrange(1, 5000)
            found += [raw for _, raw in reader.feed(body[:count])]
            body = body[count:]
        assert found == chunks and to_hex(reader.finish()) == hash


def test_malformed_bodies(hub: Server, new_name: NewName) -> None:
    """Each of 1,000 (in `make soak`) of each kind is answered with one line and 4xx, or is harmless."""
    name = f"lee/{new_name()}"
    api, seeded = hub.api("lee"), random.Random(3)
    api.create_repo(name)
    cas = Cas(hub, "lee", name)
    chunks = [b"a" * 3000, b"b" * 3000]
    hash, body = xorb(chunks)
    assert cas.xorb(hash, body).status_code == 200
    good = shard(hash, chunks)
    line = {"path": "a/b", "content": base64.b64encode(b"x" * 300).decode(), "encoding": "base64"}
    lines = [{"key": "header", "value": {"summary": "s"}}, {"key": "file", "value": line}]
    commit = b"\n".join(json.dumps(each).encode() for each in lines)
    process = psutil.Process(hub.process.pid)
    before = process.memory_info().rss
    refused = 0
    with hub.client("lee") as client:
        for _ in range(tries(60, 1000)):
            answers = (
                cas.xorb("0" * 64, _bad_xorb(seeded)),
                cas.shard(_mutated(seeded, good)),
                client.post(f"/api/models/{name}/commit/main", content=_mutated(seeded, commit)),
            )
            for answer in answers:
                assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
                refused += answer.status_code != 200
            assert answers[0].status_code != 200
    assert refused > tries(60, 1000)
    with hub.client("lee") as client:
        for body in (bytes(66 << 20), good[:80] + b"\xff" * 8 + good[88:], b"{" * (1 << 20)):
            assert 400 <= cas.xorb("0" * 64, body).status_code < 500
            assert 400 <= cas.shard(body).status_code < 500
            answer = client.post(f"/api/models/{name}/commit/main", content=body)
            assert 400 <= answer.status_code < 500
    grown = process.memory_info().rss - before
    print(f"the server grew by {grown / 1e6:.0f} MB")
    assert grown < 200_000_000
