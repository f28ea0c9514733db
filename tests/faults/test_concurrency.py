"""Many clients at the same thing at once (spec lines 28 to 31)."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.ledger import sha256
from tests.faults.wire import Answer, Wire
from tests.support.oci import INDEX, render
from tests.support.server import Server, running

pytestmark = pytest.mark.slow

MIB = 1 << 20
TYPE = {"content-type": INDEX}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two workers, of the tests of this module alone: they look at what is stored."""
    with running(tmp_path_factory.mktemp("concurrency"), workers=2) as server:
        yield server


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server.host, server.port)


@pytest.fixture
def name(repository: Callable[[str], str]) -> str:
    """An image of this test only."""
    return repository("image")


def stored(server: Server) -> set[Path]:
    """All files of objects and uploads, finished or not."""
    folders = [server.storage / folder for folder in ("blobs", "tmp", "uploads")]
    return {path for folder in folders for path in folder.rglob("*") if path.is_file()}


def manifest(number: int) -> bytes:
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
    return render(document | {"annotations": {"number": str(number)}})


async def start(wire: Wire, name: str) -> str:
    answer = await wire.call("POST", f"/v2/{name}/blobs/uploads/")
    assert answer.status == 202, answer
    return answer.headers["location"]


@pytest.mark.parametrize("size", [0, 100, 3 * MIB])
@pytest.mark.parametrize("way", ["whole", "put", "patch"])
def test_wrong_digest_leaves_nothing(server: Server, wire: Wire, name: str, way: str, size: int) -> None:
    blob = random.Random(size).randbytes(size)
    wrong = sha256(b"something else")

    async def push(digest: str) -> tuple[Answer, str]:
        if way == "whole":
            return await wire.call("POST", f"/v2/{name}/blobs/uploads/?digest={digest}", blob), ""
        session = await start(wire, name)
        if way == "patch":
            assert (await wire.call("PATCH", session, blob)).status == 202
        rest = blob if way == "put" else b""
        return await wire.call("PUT", f"{session}?digest={digest}", rest), session

    async def run() -> None:
        before = stored(server)
        answer, session = await push(wrong)
        assert (answer.status, answer.code) == (400, "DIGEST_INVALID"), answer
        if session:
            gone = await wire.call("GET", session)
            assert (gone.status, gone.code) == (404, "BLOB_UPLOAD_UNKNOWN")
        for digest in (wrong, sha256(blob)):
            assert (await wire.call("GET", f"/v2/{name}/blobs/{digest}")).status == 404
        assert stored(server) == before
        answer, _ = await push(sha256(blob))
        assert answer.status == 201, answer
        assert (await wire.call("GET", f"/v2/{name}/blobs/{sha256(blob)}")).body == blob

    asyncio.run(run())


@pytest.mark.parametrize(
    "size", [pytest.param(1 * MIB, id="1MiB"), pytest.param(50 * MIB, id="50MiB", marks=pytest.mark.slow)]
)
def test_same_blob_from_32_clients(server: Server, wire: Wire, name: str, size: int) -> None:
    """All succeed, and one copy is kept."""
    blob = random.Random(size).randbytes(size)
    digest = sha256(blob)

    async def push(number: int) -> Answer:
        image = f"{name}{number % 4}"
        if number % 3 == 0:
            return await wire.call("POST", f"/v2/{image}/blobs/uploads/?digest={digest}", blob)
        session = await start(wire, image)
        if number % 3 == 1:
            return await wire.call("PUT", f"{session}?digest={digest}", blob)
        assert (await wire.call("PATCH", session, blob)).status == 202
        return await wire.call("PUT", f"{session}?digest={digest}")

    async def run() -> None:
        before = stored(server)
        answers = await asyncio.gather(*(push(number) for number in range(32)))
        assert [answer.status for answer in answers] == [201] * 32
        added = stored(server) - before
        assert [path.stat().st_size for path in added] == [size]
        for number in range(4):
            assert (await wire.call("GET", f"/v2/{name}{number}/blobs/{digest}")).body == blob

    asyncio.run(run())


def test_one_tag_moved_by_64_clients(wire: Wire, name: str) -> None:
    async def run() -> None:
        manifests = [manifest(number) for number in range(64)]
        puts = (wire.call("PUT", f"/v2/{name}/manifests/t", content, TYPE) for content in manifests)
        assert {answer.status for answer in await asyncio.gather(*puts)} == {201}
        seen = {(await wire.call("GET", f"/v2/{name}/manifests/t")).body for _ in range(8)}
        assert len(seen) == 1, "all workers agree"
        assert seen <= set(manifests)
        for content in manifests:
            assert (await wire.call("GET", f"/v2/{name}/manifests/{sha256(content)}")).body == content
        assert json.loads((await wire.call("GET", f"/v2/{name}/tags/list")).body)["tags"] == ["t"]

    asyncio.run(run())


def test_no_sibling_tag_is_lost(wire: Wire, name: str) -> None:
    """1000 tags by 16 clients are 1000 tags."""

    async def client(number: int) -> None:
        for tag in range(number, 1000, 16):
            answer = await wire.call("PUT", f"/v2/{name}/manifests/t{tag:04}", manifest(tag % 7), TYPE)
            assert answer.status == 201, answer

    async def run() -> None:
        await asyncio.gather(*(client(number) for number in range(16)))
        listed = json.loads((await wire.call("GET", f"/v2/{name}/tags/list?n=5000")).body)["tags"]
        assert listed == [f"t{number:04}" for number in range(1000)]

    asyncio.run(run())


def pieces(blob: bytes, count: int) -> Iterator[bytes]:
    size = -(-len(blob) // count)
    return (blob[at : at + size] for at in range(0, len(blob), size))


@pytest.mark.parametrize("ranged", [True, False])
def test_parallel_chunks_of_one_session_do_not_mix(wire: Wire, name: str, ranged: bool) -> None:
    """Of those that come at once one wins; what the session then holds is exactly the winners' bytes."""
    dice = random.Random(ranged)
    chunks = [dice.randbytes(2 * MIB) for _ in range(8)]

    async def patch(session: str, chunk: bytes, offset: int) -> Answer:
        headers = {"content-range": f"{offset}-{offset + len(chunk) - 1}"} if ranged else {}
        return await wire.call("PATCH", session, chunk, headers)

    async def run() -> None:
        session = await start(wire, name)
        offset = 0
        for _ in range(3):
            answers = await asyncio.gather(*(patch(session, chunk, offset) for chunk in chunks))
            assert {answer.status for answer in answers} <= {202, 409, 416}, [str(a) for a in answers]
            won = [answer.status for answer in answers].count(202)
            assert won == 1 if ranged else won >= 1
            offset += won * 2 * MIB
            status = await wire.call("GET", session)
            assert status.headers["range"] == f"0-{offset - 1}"
        digest = sha256(b"not this")
        closed = await wire.call("PUT", f"{session}?digest={digest}")
        assert closed.status == 400

    asyncio.run(run())


def test_what_wins_is_one_whole_chunk(wire: Wire, name: str) -> None:
    """The bytes of the session are those of the request that won."""
    dice = random.Random(3)
    chunks = [dice.randbytes(4 * MIB) for _ in range(6)]

    async def patch(session: str, chunk: bytes) -> int:
        return (await wire.call("PATCH", session, chunk, {"content-range": f"0-{len(chunk) - 1}"})).status

    async def run() -> None:
        session = await start(wire, name)
        statuses = await asyncio.gather(*(patch(session, chunk) for chunk in chunks))
        assert sorted(set(statuses) - {202}) in ([409], [416], [409, 416]), statuses
        winner = chunks[statuses.index(202)]
        closed = await wire.call("PUT", f"{session}?digest={sha256(winner)}")
        assert closed.status == 201, closed
        assert (await wire.call("GET", f"/v2/{name}/blobs/{sha256(winner)}")).body == winner

    asyncio.run(run())


def test_closing_twice_at_once(wire: Wire, name: str) -> None:
    """Two closing PUTs of one session: one 201; the other is told that the session is busy or over."""
    blob = random.Random(4).randbytes(2 * MIB)

    async def run() -> None:
        session = await start(wire, name)
        assert (await wire.call("PATCH", session, blob)).status == 202
        puts = (wire.call("PUT", f"{session}?digest={sha256(blob)}") for _ in range(4))
        statuses = [answer.status for answer in await asyncio.gather(*puts)]
        assert statuses.count(201) == 1, statuses
        assert set(statuses) <= {201, 404, 409, 416}
        assert (await wire.call("GET", f"/v2/{name}/blobs/{sha256(blob)}")).body == blob

    asyncio.run(run())
