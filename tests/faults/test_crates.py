"""Crates: kills in the middle of publications, many of one crate at once, and index files that are absurd."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import orjson
import pytest

from tests.conftest import StartServer
from tests.faults.publications import client, publish_under_kills
from tests.support.answers import Answer, Repeated, document
from tests.support.crate_index import CrateIndex
from tests.support.crates import Built
from tests.support.memory import peak
from tests.support.others import others
from tests.support.upstream import Upstream

pytestmark = pytest.mark.slow
API = "/cargo/api/v1/crates"
MIB = 1 << 20
LINE = b'{"name":"huge","vers":"1.%d.0","deps":[],"cksum":"%064d","features":{},"yanked":false}\n'
LINES = 1_000_000


def built(version: str) -> Built:
    return Built("killed", version, maker=f"// {version}" * 2000)


def published(http: httpx.Client, path: str) -> dict[str, str]:
    """The checksums in an index file, by version."""
    answer = http.get(f"/cargo/index/{path}")
    if answer.status_code == 404:
        return {}
    assert answer.content.endswith(b"\n")
    lines = [orjson.loads(line) for line in answer.content.splitlines()]
    assert len({line["vers"] for line in lines}) == len(lines)
    return {line["vers"]: line["cksum"] for line in lines}


def test_a_kill_leaves_a_version_whole_or_not_at_all(nora_server: StartServer) -> None:
    """What was acknowledged is there; what is in the index can be fetched; the rest can be published."""
    server = nora_server(workers=2)

    def publish(http: httpx.Client, writer: int, number: int) -> bool:
        return http.put(f"{API}/new", content=built(f"{writer}.0.{number}").publication()).status_code == 200

    done = publish_under_kills(server, publish, writers=6, kills=5)
    acknowledged = {f"{writer}.0.{number}" for writer, number in done}
    with client(server) as http:
        found = published(http, "ki/ll/killed")
        assert acknowledged <= found.keys()
        for version, checksum in found.items():
            one = built(version)
            assert one.sha256 == checksum
            answer = http.get(f"/cargo/dl/killed/{version}/{checksum}.crate")
            assert (answer.status_code, answer.content) == (200, one.body)
        for number in range(6):
            last = max(int(version.split(".")[2]) for version in found if version[0] == str(number))
            again = Built("killed", f"{number}.0.{last + 1}")
            assert http.put(f"{API}/new", content=again.publication()).status_code in (200, 409)


def test_twenty_publications_of_one_version_at_once(nora_server: StartServer) -> None:
    """One wins; who has other bytes is told so, who has the same is told that all is well."""
    server = nora_server(workers=4)
    built = [Built("contended", maker=f"// {number % 4}") for number in range(20)]

    def publish(one: Built) -> int:
        with client(server) as http:
            return http.put(f"{API}/new", content=one.publication()).status_code

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(publish, built))
    with client(server) as http:
        (checksum,) = published(http, "co/nt/contended").values()
    for one, status in zip(built, statuses, strict=True):
        assert status == (200 if one.sha256 == checksum else 409)


@pytest.fixture
def index(upstream: Upstream) -> CrateIndex:
    found = CrateIndex()
    found.mount(upstream)
    return found


def test_an_index_file_of_any_size_takes_what_is_allowed(
    nora_server: StartServer, index: CrateIndex, upstream: Upstream
) -> None:
    """200 MB, declared and not: refused as soon as that is known."""
    env = {
        "NORA_CARGO_PROXY": upstream.url,
        "NORA_PROXY_MODE": "online",
        "NORA_CARGO_MAX_INDEX_SIZE": "16MiB",
    }
    server = nora_server(workers=1, env=env)
    huge = Answer(
        body=Repeated(LINE % (1, 1), 200 * MIB), headers={"content-type": "text/plain"}, ranges=False
    )
    upstream.serve("/hu/ge/huge", huge)
    upstream.serve("/hu/ge/huge2", huge.but(framing="chunked"))
    with client(server) as http, peak(server) as grown:
        for name in ("huge", "huge2"):
            answer = http.get(f"/cargo/index/hu/ge/{name}")
            assert answer.status_code == 502
            assert "16" in answer.text
    assert grown[0] < 128 * MIB


@pytest.mark.full
def test_a_million_versions_hold_nobody_up(
    nora_server: StartServer, index: CrateIndex, upstream: Upstream
) -> None:
    """All of it is answered, byte for byte, and others are answered meanwhile."""
    env = {
        "NORA_CARGO_PROXY": upstream.url,
        "NORA_PROXY_MODE": "online",
        "NORA_CARGO_MAX_INDEX_SIZE": "256MiB",
    }
    server = nora_server(workers=1, env=env)
    file = b"".join([LINE % (number, number) for number in range(LINES)])
    upstream.serve("/hu/ge/huge", document(file, "text/plain"))
    with client(server) as http, others(server) as answered, peak(server) as grown:
        answer = http.get("/cargo/index/hu/ge/huge", headers={"accept-encoding": "identity"})
        assert (answer.status_code, len(answer.content)) == (200, len(file))
        assert answer.content == file
        told = http.get(f"{API}/huge/versions").json()
        assert (told["meta"]["total"], told["versions"][0]["num"]) == (LINES, f"1.{LINES - 1}.0")
        assert http.get(f"{API}/huge/1.77.0").json()["version"]["checksum"] == f"{77:064d}"
    assert answered[0] > 100
    assert grown[0] < 4 * len(file)
