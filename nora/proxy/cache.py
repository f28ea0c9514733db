"""What upstreams gave, for the formats: documents that may change, and files that never do.

    document = await services.cache.document(key, policy, fetch)
    found = await services.cache.file(request)

See nora.proxy.base for what goes in and comes out, nora.proxy.answers for how a file becomes an answer.
"""

from __future__ import annotations

import asyncio
import time
from math import inf
from typing import TYPE_CHECKING, Final, TypeVar

from nora.errors import NotFound, UpstreamFailed
from nora.http.limits import admit_upstream
from nora.proxy import offload
from nora.proxy.base import ABSENT_SECONDS
from nora.proxy.documents import Documents, still_asked
from nora.proxy.downloads import Downloads
from nora.proxy.in_flight import InFlightFile
from nora.proxy.negative_cache import NegativeCache
from nora.proxy.uses import Uses
from nora.resolve.deadline import seconds_left

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable
    from typing import Any

    from nora.blobs.base import BlobStore
    from nora.blobs.scratch import Scratch
    from nora.catalog.base import Catalog
    from nora.catalog.records import Blob, NewBlob
    from nora.model import Repository
    from nora.observability.metrics import CacheResult
    from nora.proxy.base import CacheKey, Document, Fetch, FileRequest, Policy

T = TypeVar("T")
EVICTION_PAGE: Final = 500
PART_SECONDS: Final = 3600.0
"""How long what has come of a file is kept for who asks next."""


def _uncounted(registry: str, result: CacheResult) -> None:
    """For who does not count."""


class Cache:
    """The cache of one worker. All workers of a machine share what is in it.

    `is_online` says whether the upstreams of a repository may be asked, `absent_seconds` how long it is
    remembered that they do not have a file, `answer_seconds` how long a request waits for them,
    `silence_seconds` how long for a process that asks them and is not heard of any more. Of what is used all
    the time a use is recorded once in `use_spacing` seconds; what nobody waits for is brought in to its end
    when at most `finish_below` bytes are missing. `count` is told of each document and file of a format how
    it was had. `clock`: seconds since the epoch.
    """

    def __init__(
        self,
        catalog: Catalog,
        store: BlobStore,
        scratch: Scratch,
        *,
        is_online: Callable[[Repository], bool],
        lease_seconds: float,
        absent_seconds: float = ABSENT_SECONDS,
        answer_seconds: float = inf,
        silence_seconds: float = inf,
        use_spacing: float = 0.0,
        finish_below: float = inf,
        clock: Callable[[], float] = time.time,
        count: Callable[[str, CacheResult], None] = _uncounted,
    ) -> None:
        self._catalog = catalog
        self._scratch = scratch
        self._clock = clock
        self._absent_seconds = absent_seconds
        self._answer_seconds = answer_seconds
        self._count = count
        self._negative = NegativeCache(
            scratch.negative_cache, clock, longest=max(absent_seconds, ABSENT_SECONDS)
        )
        self._uses = Uses(catalog, clock, use_spacing)
        self._downloads = Downloads(
            store, scratch, count, self._refuse_blocked, finish_below, silence_seconds
        )
        self._documents = Documents(
            catalog,
            store,
            scratch,
            self._negative,
            self._uses,
            is_online=is_online,
            lease_seconds=lease_seconds,
            answer_seconds=answer_seconds,
            silence_seconds=silence_seconds,
            clock=clock,
            count=count,
        )

    def document(self, place: CacheKey, policy: Policy, fetch: Fetch) -> Coroutine[Any, Any, Document | None]:
        """The document under a key, as fresh as the policy asks; None: the upstreams have none.

        Raises UpstreamFailed and its kinds, StorageFull and StorageFailed where there is no copy that may be
        used. Where the repository is offline nothing is asked: what is cached is a hit, whatever its age.
        """
        return self._documents.find(place, policy, fetch)

    @property
    def downloads_in_flight(self) -> int:
        """Files on their way in this process."""
        return len(self._downloads)

    async def file(self, file: FileRequest) -> Blob | InFlightFile | None:
        """A file: stored, or on its way; None: no upstream has it, or none may be asked.

        It goes on its way when it was not, and arrives whoever stops waiting for it, unless too much is
        missing when nobody does. Raises UpstreamFailed and its kinds, Blocked, StorageFull and StorageFailed.
        """
        blob = await file.found()
        if blob is not None:
            self._count(file.registry, "hit")
            return blob
        self._refuse_blocked(file)
        if not file.addresses or self._negative.has(file.coalescing_key):
            self._count(file.registry, "negative")
            return None
        self._count(file.registry, "coalesced" if self._downloads.has(file) else "miss")
        in_flight = self._downloads.get(file)
        await self._in_time(in_flight.known())
        if in_flight.over and in_flight.blob is None:
            self._remember_absence(file)
            return None
        return in_flight.blob or in_flight

    def is_absent(self, file: FileRequest) -> bool:
        """Whether it is remembered that no upstream has a file."""
        return self._negative.has(file.coalescing_key)

    def is_coming(self, file: FileRequest) -> bool:
        """Whether a file is on its way, as far as this process knows."""
        return self._downloads.has(file)

    async def stored(self, file: FileRequest) -> Blob | None:
        """As `file`, when all of it is here."""
        found = await self.file(file)
        return await self._in_time(found.end()) if isinstance(found, InFlightFile) else found

    def seconds_left(self) -> float:
        """How long the request that this is for may still wait for its answer to begin."""
        return seconds_left(self._answer_seconds)

    async def _in_time(self, work: Awaitable[T]) -> T:
        left = self.seconds_left()
        try:
            async with asyncio.timeout(None if left == inf else left):
                return await work
        except TimeoutError as error:
            raise still_asked(self._answer_seconds) from error

    async def size(self, file: FileRequest) -> int | None:
        """The size of a file that is not stored, without fetching it; None: not known.

        Raises NotFound where `file` gives None, UpstreamFailed and its kinds.
        """
        self._refuse_blocked(file)
        if file.addresses and not self._negative.has(file.coalescing_key):
            if file.expect.size is not None:
                return file.expect.size
            failed: UpstreamFailed | None = None
            for address in file.addresses:
                admit_upstream()
                try:
                    reply = await address.upstream.ask(
                        "HEAD", address.url, address.headers, max_bytes=1 << 62
                    )
                except UpstreamFailed as error:
                    failed = error
                    continue
                if reply is not None:
                    length = reply.headers.get("content-length", "")
                    return int(length) if length.isascii() and length.isdigit() else None
            if failed is not None:
                raise failed
            self._remember_absence(file)
        raise NotFound("no upstream has this file")

    def _remember_absence(self, file: FileRequest) -> None:
        package = None if file.about is None else file.about[1]
        self._negative.remember(file.coalescing_key, package, self._absent_seconds)

    def _refuse_blocked(self, file: FileRequest, came: NewBlob | None = None) -> None:
        """Raise Blocked for what may not be fetched - a file that comes in is passed on before it is here -
        or, when it `came`, may not be passed on in full."""
        if file.about is not None:
            repository, package, version = file.about
            known = [] if file.expect.digest is None else [file.expect.digest]
            known += [] if came is None else [came.digest, *came.aliases]
            self._catalog.blocks().check(repository, package, (version,), known)

    def forget_absences(self, package: str) -> None:
        """A package was published: what upstreams did not have of it, in any repository, may be asked for."""
        self._negative.forget_package(package)

    def used(self, file_id: int) -> None:
        """A file that is here is asked for, by the id of its row. It is recorded later."""
        self._uses.note(file_id)

    async def expire(self, repositories: Iterable[Repository], path: str) -> bool:
        """Have a document asked for again at its next use, whoever of the sources has it; whether any has."""
        found = [
            await self._catalog.touch_cached(
                one.id, path, validators=None, fetched_at=self._clock(), fresh_until=0.0
            )
            for one in repositories
        ]
        return any(found)

    # -- upkeep --------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Record when files and documents were last used."""
        await self._uses.flush()

    async def sweep(self, idle_seconds: float = PART_SECONDS) -> int:
        """Remove what was left of files on their way; how many. Never what somebody holds."""
        return await self._scratch.sweep_downloads(idle_seconds)

    async def evict(self, repositories: Iterable[Repository], idle_seconds: float) -> int:
        """Drop cached documents that were neither used nor fetched for so long; how many."""
        await self.flush()
        dropped = 0
        for repository in repositories:
            before = self._clock() - idle_seconds
            while paths := await self._catalog.list_idle_cached(repository.id, before, EVICTION_PAGE):
                gone = [
                    await self._catalog.drop_cached(repository.id, path, unused_since=before)
                    for path in paths
                ]
                dropped += sum(gone)
                if not any(gone):
                    break
        return dropped

    async def close(self) -> None:
        """Leave what is on its way to the other processes, and let go of everything. Raises StorageFailed."""
        await self._downloads.close()
        await self._documents.close()
        self._negative.close()
        await asyncio.to_thread(offload.close)
        await self._uses.flush()
