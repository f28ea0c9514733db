"""Files that may change under their names: asked again when they are old, read while they come in."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pytest

from nora.errors import NotFound, UpstreamFailed
from nora.http.memory import MemoryCache
from nora.proxy.base import Address, Policy
from nora.proxy.changing_files import ChangingFiles
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from tests.proxy.engine import LEASE_SECONDS, MAX_BYTES, Engine, digest_of, engine
from tests.proxy.sent import Sent, Services, asking, sent
from tests.support.answers import Answer
from tests.support.upstream import Upstream, upstream
from tests.support.waiting import until

OLD, NEW = os.urandom(300_000), os.urandom(200_000)
DATE = "Tue, 03 Mar 2026 10:00:00 GMT"
ALWAYS_ASKED = Policy(fresh=0.0, max_wait=30.0)


@dataclass
class Client:
    """Asks for the file `/a` of the upstream."""

    engine: Engine
    up: Upstream

    async def get(self, policy: Policy = ALWAYS_ASKED, method: str = "GET", **headers: str) -> Sent:
        one = self.engine
        where = Address(one.upstream(self.up.url), f"{self.up.url}/a")
        file = UpstreamFile(
            path="a", package="p", version="1", media_type="application/x-a", addresses=(where,)
        )
        listed = ListedFiles(one.catalog, LEASE_SECONDS, one.cache.used)
        services = Services(one.store, MemoryCache(1 << 20), one.cache)
        request = asking(method, **headers)
        files = ChangingFiles(one.catalog, listed)
        response = await files.response(
            request, services, one.repository, file, policy, max_bytes=MAX_BYTES, public=True
        )
        return await sent(request, response)

    def gives(self, body: bytes, etag: str, **named: object) -> None:
        self.up.serve("/a", Answer(body=body, headers={"etag": etag}, **named))  # type: ignore[arg-type]

    async def fetched(self) -> None:
        """Wait until the file has its row."""
        catalog, repository = self.engine.catalog, self.engine.repository.id
        await until(lambda: catalog.find_cached(repository, "a"), "the row of the file")


Run = Callable[[Callable[[Client], Awaitable[None]]], None]


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as server:
        server.serve("/a", Answer(body=OLD, headers={"etag": '"1"', "last-modified": DATE}))
        yield server


@pytest.fixture
def run(tmp_path: Path, up: Upstream) -> Run:
    def run(body: Callable[[Client], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            async with engine(tmp_path / "data") as one, asyncio.timeout(60):
                await body(Client(one, up))

        asyncio.run(all_of_it())

    return run


def test_what_has_not_changed_is_not_fetched_again(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        first = await client.get()
        await client.fetched()
        second = await client.get()
        assert first.body == second.body == OLD
        assert second.headers[b"etag"] == f'"{digest_of(OLD)}"'.encode()
        assert [one.headers.get("if-none-match") for one in up.log.of("GET")] == [None, '"1"']
        assert [one.status for one in up.log.of("GET")] == [200, 304]

    run(body)


def test_what_has_changed_comes_in_and_keeps_its_version(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        await client.get()
        await client.fetched()
        client.gives(NEW, '"2"')
        assert (await client.get()).body == NEW
        row = await client.engine.catalog.find_cached(client.engine.repository.id, "a")
        assert row is not None
        assert (row.version, row.validators["etag"]) == ("1", '"2"')

    run(body)


def test_what_is_fresh_is_served_without_asking(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        for fresh in (1000.0, inf):
            policy = Policy(fresh=fresh)
            await client.get(policy)
            await client.fetched()
            answer = await client.get(policy)
            assert answer.headers[b"cache-control"].startswith(b"public, max-age=")
        assert up.log.count("GET") == 1

    run(body)


@pytest.mark.parametrize(
    "wrong",
    [Answer(status=500), Answer(body=NEW, cut=1000), Answer(body=NEW, framing="close"), Answer(status=403)],
)
def test_a_failure_leaves_the_copy_that_is_here(up: Upstream, run: Run, wrong: Answer) -> None:
    async def body(client: Client) -> None:
        await client.get()
        await client.fetched()
        up.serve("/a", wrong)
        answer = await client.get()
        assert (answer.body, answer.headers[b"x-nora-stale"]) == (OLD, b"true")

    run(body)


def test_without_a_copy_a_failure_is_one_and_an_absence_too(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        up.serve("/a", Answer(status=500))
        with pytest.raises(UpstreamFailed):
            await client.get()
        up.serve("/a", Answer(status=404))
        with pytest.raises(NotFound):
            await client.get()

    run(body)


def test_what_the_upstream_has_removed_is_gone(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        await client.get()
        await client.fetched()
        up.serve("/a", Answer(status=404))
        with pytest.raises(NotFound):
            await client.get()

    run(body)


def test_a_large_change_is_not_waited_for(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        await client.get()
        await client.fetched()
        client.gives(NEW, '"2"', hold=1000, gate="go")
        answer = await client.get(Policy(fresh=0.0, max_wait=0.05))
        assert (answer.body, answer.headers[b"x-nora-stale"]) == (OLD, b"true")
        up.open("go")
        assert (await client.get()).body == NEW

    run(body)


def test_offline_what_is_here_is_served(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        await client.get()
        await client.fetched()
        client.engine.online = False
        assert (await client.get()).body == OLD
        assert up.log.count("GET") == 1

    run(body)


def test_ranges_and_conditions_hold_for_the_copy(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        await client.get()
        await client.fetched()
        part = await client.get(range="bytes=5-9")
        assert (part.status, part.body) == (206, OLD[5:10])
        same = await client.get(if_none_match=f'"{digest_of(OLD)}"')
        assert (same.status, same.headers[b"last-modified"]) == (304, DATE.encode())
        head = await client.get(method="HEAD")
        assert (head.status, head.headers[b"content-length"], head.body) == (200, b"300000", b"")

    run(body)
