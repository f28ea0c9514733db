"""Upstreams in trouble, or gone: what is cached goes on, what is not is never said to be absent, and all is
well again without a restart."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.conftest import StartServer
from tests.faults.downloads import download
from tests.faults.in_flight import awake
from tests.faults.things import KINDS, Thing, asking
from tests.faults.wire import Answer as Received
from tests.faults.wire import Wire
from tests.support.answers import NEVER, Answer
from tests.support.oci import IMAGE
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream_process import UpstreamProcess, upstream_process
from tests.support.waiting import until

pytestmark = pytest.mark.slow

SIZE = 100_000
WORKERS = [
    pytest.param(1, id="1-worker", marks=[pytest.mark.slow, pytest.mark.full]),
    pytest.param(4, id="4-workers"),
]
AT_ONCE = 8
QUICK = {
    "NORA_DOCKER_METADATA_TTL": "0",
    "NORA_PYPI_METADATA_TTL": "0",
    "NORA_DOCKER_PROXY_TIMEOUT": "3",
    "NORA_PYPI_PROXY_TIMEOUT": "3",
    "NORA_DOCKER_READ_TIMEOUT": "2",
    "NORA_PROXY_READ_TIMEOUT": "2",
    "NORA_PROXY_ABSENT_TTL": "0",
    "NORA_CB_RESET_TIMEOUT": "1",
}
"""Each request asks the upstream, which has three seconds."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What an upstream does, and with which statuses a client is told when nothing is cached."""

    begin: Callable[[UpstreamProcess], None]
    statuses: Mapping[str, set[int]]
    retry_after: range | None = None
    held: float = 0.0
    """For how many seconds it says that it is not to be asked: each worker that was told keeps to that."""


def answering(status: int, **headers: str) -> Callable[[UpstreamProcess], None]:
    answer = Answer(status=status, headers={name.replace("_", "-"): one for name, one in headers.items()})
    return lambda up: up.fail(answer)


UNAVAILABLE = {"blob": {503}, "wheel": {503}}
TROUBLES = {
    "429": Trouble(answering(429, retry_after="4"), {"blob": {429}, "wheel": {503}}, range(1, 5), held=4),
    "429-soon": Trouble(answering(429), {"blob": {429}, "wheel": {503}}, range(1, 61)),
    "401": Trouble(answering(401), {"blob": {502}, "wheel": {502}}),
    "403": Trouble(answering(403), {"blob": {502}, "wheel": {502}}),
    "500": Trouble(answering(500), UNAVAILABLE, range(1, 61)),
    "503": Trouble(answering(503, retry_after="4"), UNAVAILABLE, range(1, 5), held=4),
    "silence": Trouble(lambda up: up.fail(Answer(delay=NEVER)), {"blob": {503, 504}, "wheel": {503}}),
    "cut": Trouble(lambda up: up.fail(Answer(raw=b"HTTP/1.1 2")), {"blob": {502, 503}, "wheel": {502, 503}}),
    "refused": Trouble(lambda up: up.stop(), UNAVAILABLE, range(1, 61)),
}


@pytest.fixture(scope="module")
def up() -> Iterator[UpstreamProcess]:
    with upstream_process() as found:
        yield found


@pytest.fixture(scope="module", params=WORKERS)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, up: UpstreamProcess
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("outage")
    env = asking(up.url, **QUICK)
    with running(folder, workers=request.param, env=env) as found:
        yield found


@pytest.fixture
def wire(server: Server) -> Wire:
    return Wire(server.host, server.port)


def uncached(thing: Thing) -> list[str]:
    """What an upstream may have of the same name, and NORA has not."""
    if thing.accept == IMAGE:
        image = thing.page.rpartition("/manifests/")[0]
        return [
            f"{image}/manifests/other",
            f"{image}/manifests/sha256:{'0' * 64}",
            f"{image}-other/manifests/latest",
        ]
    return [thing.page.replace("/simple/", "/simple/other-"), f"/simple/other{thing.path[len('/simple/') :]}"]


async def each(wire: Wire, path: str, thing: Thing) -> list[Received]:
    """The answers of several workers."""
    asks = (wire.call("GET", path, headers={"accept": thing.accept}) for _ in range(AT_ONCE))
    return await asyncio.gather(*asks)


async def is_well(wire: Wire, thing: Thing, *, is_cached: bool = True) -> None:
    """Wait until every worker has the page fresh from the upstream again."""
    found: list[Received] = []

    async def is_fresh() -> bool:
        found[:] = await each(wire, thing.page, thing)
        statuses = {one.status for one in found}
        assert 404 not in statuses
        assert statuses == {200} or not is_cached, statuses
        return statuses == {200} and not any("x-nora-stale" in one.headers for one in found)

    await until(is_fresh, f"{thing.page} fresh", seen=lambda: [(one.status, one.headers) for one in found])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trouble", TROUBLES)
def test_upstream_in_trouble(
    server: Server, up: UpstreamProcess, wire: Wire, kind: str, trouble: str
) -> None:
    """What is cached is served and says that it is stale; what is not gets an error that is no absence."""
    wanted, thing = TROUBLES[trouble], KINDS[kind](f"trouble-{trouble}", SIZE)
    later = KINDS[kind](f"later-{trouble}", SIZE)
    for one in (thing, later):
        one.publish(up)

    async def run() -> None:
        await is_well(wire, thing, is_cached=False)  # after the trouble of the test before
        await download(wire, thing)
        wanted.begin(up)
        for answer in await each(wire, thing.page, thing):
            assert answer.status == 200, answer
            assert answer.headers["x-nora-stale"] == "true"
            assert answer.headers["warning"].startswith("110 ")
        await download(wire, thing)
        for path in [*uncached(thing), later.page]:
            for answer in await each(wire, path, thing):
                assert answer.status in wanted.statuses[kind], f"{path}: {answer}"
                if kind == "blob":
                    expected = "TOOMANYREQUESTS" if answer.status == 429 else "UNAVAILABLE"
                    assert answer.code == expected, answer
                if wanted.retry_after is not None:
                    assert int(answer.headers["retry-after"]) in wanted.retry_after, answer.headers
        up.fail(None)
        if trouble == "refused":
            up.start()
        await asyncio.sleep(wanted.held)
        await is_well(wire, thing)
        await is_well(wire, later, is_cached=False)
        await download(wire, later)

    try:
        asyncio.run(run())
    finally:
        up.fail(None)


@pytest.mark.parametrize("kind", KINDS)
def test_upstream_that_no_name_server_knows(nora_server: StartServer, up: UpstreamProcess, kind: str) -> None:
    """Its mirror answers, as long as that is there."""
    thing = KINDS[kind]("unknown", SIZE)
    thing.publish(up)
    unknown = "http://nora-upstream.invalid"
    env = {
        "NORA_DOCKER_UPSTREAMS": json.dumps([{"url": unknown, "mirrors": [up.url]}]),
        "NORA_PYPI_UPSTREAMS": json.dumps([{"url": f"{unknown}/simple", "mirrors": [f"{up.url}/simple"]}]),
        "NORA_PYPI_PROXY": "",
    }
    server = nora_server(workers=2, env={**asking(up.url, **QUICK), **env})
    wire = Wire(server.host, server.port)

    async def fails() -> None:
        for answer in await each(wire, thing.page, thing):
            assert answer.status == 200, answer
            assert answer.headers["x-nora-stale"] == "true"
        await download(wire, thing)
        for path in uncached(thing):
            for answer in await each(wire, path, thing):
                assert answer.status in (503, 504), f"{path}: {answer}"

    asyncio.run(download_all(wire, thing))
    up.stop()
    try:
        asyncio.run(fails())
    finally:
        up.start()


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_upstream_keeps_nobody_waiting_who_has_a_copy(
    nora_server: StartServer, up: UpstreamProcess, kind: str
) -> None:
    """The answer is there after the patience of a client, although the upstream may take much longer."""
    thing = KINDS[kind]("slow", SIZE)
    thing.publish(up)
    env = {name: one for name, one in QUICK.items() if not name.endswith("_TIMEOUT")}
    server = nora_server(workers=2, env=asking(up.url, **env))
    wire = Wire(server.host, server.port)

    async def run() -> None:
        await thing.announce(wire)
        up.fail(Answer(gate="slow"))
        for answer in await each(wire, thing.page, thing):
            assert answer.status == 200
            assert answer.headers["x-nora-stale"] == "true"
        assert up.count(path=next(iter(thing.named))) >= 1
        up.fail(None)
        up.open("slow")

    try:
        asyncio.run(asyncio.wait_for(run(), 50))
    finally:
        up.fail(None)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_one_revalidation_for_each_ttl(
    nora_server: StartServer, up: UpstreamProcess, kind: str, count: int
) -> None:
    """However many clients of however many workers ask: between two of them lies the time to live."""
    ttl = 1
    thing = KINDS[kind](f"ttl{count}", SIZE)
    thing.publish(up)
    env = {"NORA_DOCKER_METADATA_TTL": str(ttl), "NORA_PYPI_METADATA_TTL": str(ttl)}
    server = nora_server(workers=count, env=asking(up.url, **env))
    wire = Wire(server.host, server.port)

    async def client(until: float) -> int:
        asked = 0
        while time.monotonic() < until:
            await thing.announce(wire)
            asked += 1
            await asyncio.sleep(0.05)
        return asked

    async def run() -> None:
        await awake(server, wire)
        await thing.announce(wire)
        until = time.monotonic() + 4 * ttl
        asked = sum(await asyncio.gather(*(client(until) for _ in range(16))))
        page = next(iter(thing.named))
        method = "HEAD" if kind == "blob" else "GET"
        requests = up.requests(method, page)
        assert asked > 5 * len(requests)
        assert len(requests) >= 2, "it is revalidated"
        gaps = [after.at - before.at for before, after in itertools.pairwise(requests)]
        assert min(gaps) >= 0.9 * ttl, gaps
        if kind == "blob":
            assert up.count("GET", page) == 0, "nothing that counts against a quota"
        else:
            assert [one.status for one in requests[1:]] == [304] * (len(requests) - 1)

    asyncio.run(run())


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_offline(nora_server: StartServer, upstream: Upstream, kind: str, count: int) -> None:
    """No connection at all; what is cached is served however old it is, and what is not is absent."""
    thing, later = (KINDS[kind](name, SIZE) for name in ("offline", "offline-later"))
    for one in (thing, later):
        one.publish(upstream)
    env = asking(upstream.url, **QUICK)
    server = nora_server(workers=count, env=env)
    wire = Wire(server.host, server.port)

    async def before() -> None:
        await download_all(wire, thing)
        await later.announce(wire)

    async def after() -> None:
        await awake(server, wire)
        for answer in await each(wire, thing.page, thing):
            assert answer.status == 200
            assert "x-nora-stale" not in answer.headers
        await download(wire, thing)
        for path in [*uncached(thing), later.path]:
            for answer in await each(wire, path, thing):
                assert answer.status == 404, f"{path}: {answer}"
            assert (await wire.call("HEAD", path)).status == 404

    asyncio.run(before())
    server.stop()
    connections, asked = upstream.connections, len(upstream.log.requests)
    server.env = env | {"NORA_PROXY_MODE": "offline"}
    server.start()
    asyncio.run(after())
    assert upstream.connections == connections
    assert len(upstream.log.requests) == asked


async def download_all(wire: Wire, thing: Thing) -> None:
    await thing.announce(wire)
    await download(wire, thing)


@pytest.mark.parametrize("kind", KINDS)
def test_upstream_that_is_gone_for_good(nora_server: StartServer, up: UpstreamProcess, kind: str) -> None:
    """After a restart of the server, too, what was pulled is there: all of it that a client has got."""
    thing = KINDS[kind]("gone", SIZE)
    thing.publish(up)
    server = nora_server(workers=2, env=asking(up.url, **QUICK))
    wire = Wire(server.host, server.port)
    asyncio.run(download_all(wire, thing))
    up.stop()
    server.restart()
    try:
        asyncio.run(download_all(wire, thing))
    finally:
        up.start()
