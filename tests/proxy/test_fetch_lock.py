"""Who may ask: one at a time, and the others hear how it ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nora.blobs.disk import Disk
from nora.errors import (
    Conflict,
    NoraError,
    StorageFull,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from nora.proxy.fetch_lock import Failure, FetchLock, LeaderState


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(str(tmp_path), reserve_bytes=0, durable="none")
    yield disk
    disk.close()


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "claim")


def test_the_first_has_it_and_the_others_hear_how_it_ended(disk: Disk, path: str) -> None:
    async def body() -> None:
        holder, other = FetchLock(disk, path), FetchLock(disk, path)
        assert await holder.take() is None
        await holder.write(LeaderState(attempt=3, total=5))
        word = await other.look()
        assert word is not None
        assert (word.state, word.attempt, word.total, word.ended) == ("running", 3, 5, False)
        waiting = asyncio.ensure_future(other.take())
        await asyncio.sleep(0.03)
        await holder.end(LeaderState(state="failed", failure=Failure.of(UpstreamUnavailable("no", 7))))
        word = await waiting
        assert word is not None
        assert word.failure is not None
        assert str(word.failure.error()) == "no"
        other.close()
        assert not os.path.exists(path)

    asyncio.run(body())


def test_who_comes_afterwards_begins_anew(disk: Disk, path: str) -> None:
    async def body() -> None:
        first, second = FetchLock(disk, path), FetchLock(disk, path)
        assert await first.take() is None
        await first.end(LeaderState(state="failed", failure=Failure.of(UpstreamFailed("no"))))
        assert await second.take() is None
        second.close()

    asyncio.run(body())


def test_a_last_word_that_was_left_behind_is_not_heard_by_who_did_not_wait(disk: Disk, path: str) -> None:
    """Its holder was killed before it could remove the file."""

    async def body() -> None:
        first, second = FetchLock(disk, path), FetchLock(disk, path)
        assert await first.take() is None
        await first.write(LeaderState(state="failed", failure=Failure.of(UpstreamFailed("no"))))
        first.close()
        assert await second.take() is None
        second.close()

    asyncio.run(body())


def test_a_last_word_that_was_left_behind_is_not_that_of_the_next_holder(disk: Disk, path: str) -> None:
    async def body() -> None:
        first, second, third = FetchLock(disk, path), FetchLock(disk, path), FetchLock(disk, path)
        assert await first.take() is None
        await first.write(LeaderState(state="absent"))
        first.close()
        assert await second.take() is None
        word = await third.look()
        assert word is not None
        assert not word.ended
        second.close()
        third.close()

    asyncio.run(body())


def test_when_the_holder_dies_one_who_waits_has_it(disk: Disk, path: str) -> None:
    async def body() -> None:
        holder, others = FetchLock(disk, path), [FetchLock(disk, path) for _ in range(3)]
        assert await holder.take() is None
        await holder.write(LeaderState(attempt=3))
        for other in others:
            assert await other.look() is not None
        holder.close()
        found = [await other.look() for other in others]
        assert found[0] is None
        assert [word.attempt for word in found[1:] if word is not None] == [3, 3]
        read = others[0].read()
        assert read is not None
        assert read.attempt == 3
        for other in others:
            other.close()

    asyncio.run(body())


def test_a_claim_whose_file_was_swept_begins_anew(disk: Disk, path: str) -> None:
    async def body() -> None:
        holder, other = FetchLock(disk, path), FetchLock(disk, path)
        assert await holder.take() is None
        assert await other.look() is not None
        os.unlink(path)
        holder.close()
        assert await other.take() is None
        assert os.path.exists(path)
        other.close()

    asyncio.run(body())


@pytest.mark.parametrize("content", [b"", b"x", os.urandom(4096), b"00000000{}"])
def test_what_is_no_word_says_nothing(disk: Disk, path: str, content: bytes) -> None:
    async def body() -> None:
        Path(path).write_bytes(content)
        claim = FetchLock(disk, path)
        assert await claim.take() is None
        assert claim.read() is None
        claim.close()

    asyncio.run(body())


def test_a_validator_of_kilobytes_is_left_out(disk: Disk, path: str) -> None:
    async def body() -> None:
        claim = FetchLock(disk, path)
        await claim.take()
        await claim.write(LeaderState(attempt=1, url="u" * 3000, etag="e" * 3000))
        assert claim.read() == LeaderState(attempt=1)
        claim.close()

    asyncio.run(body())


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UpstreamFailed("a"), UpstreamFailed),
        (UpstreamTimeout("a"), UpstreamTimeout),
        (UpstreamLimited("a", 9), UpstreamLimited),
        (StorageFull("a"), StorageFull),
        (Conflict("a"), UpstreamFailed),
    ],
)
def test_errors_are_told_as_they_are(error: NoraError, kind: type[NoraError]) -> None:
    told = Failure.of(error).error()
    assert (type(told), str(told)) == (kind, "a")
    if isinstance(told, UpstreamUnavailable):
        assert (told.retry_after, told.is_told) == (9, True)


def test_a_fault_of_ours_is_told_without_its_text() -> None:
    told = Failure.of(KeyError("secret")).error()
    assert told.status == 500
    assert "secret" not in str(told)


def test_nobody_waits_for_a_holder_that_says_nothing_any_more(disk: Disk, path: str) -> None:
    async def body() -> None:
        holder, other = (FetchLock(disk, path, 0.1) for _ in range(2))
        assert await holder.take() is None
        await holder.write(LeaderState())
        with pytest.raises(UpstreamTimeout, match=r"proxy\.read_timeout"):
            await other.take()
        other.close()
        await holder.end(LeaderState(state="absent"))

    asyncio.run(body())


def test_a_holder_that_beats_is_waited_for(disk: Disk, path: str) -> None:
    async def body() -> None:
        holder, other = FetchLock(disk, path, 0.3), FetchLock(disk, path, 0.3)
        assert await holder.take() is None
        state = LeaderState(url="x" * 5000, etag="y" * 5000)
        await holder.write(state)
        waiting = asyncio.ensure_future(other.take())
        async with holder.beating():
            await asyncio.sleep(0.7)
        assert not waiting.done()
        await holder.end(LeaderState(state="absent"))
        found = await waiting
        assert found is not None
        assert found.state == "absent"
        other.close()

    asyncio.run(body())
