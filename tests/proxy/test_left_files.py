"""Files that nobody waits for any more: finished when little is missing, else kept for who asks next."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from nora.blobs import scratch
from nora.blobs.scratch import sweep_parts
from nora.catalog.records import Blob
from nora.proxy import downloads
from nora.proxy.in_flight import InFlightFile
from tests.proxy.engine import Engine, digest_of, engine
from tests.support.answers import Answer, document
from tests.support.upstream import Upstream
from tests.support.waiting import until

DATA = os.urandom(3_000_000)
HELD = 1_000_000
BELOW = 1_000_000
Run = Callable[..., None]


@pytest.fixture(autouse=True)
def _left_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "LEFT_SECONDS", 0.05)
    monkeypatch.setattr(downloads, "MARK_SECONDS", 0.01)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a test with so many engines on one data directory."""

    def run(body: Callable[..., Awaitable[None]], count: int = 1, below: float = BELOW) -> None:
        async def all_of_it() -> None:
            async with AsyncExitStack() as stack, asyncio.timeout(60):
                made = [
                    await stack.enter_async_context(engine(tmp_path / "data", finish_below=below))
                    for _ in range(count)
                ]
                await body(*made)

        asyncio.run(all_of_it())

    return run


def is_running(one: Engine) -> bool:
    return bool(one.cache._downloads._running or one.cache._downloads._stopping)


async def read_some(found: Blob | InFlightFile | None) -> bytes:
    """The first bytes; then the client is gone."""
    assert isinstance(found, InFlightFile)
    async with aclosing(found.read()) as pieces:
        return await anext(pieces)


@pytest.mark.parametrize(
    ("known", "etag", "resumes"), [(True, None, True), (False, "", True), (False, None, False)]
)
def test_the_part_of_a_file_that_was_left_is_for_who_asks_next(
    upstream: Upstream, run: Run, known: bool, etag: str | None, resumes: bool
) -> None:
    """Who has neither a digest nor a validator begins anew."""
    upstream.serve("/a", document(DATA, etag=etag, hold=HELD, gate="never"))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{upstream.url}/a", digest=digest_of(DATA) if known else None)
        assert DATA.startswith(await read_some(await one.cache.file(wanted)))
        await until(lambda: not is_running(one), "the download to end")
        assert len(one.leftovers()) == 1 + resumes, "its state, and its bytes"
        upstream.serve("/a", document(DATA, etag=etag))
        found = await one.cache.file(wanted)
        assert await one.read(found) == DATA
        assert isinstance(found, InFlightFile)
        await found.end()

    run(body)
    first, second = [one.headers.get("range") for one in upstream.log.requests]
    assert (first, second) == (None, f"bytes={HELD}-" if resumes else None)


def test_an_upstream_without_ranges_is_asked_for_all_of_it(upstream: Upstream, run: Run) -> None:
    upstream.serve("/a", document(DATA, hold=HELD, gate="never"))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{upstream.url}/a", digest=digest_of(DATA))
        await read_some(await one.cache.file(wanted))
        await until(lambda: not is_running(one), "the download to end")
        upstream.serve("/a", document(DATA, ranges=False))
        found = await one.cache.file(wanted)
        assert await one.read(found) == DATA, "who reads is not cut off"
        assert isinstance(found, InFlightFile)
        await found.end()

    run(body)


@pytest.mark.parametrize("below", [len(DATA) - HELD, 1 << 30])
def test_what_misses_little_is_brought_in(upstream: Upstream, run: Run, below: int) -> None:
    upstream.serve("/a", document(DATA, hold=HELD, gate="rest"))

    async def body(one: Engine) -> None:
        wanted = one.wanted(f"{upstream.url}/a", digest=digest_of(DATA))
        found = await one.cache.file(wanted)
        assert isinstance(found, InFlightFile)
        await found.reaches(HELD - (64 << 10))
        await asyncio.sleep(0.2)
        assert is_running(one)
        upstream.open("rest")
        await until(lambda: not is_running(one), "the download to end")
        assert await wanted.find() is not None

    run(body, below=below)
    assert upstream.log.count("GET") == 1


def test_a_client_that_is_slow_is_not_gone(upstream: Upstream, run: Run) -> None:
    upstream.serve("/a", document(DATA, hold=HELD, gate="rest"))

    async def body(one: Engine) -> None:
        found = await one.cache.file(one.wanted(f"{upstream.url}/a", digest=digest_of(DATA)))
        assert isinstance(found, InFlightFile)
        async with aclosing(found.read()) as pieces:
            got = await anext(pieces)
            await asyncio.sleep(0.2)
            upstream.open("rest")
            async for piece in pieces:
                got += piece
        assert got == DATA
        await found.end()

    run(body)
    assert upstream.log.count("GET") == 1


def test_who_waits_in_another_process_counts(
    upstream: Upstream, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "LEFT_SECONDS", 0.5)  # the other one may be slow to say so
    upstream.serve("/a", document(DATA, hold=HELD, gate="rest"))

    async def body(first: Engine, second: Engine) -> None:
        url, digest = f"{upstream.url}/a", digest_of(DATA)
        await first.cache.file(first.wanted(url, digest=digest))
        reading = asyncio.ensure_future(
            second.read(await second.cache.file(second.wanted(url, digest=digest)))
        )
        await asyncio.sleep(1.2)
        assert is_running(first)
        upstream.open("rest")
        assert await reading == DATA
        await until(lambda: not is_running(first), "the download to end")

    run(body, 2)
    assert upstream.log.count("GET") == 1


def test_who_follows_for_nobody_leaves(upstream: Upstream, run: Run) -> None:
    """Nor does a follower go on with what the holder has left."""
    upstream.serve("/a", document(DATA, hold=HELD, gate="never"))

    async def body(first: Engine, second: Engine) -> None:
        url, digest = f"{upstream.url}/a", digest_of(DATA)
        for one in (first, second):
            await read_some(await one.cache.file(one.wanted(url, digest=digest)))
        await until(lambda: not is_running(second), "the download to end")
        await until(lambda: not is_running(first), "the download to end")

    run(body, 2)
    assert upstream.log.count("GET") == 1


def test_of_a_file_without_length_only_so_much_more_is_taken(upstream: Upstream, run: Run) -> None:
    body_of = Answer(body=bytes(50_000_000), framing="chunked", rate=5_000_000)
    upstream.serve("/a", body_of)

    async def body(one: Engine) -> None:
        found = await one.cache.file(one.wanted(f"{upstream.url}/a"))
        assert isinstance(found, InFlightFile)
        await until(lambda: not is_running(one), "the download to end")
        assert BELOW < found.written < 50_000_000

    run(body)


def test_parts_are_kept_as_long_as_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        (tmp_path / str(number)).write_bytes(bytes(1 << 20))
        os.utime(tmp_path / str(number), (1000 + number, 1000 + number))
    assert sweep_parts(str(tmp_path), 1e12) == 0
    used, statvfs = sum(one.stat().st_blocks for one in tmp_path.iterdir()) * 512, os.statvfs(tmp_path)
    fields = list(statvfs)
    fields[4] = (used * 2 - 1) // statvfs.f_frsize
    monkeypatch.setattr(scratch.os, "statvfs", lambda _: os.statvfs_result(fields))
    assert sweep_parts(str(tmp_path), 1e12) == 1
    assert sorted(os.listdir(tmp_path)) == ["1", "2"], "the oldest goes"
    assert sweep_parts(str(tmp_path), 60) == 2
