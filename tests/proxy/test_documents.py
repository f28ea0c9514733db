"""Documents: fresh, stale, absent, failed; asked once, and never in a loop. The clock passes when told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from math import inf
from pathlib import Path

import pytest

from nora.blobs.base import Expect
from nora.catalog.records import Cached
from nora.errors import StorageBusy, StorageFull, UpstreamFailed, UpstreamUnavailable
from nora.model import Digest
from nora.proxy.base import UNCHANGED, Document, Fetched, Freshness, Policy, Unchanged
from nora.proxy.fetch_lock import FetchLock, LeaderState
from tests.proxy.engine import Clock, Engine, digest_of, engine
from tests.support.waiting import until

POLICY = Policy(fresh=100, stale_while_revalidate=50, stale_if_error=1000)
AT_ONCE = replace(POLICY, stale_while_revalidate=0)

Run = Callable[[Callable[[Engine, Clock], Awaitable[None]]], None]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a test with an engine; nothing is left of what it asked."""

    def run(body: Callable[[Engine, Clock], Awaitable[None]]) -> None:
        async def all_of_it() -> None:
            clock = Clock()
            async with engine(tmp_path / "data", clock) as one:
                async with asyncio.timeout(60):
                    await body(one, clock)
            assert one.leftovers() == []

        asyncio.run(all_of_it())

    return run


class Origin:
    """What an upstream would say, and what it was asked."""

    def __init__(self, *answers: bytes | Fetched | Unchanged | Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[Cached | None] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, cached: Cached | None) -> Fetched | Unchanged | None:
        self.asked.append(cached)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.gate.wait()
        if isinstance(answer, Exception):
            raise answer
        return page(answer) if isinstance(answer, bytes) else answer


def page(body: bytes, **fields: object) -> Fetched:
    values = {"media_type": "text/plain", "upstream_url": "http://up/page", "validators": {"etag": '"1"'}}
    return Fetched(body=body, **{**values, **fields})  # type: ignore[arg-type]


async def body_of(one: Engine, document: Document | None) -> bytes:
    assert document is not None
    return await one.store.read(document.cached.blob)


async def quiet(one: Engine) -> None:
    """Wait until nobody asks."""
    await until(lambda: not one.cache._documents._asking, "those who ask")


async def follows(one: Engine) -> None:
    """Wait until a second worker is at the lock of a document, and a moment longer: it looks who leads."""
    folder = os.path.realpath(one.scratch.download("")).rpartition("/")[0]

    def locks() -> list[str]:
        numbers = os.listdir("/proc/self/fd")
        targets = [os.path.realpath(f"/proc/self/fd/{number}") for number in numbers]
        return [target for target in targets if target.startswith(f"{folder}/")]

    await until(lambda: len(locks()) >= 2, "a second worker at the lock", seen=locks)
    await asyncio.sleep(0.1)


def test_what_is_fresh_is_served_without_asking(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one")
        first = await one.cache.document(one.place(), POLICY, origin)
        assert first is not None
        assert first.freshness is Freshness.MISS
        assert await body_of(one, first) == b"one"
        assert first.cached.package == "some"
        assert first.cached.validators == {"etag": '"1"'}
        clock.now += 89
        again = await one.cache.document(one.place(), POLICY, origin)
        assert again is not None
        assert (again.freshness, again.is_stale) == (Freshness.HIT, False)
        assert origin.asked == [None]
        assert one.counted == [("raw", "miss"), ("raw", "hit")]

    run(body)


def test_times_are_spread_by_a_tenth(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        until = []
        for number in range(40):
            found = await one.cache.document(one.place(f"page{number}"), POLICY, Origin(b"one"))
            assert found is not None
            until.append(found.cached.fresh_until - clock.now)
        assert 90 <= min(until) < 97
        assert 103 < max(until) <= 110

    run(body)


def test_what_is_for_good_is_never_asked_again(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one")
        await one.cache.document(one.place(), Policy(fresh=inf), origin)
        clock.now += 1e9
        found = await one.cache.document(one.place(), Policy(fresh=inf), origin)
        assert found is not None
        assert found.freshness is Freshness.HIT
        assert len(origin.asked) == 1

    run(body)


@pytest.mark.parametrize("policy", [POLICY, AT_ONCE])
def test_what_a_clock_that_was_wrong_called_fresh_is_asked_for_again(run: Run, policy: Policy) -> None:
    """A machine may begin in another year, until it asks what time it is."""

    async def body(one: Engine, clock: Clock) -> None:
        now, clock.now = clock.now, clock.now + 1e9
        origin = Origin(b"one", b"two")
        await one.cache.document(one.place(), policy, origin)
        clock.now = now
        await one.cache.document(one.place(), policy, origin)
        await quiet(one)
        found = await one.cache.document(one.place(), policy, origin)
        assert await body_of(one, found) == b"two"
        assert len(origin.asked) == 2
        assert found is not None
        assert found.cached.fetched_at == now

    run(body)


def test_a_little_stale_is_served_at_once_while_one_asks(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one", b"two")
        await one.cache.document(one.place(), POLICY, origin)
        clock.now += 115
        origin.gate.clear()
        for _ in range(5):
            found = await one.cache.document(one.place(), POLICY, origin)
            assert found is not None
            assert found.freshness is Freshness.HIT
            assert await body_of(one, found) == b"one"
        origin.gate.set()
        await quiet(one)
        assert len(origin.asked) == 2
        found = await one.cache.document(one.place(), POLICY, origin)
        assert await body_of(one, found) == b"two"

    run(body)


def test_what_is_never_fresh_is_always_asked_for(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one", UNCHANGED)
        policy = Policy(fresh=0)
        await one.cache.document(one.place(), policy, origin)
        for _ in range(2):
            found = await one.cache.document(one.place(), policy, origin)
            assert found is not None
            assert found.freshness is Freshness.REVALIDATED
        assert len(origin.asked) == 3

    run(body)


def test_unchanged_writes_no_body_and_is_fresh_again(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one", UNCHANGED)
        first = await one.cache.document(one.place(), AT_ONCE, origin)
        clock.now += 200
        found = await one.cache.document(one.place(), AT_ONCE, origin)
        assert first is not None
        assert found is not None
        assert found.freshness is Freshness.REVALIDATED
        assert found.cached.blob == first.cached.blob
        assert found.cached.fetched_at == clock.now
        assert origin.asked[1] == first.cached
        clock.now += 80
        again = await one.cache.document(one.place(), AT_ONCE, origin)
        assert again is not None
        assert again.freshness is Freshness.HIT
        assert again.cached == found.cached
        assert len(origin.asked) == 2

    run(body)


def test_the_same_bytes_are_not_written_again(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        first = await one.cache.document(one.place(), AT_ONCE, Origin(b"one"))
        clock.now += 200
        again = page(b"one", validators={"etag": '"2"'}, document=b'{"a":1}')
        found = await one.cache.document(one.place(), AT_ONCE, Origin(again))
        assert first is not None
        assert found is not None
        assert found.cached.blob == first.cached.blob
        assert (found.cached.validators, found.cached.document) == ({"etag": '"2"'}, b'{"a":1}')

    run(body)


def test_unchanged_without_a_copy_is_a_failure_and_no_loop(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(UNCHANGED)
        with pytest.raises(UpstreamFailed, match="has nothing"):
            await one.cache.document(one.place(), POLICY, origin)
        assert origin.asked == [None]

    run(body)


def test_without_its_row_a_document_is_asked_for_without_validators(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one", b"two")
        await one.cache.document(one.place(), POLICY, origin)
        await one.catalog.drop_cached(one.repository.id, "page")
        found = await one.cache.document(one.place(), POLICY, origin)
        assert await body_of(one, found) == b"two"
        assert origin.asked == [None, None]

    run(body)


def test_a_failure_gives_the_stale_copy_up_to_a_limit(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one", UpstreamUnavailable("no", 7))
        await one.cache.document(one.place(), POLICY, origin)
        clock.now += 900
        found = await one.cache.document(one.place(), POLICY, origin)
        assert found is not None
        assert (found.freshness, found.is_stale) == (Freshness.STALE, True)
        assert await body_of(one, found) == b"one"
        clock.now += 300
        with pytest.raises(UpstreamUnavailable) as failed:
            await one.cache.document(one.place(), POLICY, origin)
        assert failed.value.retry_after == 7
        origin.answers = [b"two"]
        found = await one.cache.document(one.place(), POLICY, origin)
        assert await body_of(one, found) == b"two"

    run(body)


def test_a_slow_upstream_costs_no_more_than_patience_where_there_is_a_copy(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one", b"two")
        policy = replace(AT_ONCE, max_wait=0.05)
        await one.cache.document(one.place(), policy, origin)
        clock.now += 200
        origin.gate.clear()
        for _ in range(3):
            found = await one.cache.document(one.place(), policy, origin)
            assert found is not None
            assert found.freshness is Freshness.STALE
        origin.gate.set()
        await quiet(one)
        found = await one.cache.document(one.place(), policy, origin)
        assert await body_of(one, found) == b"two"
        assert len(origin.asked) == 2

    run(body)


def test_a_failure_without_a_copy_is_told_and_not_remembered(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(UpstreamFailed("no"), b"one")
        with pytest.raises(UpstreamFailed):
            await one.cache.document(one.place(), POLICY, origin)
        assert await body_of(one, await one.cache.document(one.place(), POLICY, origin)) == b"one"

    run(body)


def test_absent_drops_the_copy_and_is_remembered_for_a_while(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one", None, b"two")
        await one.cache.document(one.place(), AT_ONCE, origin)
        clock.now += 200
        for _ in range(3):
            assert await one.cache.document(one.place(), AT_ONCE, origin) is None
        assert await one.catalog.find_cached(one.repository.id, "page") is None
        assert len(origin.asked) == 2
        clock.now += 61
        assert await body_of(one, await one.cache.document(one.place(), AT_ONCE, origin)) == b"two"

    run(body)


def test_an_absence_is_remembered_longer_than_that_of_files(tmp_path: Path) -> None:
    async def body() -> None:
        async with engine(tmp_path / "data", Clock(), absent_seconds=5) as one:
            origin = Origin(None)
            for _ in range(3):
                assert await one.cache.document(one.place(), replace(POLICY, absent=60), origin) is None
            assert len(origin.asked) == 1

    asyncio.run(body())


def test_an_absence_is_forgotten_when_the_package_is_published(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin, other = Origin(None, b"one"), Origin(None)
        assert await one.cache.document(one.place(), POLICY, origin) is None
        assert await one.cache.document(one.place("other", "other"), POLICY, other) is None
        one.cache.forget_absences("some")
        assert await body_of(one, await one.cache.document(one.place(), POLICY, origin)) == b"one"
        assert await one.cache.document(one.place("other", "other"), POLICY, other) is None
        assert len(other.asked) == 1

    run(body)


def test_many_who_want_the_same_ask_once_and_may_leave(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one")
        origin.gate.clear()
        waiting = [asyncio.ensure_future(one.cache.document(one.place(), POLICY, origin)) for _ in range(20)]
        await until(lambda: origin.asked, "the upstream to be asked")
        for task in waiting[:10]:
            task.cancel()
        origin.gate.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(one_of, Document) for one_of in found[10:])
        assert len(origin.asked) == 1

    run(body)


def test_it_is_stored_when_all_have_left(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one")
        origin.gate.clear()
        waiting = asyncio.ensure_future(one.cache.document(one.place(), POLICY, origin))
        await until(lambda: origin.asked, "the upstream to be asked")
        waiting.cancel()
        origin.gate.set()
        await quiet(one)
        assert await one.catalog.find_cached(one.repository.id, "page") is not None

    run(body)


def test_offline_nothing_is_asked(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        origin = Origin(b"one")
        await one.cache.document(one.place(), POLICY, origin)
        one.online = False
        clock.now += 1e9
        found = await one.cache.document(one.place(), POLICY, origin)
        assert found is not None
        assert found.freshness is Freshness.HIT
        assert await one.cache.document(one.place("other"), POLICY, origin) is None
        assert len(origin.asked) == 1

    run(body)


def test_a_large_document_comes_in_pieces(run: Run) -> None:
    async def pieces() -> object:
        for _ in range(30):
            yield bytes(100_000)

    async def body(one: Engine, clock: Clock) -> None:
        found = await one.cache.document(one.place(), POLICY, Origin(page(pieces())))  # type: ignore[arg-type]
        assert await body_of(one, found) == bytes(3_000_000)

    run(body)


@pytest.mark.parametrize(
    "expect", [Expect(digest=Digest(digest_of(b"other"))), Expect(size=5), Expect(max_size=2), Expect(size=2)]
)
def test_bytes_that_are_not_what_was_announced_are_a_failure(run: Run, expect: Expect) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        first = page(b"one", expect=expect)
        with pytest.raises(UpstreamFailed, match="announced"):
            await one.cache.document(one.place(), POLICY, Origin(first))
        await one.cache.document(one.place(), AT_ONCE, Origin(b"one"))
        clock.now += 200
        found = await one.cache.document(one.place(), AT_ONCE, Origin(first))
        assert found is not None
        assert found.freshness is Freshness.STALE

    run(body)


def test_a_full_disk_still_serves_the_copy(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        await one.cache.document(one.place(), AT_ONCE, Origin(b"one"))
        clock.now += 200

        def no_room(size: int) -> None:
            raise StorageFull("the storage has no room left")

        monkeypatch.setattr(one.store.disk, "require_room", no_room)
        found = await one.cache.document(one.place(), AT_ONCE, Origin(b"two"))
        assert found is not None
        assert found.freshness is Freshness.STALE
        with pytest.raises(StorageFull):
            await one.cache.document(one.place("other"), AT_ONCE, Origin(b"two"))

    run(body)


def test_two_workers_ask_once(tmp_path: Path) -> None:
    """Two engines are two processes to each other: they share nothing but the directory."""

    async def body() -> None:
        clock = Clock()
        async with engine(tmp_path / "data", clock) as first, engine(tmp_path / "data", clock) as second:
            origin, other = Origin(b"one"), Origin(b"other")
            origin.gate.clear()
            asking = asyncio.ensure_future(first.cache.document(first.place(), POLICY, origin))
            await until(lambda: origin.asked, "the upstream to be asked")
            following = [
                asyncio.ensure_future(second.cache.document(second.place(), POLICY, other)) for _ in range(5)
            ]
            await follows(second)
            asking.cancel()
            origin.gate.set()
            for found in await asyncio.gather(*following):
                assert await body_of(second, found) == b"one"
            assert other.asked == []

    asyncio.run(body())


@pytest.mark.parametrize("answer", [None, UpstreamUnavailable("no", 9)])
def test_two_workers_hear_the_same(tmp_path: Path, answer: Exception | None) -> None:
    async def body() -> None:
        clock = Clock()
        async with engine(tmp_path / "data", clock) as first, engine(tmp_path / "data", clock) as second:
            origin, other = Origin(answer), Origin(b"other")
            origin.gate.clear()
            asking = asyncio.ensure_future(first.cache.document(first.place(), POLICY, origin))
            await until(lambda: origin.asked, "the upstream to be asked")
            following = asyncio.ensure_future(second.cache.document(second.place(), POLICY, other))
            await follows(second)
            origin.gate.set()
            found = await asyncio.gather(asking, following, return_exceptions=True)
            if answer is None:
                assert list(found) == [None, None]
                assert await second.cache.document(second.place(), POLICY, other) is None
            else:
                assert all(isinstance(one, UpstreamUnavailable) and one.retry_after == 9 for one in found)
            assert other.asked == []

    asyncio.run(body())


def test_what_was_removed_as_soon_as_it_was_stored_is_not_absent(run: Run) -> None:
    async def body(one: Engine, _: Clock) -> None:
        place, origin = one.place(), Origin(b"other")
        claim = FetchLock(
            one.store.disk, one.scratch.download(f"document {place.repository.id} {place.path}")
        )
        assert await claim.take() is None
        await claim.write(LeaderState())
        asking = asyncio.ensure_future(one.cache.document(place, POLICY, origin))
        await follows(one)
        await claim.end(LeaderState(state="done"))
        with pytest.raises(StorageBusy):
            await asking
        assert origin.asked == []

    run(body)


def test_a_worker_that_stops_in_the_middle_fails_nobody(tmp_path: Path) -> None:
    async def body() -> None:
        clock = Clock()
        async with engine(tmp_path / "data", clock) as second:
            async with engine(tmp_path / "data", clock) as first:
                origin, other = Origin(b"one"), Origin(b"other")
                origin.gate.clear()
                asking = asyncio.ensure_future(first.cache.document(first.place(), POLICY, origin))
                await until(lambda: origin.asked, "the upstream to be asked")
                following = asyncio.ensure_future(second.cache.document(second.place(), POLICY, other))
                await follows(second)
            assert await body_of(second, await following) == b"other"
            await asyncio.gather(asking, return_exceptions=True)

    asyncio.run(body())


def test_idle_documents_are_evicted_and_used_ones_are_not(run: Run) -> None:
    async def body(one: Engine, clock: Clock) -> None:
        for name in ("idle", "used"):
            await one.cache.document(one.place(name), AT_ONCE, Origin(b"one"))
        await one.cache.document(one.place("good"), Policy(fresh=inf), Origin(b"one"))
        clock.now += 1000
        await one.cache.document(one.place("used"), AT_ONCE, Origin(UpstreamFailed("no")))
        assert await one.cache.evict([one.repository], 500) == 1
        left = [
            name
            for name in ("idle", "used", "good")
            if await one.catalog.find_cached(one.repository.id, name)
        ]
        assert left == ["used", "good"]

    run(body)
