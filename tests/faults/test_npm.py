"""Packages of npm: kills in the middle of publications; tarballs and documents that are large, or absurd."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator

import httpx
import pytest

from nora.formats.npm.upstream import MOST_VERSIONS
from tests.conftest import StartServer
from tests.faults.publications import client, publish_under_kills
from tests.support.answers import Answer, Repeated, document
from tests.support.memory import peak
from tests.support.npm_registry import ABBREVIATED, Built
from tests.support.others import others
from tests.support.upstream import Upstream

pytestmark = pytest.mark.slow
MIB = 1 << 20
VERSION = (
    '"1.%d.0":{"name":"huge","version":"1.%d.0","dist":{"tarball":"http://127.0.0.1/huge-1.%d.0.tgz",'
    '"shasum":"%040d"}}'
)


def packument(count: int) -> bytes:
    """One with so many versions, in as few bytes as they take."""
    versions = ",".join(VERSION % (number, number, number, number) for number in range(count))
    latest = f"1.{count - 1}.0"
    return f'{{"name":"huge","dist-tags":{{"latest":"{latest}"}},"versions":{{{versions}}}}}'.encode()


def built(version: str) -> Built:
    return Built("killed", version, files={"index.js": f"// {version}\n".encode() * 2000})


def test_a_kill_leaves_a_version_whole_or_not_at_all(nora_server: StartServer) -> None:
    """What was acknowledged is there; what is listed can be fetched; the rest can be published."""
    server = nora_server(workers=2)

    def publish(http: httpx.Client, writer: int, number: int) -> bool:
        publication = built(f"{writer}.0.{number}").publication()
        return http.put("/npm/killed", json=publication).status_code == 201

    done = publish_under_kills(server, publish, writers=4, kills=3)
    acknowledged = {f"{writer}.0.{number}" for writer, number in done}
    with client(server) as http:
        document = http.get("/npm/killed").json()
        assert acknowledged <= document["versions"].keys()
        assert document["dist-tags"]["latest"] in document["versions"]
        for version, manifest in document["versions"].items():
            one = built(version)
            assert manifest["dist"]["integrity"] == one.dist["integrity"]
            answer = http.get(f"/npm/{one.path}")
            assert (answer.status_code, answer.content) == (200, one.body)
        for number in range(4):
            patches = [int(one.split(".")[2]) for one in document["versions"] if one[0] == str(number)]
            again = built(f"{number}.0.{max(patches, default=0) + 1}")
            assert http.put("/npm/killed", json=again.publication()).status_code == 201


@pytest.mark.parametrize("size", [60, pytest.param(150, marks=pytest.mark.full)])
def test_a_large_tarball_is_taken_in_pieces(nora_server: StartServer, size: int) -> None:
    """So many MB, and a third more as base64: little of it is in memory at a time, and others are served."""
    server = nora_server(workers=1)
    large = Built("large", files={"data.bin": os.urandom(size * MIB)})
    body = json.dumps(large.publication()).encode()
    with client(server) as http:
        assert http.put("/npm/small", json=Built("small").publication()).is_success  # what is loaded by that
        with others(server) as answered, peak(server) as grown:
            assert http.put("/npm/large", content=body).status_code == 201
        assert answered[0] > 10
        assert grown[0] < 32 * MIB
        answer = http.get(f"/npm/{large.path}")
        assert answer.content == large.body
        assert http.get("/npm/large/latest").json()["dist"]["integrity"] == large.dist["integrity"]


@pytest.mark.parametrize("told", [True, False], ids=["told", "chunks"])
def test_a_tarball_beyond_the_limit_is_refused_before_it_has_come(
    nora_server: StartServer, told: bool
) -> None:
    """300 MB where 64 MiB are allowed."""
    server = nora_server(workers=1, env={"NORA_NPM_MAX_FILE_SIZE": "64MiB"})
    built = Built("beyond")
    publication = built.publication()
    (attachment,) = publication["_attachments"].values()
    attachment["data"] = "HERE"
    begin, end = json.dumps(publication).encode().split(b"HERE")
    piece = base64.b64encode(bytes(3 << 18))
    count = 300 * MIB // (3 << 18)

    def pieces() -> Iterator[bytes]:
        yield begin
        for _ in range(count):
            yield piece
        yield end

    length = {"content-length": str(len(begin) + count * len(piece) + len(end))} if told else {}
    with client(server) as http, others(server), peak(server) as grown:
        try:
            answer = http.put("/npm/beyond", content=pieces(), headers=length)
        except httpx.WriteError:  # it was cut off before the answer was read
            answer = None
        if answer is not None:
            assert (answer.status_code, "64" in answer.text) == (413, True)
        assert http.get("/npm/beyond").status_code == 404
    assert grown[0] < 32 * MIB
    assert not [path for path in (server.storage / "tmp").rglob("*") if path.is_file()]


def test_a_document_of_any_size_takes_what_is_allowed(nora_server: StartServer, upstream: Upstream) -> None:
    """200 MB, declared and not: refused as soon as that is known, and others are served."""
    env = {
        "NORA_NPM_PROXY": upstream.url,
        "NORA_PROXY_MODE": "online",
        "NORA_NPM_MAX_DOCUMENT_SIZE": "16MiB",
    }
    server = nora_server(workers=1, env=env)
    huge = Answer(
        body=Repeated(b'{"versions":{' + b" " * 1000, 200 * MIB),
        headers={"content-type": "application/json"},
        ranges=False,
    )
    upstream.serve("/huge", huge)
    upstream.serve("/huge2", huge.but(framing="chunked"))
    with client(server) as http, others(server) as answered, peak(server) as grown:
        for name in ("huge", "huge2"):
            answer = http.get(f"/npm/{name}")
            assert answer.status_code == 502
            assert "16" in answer.text
    assert answered[0] > 0
    assert grown[0] < 96 * MIB


@pytest.mark.full
def test_a_million_versions_are_refused_and_hold_nobody_up(
    nora_server: StartServer, upstream: Upstream
) -> None:
    env = {
        "NORA_NPM_PROXY": upstream.url,
        "NORA_PROXY_MODE": "online",
        "NORA_NPM_MAX_DOCUMENT_SIZE": "256MiB",
        "NORA_PROXY_ANSWER_TIMEOUT": "100",
    }
    server = nora_server(workers=1, env=env)
    body = packument(1_000_000)
    upstream.serve("/huge", document(body, "application/json"))
    with client(server) as http, others(server) as answered, peak(server) as grown:
        answer = http.get("/npm/huge")
        assert answer.status_code == 502
        assert f"more than {MOST_VERSIONS} versions" in answer.text
    assert answered[0] > 100
    assert grown[0] < 4 * len(body)


def test_5000_versions_are_all_there(nora_server: StartServer, upstream: Upstream) -> None:
    """In both forms, by version, tag and range; and others are served."""
    server = nora_server(workers=1, env={"NORA_NPM_PROXY": upstream.url, "NORA_PROXY_MODE": "online"})
    upstream.serve("/huge", document(packument(5000), "application/json"))
    with client(server) as http, others(server) as answered:
        for accept in ("*/*", ABBREVIATED):
            found = http.get("/npm/huge", headers={"accept": accept}).json()
            assert list(found["versions"]) == [f"1.{number}.0" for number in range(5000)]
        for wanted, version in (("1.77.0", "1.77.0"), ("latest", "1.4999.0"), ("~1.12", "1.12.0")):
            assert http.get(f"/npm/huge/{wanted}").json()["version"] == version
    assert answered[0] > 0
    assert upstream.log.count() == 1
