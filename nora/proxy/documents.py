"""Documents: what upstreams may change, kept with a time until which it is fresh.

What is fresh is served without asking anybody: no lock, no thread, no write. Everything else is asked once
for the whole machine, in a task that belongs to nobody who waits; whoever wants the same waits for it, in any
process, and then reads the row. The time for which something is fresh is in the catalog and nowhere else.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Final

from nora.blobs.threads import uncancellable
from nora.catalog.records import NewBlob, NewCached
from nora.errors import (
    BlobNotFound,
    DigestMismatch,
    NoraError,
    SizeMismatch,
    StorageBusy,
    StorageFailed,
    StorageFull,
    TooLarge,
    UpstreamFailed,
    UpstreamTimeout,
)
from nora.http.limits import admit_all, admit_upstream
from nora.http.tasks import spawn
from nora.proxy.base import Document, Freshness, Unchanged
from nora.proxy.fetch_lock import Failure, FetchLock, LeaderState
from nora.resolve.deadline import seconds_left, work_for_all

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from nora.blobs.base import BlobStore, Expect
    from nora.blobs.scratch import Scratch
    from nora.catalog.base import Catalog
    from nora.catalog.records import Blob, Cached
    from nora.model import Repository
    from nora.observability.metrics import CacheResult
    from nora.proxy.base import CacheKey, Fetch, Fetched, Policy
    from nora.proxy.negative_cache import NegativeCache
    from nora.proxy.uses import Uses

_log = logging.getLogger(__name__)

SPREAD: Final = 0.1
"""Copies that were fetched together do not expire together."""
COMPARED_BYTES: Final = 1 << 20
"""A body that is no larger is not written again when it is the one that is stored."""
TOLD_SECONDS: Final = 60.0

_USABLE: Final = (UpstreamFailed, StorageFailed, StorageFull)
"""After these a stale copy is better than nothing."""


class Documents:
    """The cached documents, as one process sees them."""

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        scratch: Scratch,
        negative_cache: NegativeCache,
        uses: Uses,
        *,
        is_online: Callable[[Repository], bool],
        lease_seconds: float,
        answer_seconds: float,
        silence_seconds: float,
        clock: Callable[[], float],
        count: Callable[[str, CacheResult], None],
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._scratch = scratch
        self._negative = negative_cache
        self._is_online = is_online
        self._lease_seconds = lease_seconds
        self._answer_seconds = answer_seconds
        self._silence_seconds = silence_seconds
        self._clock = clock
        self._count = count
        self._asking: dict[str, _Asking] = {}
        self._uses = uses
        self._told: dict[int, float] = {}
        """When the log was last told of a source whose documents are stale."""

    async def find(self, place: CacheKey, policy: Policy, fetch: Fetch) -> Document | None:
        """See Cache.document."""
        cached = await self._catalog.find_cached(place.repository.id, place.path)
        if cached is None:
            return await self._find_new(place, policy, fetch)
        self._uses.note(cached.id)
        now = self._clock()
        if cached.is_fresh(now) or not self._is_online(place.repository):
            self._count(place.repository.format, "hit")
            return Document(cached, Freshness.HIT)
        asking = self._ask(place, policy, fetch)
        age = max(0.0, now - cached.fresh_until)
        if age < policy.stale_while_revalidate and policy.fresh > 0:
            self._count(place.repository.format, "hit")
            return Document(cached, Freshness.HIT)
        if age > policy.stale_if_error:
            return self._counted(place, await self._in_time(asking), Freshness.REVALIDATED)
        try:
            found = await asking.answer(policy.max_wait, left=seconds_left(self._answer_seconds))
        except (TimeoutError, *_USABLE):
            self._count(place.repository.format, "stale")
            return Document(cached, Freshness.STALE)
        return self._counted(place, found, Freshness.REVALIDATED)

    async def _find_new(self, place: CacheKey, policy: Policy, fetch: Fetch) -> Document | None:
        if not self._is_online(place.repository) or self._negative.has(_key(place)):
            self._count(place.repository.format, "negative")
            return None
        if _key(place) not in self._asking:
            admit_upstream()
        asking = self._ask(place, policy, fetch)
        return self._counted(place, await self._in_time(asking), Freshness.MISS)

    async def _in_time(self, asking: _Asking) -> Cached | None:
        try:
            return await asking.answer(left=seconds_left(self._answer_seconds))
        except TimeoutError as error:
            raise still_asked(self._answer_seconds) from error

    def _counted(self, place: CacheKey, cached: Cached | None, freshness: Freshness) -> Document | None:
        self._count(place.repository.format, "miss" if cached is None else freshness.value)
        return None if cached is None else Document(cached, freshness)

    # -- asking, once for the whole machine ----------------------------------------------------------

    def _ask(self, place: CacheKey, policy: Policy, fetch: Fetch) -> _Asking:
        """The one who asks; begun if nobody in this process does."""
        key = _key(place)
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = _Asking(self._answer(place, policy, fetch))
            asking.task.add_done_callback(lambda _: self._asking.pop(key, None))
        return asking

    async def _answer(self, place: CacheKey, policy: Policy, fetch: Fetch) -> Cached | NoraError | None:
        """What is cached when all is over; an error of ours is no error of the task."""
        work_for_all()
        admit_all()
        since = self._clock()
        path = self._scratch.download(f"document {_key(place)}")
        lock = FetchLock(self._scratch.disk, path, self._silence_seconds)
        try:
            leader = await lock.take()
            if leader is None:
                return await self._hold(lock, since, place, policy, fetch)
            if leader.failure is not None:
                return leader.failure.error()
            found = await self._catalog.find_cached(place.repository.id, place.path)
            if found is None and leader.state == "done":
                raise _removed()
            return found
        except NoraError as error:
            return error
        finally:
            lock.close()

    async def _hold(
        self, lock: FetchLock, since: float, place: CacheKey, policy: Policy, fetch: Fetch
    ) -> Cached | None:
        """Ask, unless another process did while we waited; then tell those who wait for us."""
        try:
            await lock.write(LeaderState())
            async with lock.beating():
                cached = await self._catalog.find_cached(place.repository.id, place.path)
                if cached is None and self._negative.has(_key(place)):
                    pass
                elif cached is None or not self._is_new(cached, since):
                    cached = await self._refresh(cached, place, policy, fetch)
        except Exception as error:
            await uncancellable(lock.end(LeaderState(state="failed", failure=Failure.of(error))))
            raise
        await uncancellable(lock.end(LeaderState(state="absent" if cached is None else "done")))
        return cached

    def _is_new(self, cached: Cached, since: float) -> bool:
        """Whether somebody else has asked since then, or may have: the copy is fresh."""
        now = self._clock()
        return since < cached.fetched_at <= now or cached.is_fresh(now)

    async def _refresh(
        self, cached: Cached | None, place: CacheKey, policy: Policy, fetch: Fetch
    ) -> Cached | None:
        try:
            answer = await fetch(cached)
        except UpstreamFailed as error:
            if cached is not None:  # else whoever asked is told
                self._tell_stale(cached, place, error)
            raise
        if answer is None:
            self._negative.remember(_key(place), place.package, policy.absent)
            await self._catalog.drop_cached(place.repository.id, place.path)
            return None
        if isinstance(answer, Unchanged):
            if cached is None:  # there is nothing that could be right still
                raise UpstreamFailed("the upstream says that nothing has changed to who has nothing")
            return await self._touch(cached, place, policy, answer)
        self._negative.forget(_key(place))
        return await self._keep(cached, place, policy, answer)

    def _tell_stale(self, cached: Cached, place: CacheKey, error: UpstreamFailed) -> None:
        """Tell the log that a copy stands in for a source, once a minute: clients see nothing of it."""
        now = self._clock()
        if now - self._told.get(place.repository.id, -inf) >= TOLD_SECONDS:
            self._told[place.repository.id] = now
            _log.warning("%s: %s; what is here of it is served", cached.upstream_url, error)

    async def _touch(
        self, cached: Cached, place: CacheKey, policy: Policy, answer: Unchanged
    ) -> Cached | None:
        now, fresh_until = self._times(policy)
        await self._catalog.touch_cached(
            place.repository.id,
            place.path,
            validators=answer.validators,
            fetched_at=now,
            fresh_until=fresh_until,
        )
        # What was dropped in between was right a moment ago, and is asked for anew next time.
        validators = cached.validators if answer.validators is None else answer.validators
        return replace(cached, validators=validators, fetched_at=now, fresh_until=fresh_until)

    def _times(self, policy: Policy) -> tuple[float, float]:
        now = self._clock()
        spread = random.uniform(1 - SPREAD, 1 + SPREAD)  # noqa: S311 - not a secret
        return now, now + policy.fresh * spread

    # -- keeping -------------------------------------------------------------------------------------

    async def _keep(self, cached: Cached | None, place: CacheKey, policy: Policy, fetched: Fetched) -> Cached:
        """Store what came. The bytes that are there already are not written again."""
        body = fetched.body
        same = cached is not None and isinstance(body, bytes) and _is_same(body, cached.blob, fetched.expect)
        try:
            if not same or not await self._put_again(cached, place, policy, fetched):
                async with self._store.ingest(body, fetched.expect) as new:
                    new.settle(await self._put(new.blob, place, policy, fetched))
        except (DigestMismatch, SizeMismatch, TooLarge) as error:
            self._count(place.repository.format, "mismatch")
            raise UpstreamFailed(f"the upstream gives other bytes than were announced: {error}") from error
        finally:
            if fetched.close is not None:
                await fetched.close()
        found = await self._catalog.find_cached(place.repository.id, place.path)
        if found is None:
            raise _removed()
        return found

    async def _put_again(
        self, cached: Cached | None, place: CacheKey, policy: Policy, fetched: Fetched
    ) -> bool:
        assert cached is not None
        try:
            await self._put(cached.blob, place, policy, fetched)
        except BlobNotFound:  # it was collected meanwhile
            return False
        return True

    async def _put(self, blob: NewBlob | Blob, place: CacheKey, policy: Policy, fetched: Fetched) -> Blob:
        now, fresh_until = self._times(policy)
        taken = blob.checksums if isinstance(blob, NewBlob) else {}
        return await self._catalog.put_cached(
            place.repository.id,
            NewCached(
                path=place.path,
                package=place.package,
                version=place.version,
                media_type=fetched.media_type,
                blob=blob,
                upstream_url=fetched.upstream_url,
                validators=fetched.validators,
                document=fetched.document,
                checksums={name: taken[name] for name in fetched.expect.also if name in taken},
                fetched_at=now,
                fresh_until=fresh_until,
            ),
            self._lease_seconds,
        )

    async def close(self) -> None:
        """Leave what is asked to the other processes."""
        tasks = [asking.task for asking in self._asking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Asking:
    """A task that asks, and since when."""

    __slots__ = ("_began", "task")

    def __init__(self, work: Coroutine[Any, Any, Cached | NoraError | None]) -> None:
        self.task = spawn(work, "asking an upstream")
        self._began = asyncio.get_running_loop().time()

    async def answer(self, max_wait: float = inf, *, left: float = inf) -> Cached | None:
        """What came of it. Raises what it failed with, and TimeoutError when it takes longer than `left`, or
        than `max_wait` from its beginning on: who comes later does not wait longer."""
        seconds = min(left, max(0.0, self._began + max_wait - asyncio.get_running_loop().time()))
        await asyncio.wait((self.task,), timeout=None if seconds == inf else seconds)
        if not self.task.done():
            raise TimeoutError
        if self.task.cancelled():
            raise StorageBusy("the server stops")
        result = self.task.result()
        if isinstance(result, NoraError):
            raise result
        return result


def still_asked(seconds: float) -> UpstreamTimeout:
    """The error of a request that has waited long enough for what goes on."""
    return UpstreamTimeout(
        f"the upstream gave no answer within {seconds:g} s (proxy.answer_timeout), and is still asked"
    )


def _removed() -> StorageBusy:
    return StorageBusy("what was cached was removed at once; try again")


def _key(place: CacheKey) -> str:
    return f"{place.repository.id} {place.path}{' lenient' if place.is_lenient else ''}"


def _is_same(body: bytes, blob: Blob, expect: Expect) -> bool:
    """Whether a body is what is stored, and what it must be."""
    size = len(body)
    if size != blob.size or size > COMPARED_BYTES or expect.size not in (None, size):
        return False
    if expect.digest not in (None, blob.digest) or (expect.max_size is not None and size > expect.max_size):
        return False
    return sha256(body, usedforsecurity=False).hexdigest() == blob.digest.encoded
