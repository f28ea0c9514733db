"""What a client gets of a file that is here, on its way, or nowhere."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nora.errors import NotFound, RangeNotSatisfiable, UpstreamFailed
from nora.http.memory import MemoryCache
from nora.proxy import answers
from nora.proxy.answers import file_response, stale_headers
from nora.proxy.base import Document, FileRequest, Freshness
from tests.proxy.engine import Engine, digest_of, engine
from tests.proxy.sent import Sent, Services, asking, sent
from tests.support.answers import Answer, document
from tests.support.upstream import Upstream, upstream
from tests.support.waiting import until

DATA = os.urandom(2_000_000)
DIGEST = digest_of(DATA)
TAG = f'"{DIGEST}"'.encode()

Run = Callable[[Callable[["Client"], Awaitable[None]]], None]


@dataclass
class Client:
    """Asks for a file as the server would."""

    engine: Engine
    up: Upstream

    def wanted(self, **named: Any) -> FileRequest:
        return self.engine.wanted(f"{self.up.url}/a", **{"digest": DIGEST, **named})

    async def ask(
        self, wanted: FileRequest, method: str = "GET", etag: bytes | None = None, **headers: str
    ) -> Sent:
        """The whole answer. Raises what comes before the head."""
        request = asking(method, **headers)
        services = Services(self.engine.store, MemoryCache(1 << 20), self.engine.cache)
        response = await file_response(
            request, services, wanted, headers=[(b"x-test", b"1")], etag=etag, what="file a"
        )
        return await sent(request, response)

    async def stored(self, wanted: FileRequest) -> None:
        await until(wanted.find, "the row of the file")


@pytest.fixture
def up() -> Iterator[Upstream]:
    with upstream() as server:
        server.serve("/a", document(DATA))
        yield server


@pytest.fixture
def run(tmp_path: Path, up: Upstream) -> Run:
    def run(body: Callable[[Client], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            async with engine(tmp_path / "data") as one:
                async with asyncio.timeout(60):
                    await body(Client(one, up))

        asyncio.run(all_of_it())

    return run


def test_cold_and_warm_are_the_same_answer(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        wanted = client.wanted()
        cold = await client.ask(wanted)
        await client.stored(wanted)
        warm = await client.ask(wanted)
        assert cold == warm
        assert (cold.status, cold.body, cold.error) == (200, DATA, None)
        assert cold.headers[b"content-length"] == b"2000000"
        assert cold.headers[b"etag"] == TAG
        assert cold.headers[b"accept-ranges"] == b"bytes"
        assert cold.headers[b"x-test"] == b"1"

    run(body)
    assert up.log.count() == 1


def test_a_size_that_nobody_knows_is_not_declared(up: Upstream, run: Run) -> None:
    up.serve("/a", document(DATA, framing="chunked"))

    async def body(client: Client) -> None:
        cold = await client.ask(client.wanted(digest=None))
        assert (cold.status, cold.body, cold.error) == (200, DATA, None)
        assert b"content-length" not in cold.headers
        assert b"etag" not in cold.headers

    run(body)


def test_a_wrong_file_ends_in_an_error_that_cuts_the_connection(up: Upstream, run: Run) -> None:
    up.serve("/a", document(bytes(2_000_000), hold=500_000, gate="rest"))

    async def body(client: Client) -> None:
        asking = asyncio.ensure_future(client.ask(client.wanted()))
        await asyncio.sleep(0.1)
        up.open("rest")
        sent = await asking
        assert sent.status == 200
        assert isinstance(sent.error, UpstreamFailed)
        assert len(sent.body) < 2_000_000

    run(body)


def test_an_error_before_the_first_byte_has_its_status(up: Upstream, run: Run) -> None:
    up.serve("/a", document(bytes(1000)))

    async def body(client: Client) -> None:
        with pytest.raises(UpstreamFailed):
            await client.ask(client.wanted())
        up.serve("/a", Answer(status=500))
        with pytest.raises(UpstreamFailed):
            await client.ask(client.wanted())

    run(body)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_absent_names_what_is_absent(up: Upstream, run: Run, method: str) -> None:
    up.forget("/a")

    async def body(client: Client) -> None:
        for _ in range(3):
            with pytest.raises(NotFound, match="there is no file a"):
                await client.ask(client.wanted(), method)

    run(body)
    assert up.log.count() == 1


def test_offline_nothing_is_asked(up: Upstream, run: Run) -> None:
    async def body(client: Client) -> None:
        nowhere = client.engine.wanted(digest=DIGEST, size=len(DATA))
        for method in ("GET", "HEAD"):
            with pytest.raises(NotFound):
                await client.ask(nowhere, method)
        await client.ask(client.wanted())
        await client.stored(nowhere)
        assert (await client.ask(nowhere)).body == DATA

    run(body)
    assert up.log.count() == 1


@pytest.mark.parametrize("size", [len(DATA), None])
def test_a_head_of_a_cold_file_costs_no_get(up: Upstream, run: Run, size: int | None) -> None:
    async def body(client: Client) -> None:
        sent = await client.ask(client.wanted(size=size), "HEAD")
        assert (sent.status, sent.body) == (200, b"")
        assert sent.headers[b"content-length"] == b"2000000"
        assert sent.headers[b"etag"] == TAG

    run(body)
    assert up.log.count("GET") == 0
    assert up.log.count("HEAD") == (0 if size else 1)


@pytest.mark.parametrize(
    ("wanted_range", "first", "last"),
    [
        ("bytes=0-9", 0, 9),
        ("bytes=100000-199999", 100_000, 199_999),
        ("bytes=1990000-", 1_990_000, 1_999_999),
        ("bytes=-5", 1_999_995, 1_999_999),
        ("bytes=0-", 0, 1_999_999),
    ],
)
def test_a_part_of_a_cold_file(up: Upstream, run: Run, wanted_range: str, first: int, last: int) -> None:
    async def body(client: Client) -> None:
        sent = await client.ask(client.wanted(), range=wanted_range)
        assert (sent.status, sent.error) == (206, None)
        assert sent.body == DATA[first : last + 1]
        assert sent.headers[b"content-range"] == f"bytes {first}-{last}/2000000".encode()
        await client.stored(client.wanted())

    run(body)
    assert up.log.count("GET") == 1


def test_conditions_of_a_cold_file(up: Upstream, run: Run) -> None:
    up.serve("/a", document(DATA, hold=500_000, gate="rest"))

    async def body(client: Client) -> None:
        wanted = client.wanted()
        with pytest.raises(RangeNotSatisfiable):
            await client.ask(wanted, range="bytes=2000000-")
        assert (await client.ask(wanted, if_none_match=TAG.decode())).status == 304
        part = await client.ask(wanted, range="bytes=0-9", if_range=TAG.decode())
        assert (part.status, part.body) == (206, DATA[:10])
        up.open("rest")
        whole = await client.ask(wanted, range="bytes=0-9", if_range='"other"')
        assert (whole.status, whole.body) == (200, DATA)
        several = await client.ask(wanted, range="bytes=0-9,20-29")
        assert (several.status, several.body) == (200, DATA)

    run(body)
    assert up.log.count("GET") == 1


def test_a_part_that_is_far_away_comes_from_the_upstream_itself(
    up: Upstream, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the client knows the digest of the whole; and it is kept by nobody."""
    monkeypatch.setattr(answers, "HEAD_WAIT_SECONDS", 0.05)
    up.once("/a", document(DATA, hold=500_000, gate="rest"))

    async def body(client: Client) -> None:
        sent = await client.ask(client.wanted(), range="bytes=-1000")
        assert (sent.status, sent.body, sent.error) == (206, DATA[-1000:], None)
        assert await client.wanted().find() is None
        up.open("rest")
        await client.stored(client.wanted())

    run(body)
    assert [one.headers.get("range") for one in up.log.of("GET")] == [None, "bytes=1999000-1999999"]


@pytest.mark.parametrize("other", [Answer(status=500), document(DATA, ranges=False), document(DATA, cut=100)])
def test_what_the_upstream_does_not_give_is_waited_for(
    up: Upstream, run: Run, monkeypatch: pytest.MonkeyPatch, other: Answer
) -> None:
    monkeypatch.setattr(answers, "HEAD_WAIT_SECONDS", 0.05)
    up.once("/a", document(DATA, hold=500_000, gate="rest"), other)

    async def body(client: Client) -> None:
        asking = asyncio.ensure_future(client.ask(client.wanted(), range="bytes=-1000"))
        await until(lambda: up.log.count("GET") == 2, "the second request")
        up.open("rest")
        sent = await asking
        assert (sent.status, sent.body, sent.error) == (206, DATA[-1000:], None)

    run(body)


def test_a_part_that_nobody_could_verify_is_waited_for(
    up: Upstream, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "HEAD_WAIT_SECONDS", 0.05)
    up.serve("/a", document(DATA, hold=500_000, gate="rest"))

    async def body(client: Client) -> None:
        asking = asyncio.ensure_future(client.ask(client.wanted(digest=None), range="bytes=-1000"))
        await asyncio.sleep(0.2)
        up.open("rest")
        assert (await asking).body == DATA[-1000:]

    run(body)
    assert up.log.count("GET") == 1


def test_a_client_that_leaves_does_not_stop_it(up: Upstream, run: Run) -> None:
    up.serve("/a", document(DATA, hold=500_000, gate="rest"))

    async def body(client: Client) -> None:
        asking = asyncio.ensure_future(client.ask(client.wanted()))
        await asyncio.sleep(0.1)
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        up.open("rest")
        await client.stored(client.wanted())

    run(body)
    assert up.log.count("GET") == 1


def test_only_what_is_stale_says_so(run: Run) -> None:
    async def body(client: Client) -> None:
        for freshness in Freshness:
            found = stale_headers(Document(None, freshness))  # type: ignore[arg-type]
            assert bool(found) is (freshness is Freshness.STALE)

    run(body)
