"""Clients that leave, stall, or send too much (spec lines 35 to 37)."""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
from collections.abc import Iterator

import pytest

from tests.conftest import StartServer
from tests.faults.ledger import sha256
from tests.faults.processes import open_files, workers
from tests.faults.wire import Answer, Wire, read_answer
from tests.support.server import Server, running
from tests.support.waiting import until

MIB = 1 << 20
COUNT = 1000
AT_ONCE = 50


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Room for a thousand sockets on the side of the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def start(wire: Wire, name: str) -> str:
    answer = await wire.call("POST", f"/v2/{name}/blobs/uploads/")
    assert answer.status == 202, answer
    return answer.headers["location"]


async def settled(server: Server, before: dict[int, int]) -> None:
    """Wait until each worker holds as many descriptors as before. What it serves is closed in a moment."""
    await until(
        lambda: all(len(of_clients(pid)) <= count for pid, count in before.items()),
        f"no more descriptors than {before}",
        seen=lambda: {pid: of_clients(pid) for pid in before},
    )


async def counted(server: Server, wire: Wire) -> dict[int, int]:
    """The number of descriptors of each worker, once all that is opened at first use is open."""
    blob = b"warm" * 50_000
    for _ in range(8):
        answer = await wire.call("POST", f"/v2/clients/warm/blobs/uploads/?digest={sha256(blob)}", blob)
        assert answer.status == 201
        session = await start(wire, "clients/warm")
        assert (await wire.call("PATCH", session, blob)).status == 202
        assert (await wire.call("PUT", f"{session}?digest={sha256(blob)}")).status == 201
        assert (await wire.call("GET", f"/v2/clients/warm/blobs/{sha256(blob)}")).body == blob
    await asyncio.sleep(0.3)
    return {pid: len(of_clients(pid)) for pid in workers(server)}


def of_clients(pid: int) -> dict[str, str]:
    """Descriptors of a worker, but for those that its own jobs open when their time comes, once."""
    return {
        number: target
        for number, target in open_files(pid).items()
        if "/storage/locks/" not in target and "/storage/catalog.sqlite3" not in target
    }


@pytest.mark.slow
def test_aborted_uploads_leave_no_descriptors(nora_server: StartServer) -> None:
    """Sessions go on afterwards from where they stand; nothing else of the aborted ones stays."""
    server = nora_server(workers=2, env={"NORA_MAX_UPLOAD_SESSIONS": str(COUNT + 10)})
    wire = Wire(server.host, server.port)
    blob = random.Random(1).randbytes(400_000)
    gate = asyncio.Semaphore(AT_ONCE)

    async def abort(number: int) -> str:
        async with gate:
            way = number % 3
            session = "" if way == 0 else await start(wire, "clients/aborted")
            target = ["/v2/clients/aborted/blobs/uploads/", session, session][way]
            method, query = [("POST", True), ("PATCH", False), ("PUT", True)][way]
            path = f"{target}?digest={sha256(blob)}" if query else target
            _, writer = await wire.connect()
            writer.write(wire.head(method, path, {"content-length": str(len(blob))}))
            writer.write(blob[: number * 397 % len(blob)])
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            await asyncio.sleep(0.01)
            writer.transport.abort()
            return session

    async def is_resumed(session: str) -> bool:
        status = await wire.call("GET", session)
        assert status.status == 204, status
        offset = int(status.headers["x-nora-upload-offset"])
        assert offset <= len(blob)
        answer = await wire.call("PUT", f"{session}?digest={sha256(blob)}", blob[offset:])
        assert answer.status in (201, 409, 416), answer
        return answer.status == 201

    async def resume(session: str) -> None:
        async with gate:
            await until(lambda: is_resumed(session), "the aborted request to let its session go")

    async def run() -> None:
        before = await counted(server, wire)
        sessions = await asyncio.gather(*(abort(number) for number in range(COUNT)))
        await settled(server, before)
        assert list((server.storage / "tmp").iterdir()) == []
        await asyncio.gather(*(resume(session) for session in sessions if session))
        await settled(server, before)
        assert list((server.storage / "uploads").iterdir()) == []

    asyncio.run(run())


@pytest.mark.slow
def test_aborted_downloads_leave_no_descriptors(nora_server: StartServer) -> None:
    server = nora_server(workers=2)
    wire = Wire(server.host, server.port)
    blob = random.Random(2).randbytes(16 * MIB)
    gate = asyncio.Semaphore(AT_ONCE)

    async def abort(number: int, path: str) -> None:
        async with gate:
            reader, writer = await wire.connect()
            headers = {"range": f"bytes={number}-"} if number % 2 else {}
            writer.write(wire.head("GET", path, headers))
            await reader.read(1000 if number % 3 else 1)
            writer.transport.abort()

    async def run() -> None:
        before = await counted(server, wire)
        path = f"/v2/clients/aborted/blobs/{sha256(blob)}"
        pushed = await wire.call("POST", f"/v2/clients/aborted/blobs/uploads/?digest={sha256(blob)}", blob)
        assert pushed.status == 201
        await asyncio.gather(*(abort(number, path) for number in range(COUNT)))
        await settled(server, before)
        assert (await wire.call("GET", path)).body == blob

    asyncio.run(run())


@pytest.mark.slow
def test_idle_uploads_do_not_block_others(nora_server: StartServer) -> None:
    """Half of the requests have sent a head and nothing more, half one byte of a body."""
    server = nora_server(workers=1, env={"NORA_MAX_UPLOAD_SESSIONS": str(COUNT)})
    wire = Wire(server.host, server.port)
    blob = random.Random(3).randbytes(200_000)

    async def idle(number: int) -> asyncio.StreamWriter:
        session = await start(wire, "clients/idle")
        _, writer = await wire.connect()
        headers = {"content-length": str(MIB)} if number % 4 < 2 else {"transfer-encoding": "chunked"}
        writer.write(wire.head("PATCH", session, headers))
        if number % 2:
            writer.write(b"x" if number % 4 < 2 else b"1\r\nx\r\n")
        await writer.drain()
        return writer

    async def run() -> None:
        writers = [await idle(number) for number in range(COUNT // 2)]
        try:
            pushed = await wire.call("POST", f"/v2/clients/busy/blobs/uploads/?digest={sha256(blob)}", blob)
            assert pushed.status == 201, pushed
            session = await start(wire, "clients/busy")
            assert (await wire.call("PATCH", session, blob)).status == 202
            assert (await wire.call("PUT", f"{session}?digest={sha256(blob)}")).status == 201
            assert (await wire.call("GET", f"/v2/clients/busy/blobs/{sha256(blob)}")).body == blob
            assert (await wire.call("GET", "/ready")).status == 200
        finally:
            for writer in writers:
                writer.transport.abort()

    asyncio.run(run())


@pytest.mark.slow
def test_idle_upload_is_answered_and_its_session_goes_on(nora_server: StartServer) -> None:
    server = nora_server(workers=1, env={"NORA_IDLE_TIMEOUT": "1"})
    wire = Wire(server.host, server.port)
    blob = random.Random(4).randbytes(300_000)

    async def run() -> None:
        session = await start(wire, "clients/slow")
        reader, writer = await wire.connect()
        writer.write(wire.head("PATCH", session, {"content-length": str(len(blob))}) + blob[:100_000])
        async with asyncio.timeout(60):
            answer = await read_answer(reader)
        writer.transport.abort()
        assert answer.status == 408, answer
        assert answer.code is not None
        status = await wire.call("GET", session)
        offset = int(status.headers["x-nora-upload-offset"])
        assert offset <= 100_000
        assert (await wire.call("PATCH", session, blob[offset:])).status == 202
        assert (await wire.call("PUT", f"{session}?digest={sha256(blob)}")).status == 201

    asyncio.run(run())


@pytest.mark.slow
def test_session_limit(nora_server: StartServer) -> None:
    """429 as JSON with Retry-After; a cancelled or finished session makes room at once."""
    server = nora_server(workers=2, env={"NORA_MAX_UPLOAD_SESSIONS": "5"})
    wire = Wire(server.host, server.port)
    blob = b"limited"

    async def refused() -> None:
        for _ in range(4):  # on both workers
            answer = await wire.call("POST", "/v2/clients/limit/blobs/uploads/")
            assert (answer.status, answer.code) == (429, "TOOMANYREQUESTS"), answer
            assert int(answer.headers["retry-after"]) > 0
            assert answer.headers["content-type"].startswith("application/json")

    async def run() -> None:
        sessions = [await start(wire, f"clients/limit{number}") for number in range(5)]
        await refused()
        assert (await wire.call("DELETE", sessions[0])).status == 204
        sessions[0] = await start(wire, "clients/limit0")
        await refused()
        assert (await wire.call("PUT", f"{sessions[1]}?digest={sha256(blob)}", blob)).status == 201
        sessions[1] = await start(wire, "clients/limit1")
        await refused()

    asyncio.run(run())


@pytest.mark.slow
def test_session_limit_holds_between_many_at_once(nora_server: StartServer) -> None:
    server = nora_server(workers=2, env={"NORA_MAX_UPLOAD_SESSIONS": "20"})
    wire = Wire(server.host, server.port)

    async def run() -> None:
        posts = (wire.call("POST", "/v2/clients/rush/blobs/uploads/") for _ in range(100))
        statuses = [answer.status for answer in await asyncio.gather(*posts)]
        assert statuses.count(202) == 20
        assert statuses.count(429) == 80

    asyncio.run(run())


async def early(wire: Wire, method: str, path: str, size: int, headers: dict[str, str]) -> Answer:
    """Send a head and then the body, in pieces, as a simple client does: all of it, and only then look.

    A client that gets EPIPE or a reset while it sends never sees the answer: that is the failure here.
    """
    reader, writer = await wire.connect()
    piece = bytes(MIB)
    try:
        async with asyncio.timeout(60):
            writer.write(wire.head(method, path, {"content-length": str(size), **headers}))
            for _ in range(size // len(piece)):
                writer.write(piece)
                await writer.drain()
            return await read_answer(reader, method)
    finally:
        writer.transport.abort()


async def expecting(wire: Wire, method: str, path: str, size: int, headers: dict[str, str]) -> Answer:
    """Send only the head and ask first; a refusal comes before any byte of the body."""
    reader, writer = await wire.connect()
    try:
        async with asyncio.timeout(60):
            fields = {"content-length": str(size), "expect": "100-continue", **headers}
            writer.write(wire.head(method, path, fields))
            interim: list[int] = []
            answer = await read_answer(reader, method, interim)
            assert interim == [], "the server asked for a body that it refuses"
            return answer
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("ask", [early, expecting])
@pytest.mark.parametrize(
    "size", [pytest.param(8 * MIB, id="8MiB"), pytest.param(100 * MIB, id="100MiB", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    "case", ["range", "too-large", "unknown-session", "bad-digest", "manifest", "method"]
)
def test_early_refusal_of_a_large_body_arrives(server: Server, case: str, size: int, ask: object) -> None:
    wire = Wire(server.host, server.port)

    async def run() -> None:
        session = await start(wire, "clients/early")
        unknown = "/v2/clients/early/blobs/uploads/00000000-0000-4000-8000-000000000000"
        method, path, headers, status, code = {
            "range": ("PATCH", session, {"content-range": f"5-{size + 4}"}, 416, "RANGE_INVALID"),
            "too-large": ("PATCH", session, {}, 413, "SIZE_INVALID"),
            "unknown-session": ("PATCH", unknown, {}, 404, "BLOB_UPLOAD_UNKNOWN"),
            "bad-digest": ("PUT", f"{session}?digest=sha256:zz", {}, 400, "DIGEST_INVALID"),
            "manifest": ("PUT", "/v2/clients/early/manifests/t", {}, 413, "SIZE_INVALID"),
            "method": ("PUT", "/v2/clients/early/tags/list", {}, 405, "UNSUPPORTED"),
        }[case]
        answer = await ask(wire, method, path, size, headers)  # type: ignore[operator]
        assert (answer.status, answer.code) == (status, code), answer
        again = await wire.call("GET", session)
        assert again.status == 204, "the session is unharmed"
        await wire.call("DELETE", session)

    asyncio.run(run())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all early refusals; blobs of more than 4 MiB are too large for it."""
    env = {"NORA_MAX_UPLOAD_SESSION_SIZE": str(4 * MIB)}
    with running(tmp_path_factory.mktemp("early"), workers=2, env=env) as server:
        yield server
