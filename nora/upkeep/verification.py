"""Whether what is stored is what was stored: every object is read and compared with its digest.

What is wrong is told. Where that is wanted it is repaired as well, as far as can be: what came from an
upstream is forgotten, so that it is fetched anew when somebody asks for it; and an object with other bytes
than were written is put aside. Its row stays: who asks gets an error, never an absence, and whoever puts the
bytes again mends it for all that hold them.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol, cast

from nora.blobs.hashes import DamagedBlob
from nora.blobs.layout import SHARDS
from nora.errors import BadRequest, NotFound, StorageBusy, StorageFailed
from nora.resolve.purging import Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from nora.blobs.layout import StoredObject
    from nora.catalog.base import Catalog
    from nora.catalog.records import Blob
    from nora.model import Repository
    from nora.resolve.purging import Purging
    from nora.upkeep.progress import Progress

PAGE: Final = 256
AT_ONCE: Final = 4
"""Objects that are read at a time."""
MOST_USES: Final = 20
"""Of a blob that are named."""
MOST_PROBLEMS: Final = 100
LONGEST_PAUSE: Final = 1.0


class Objects(Protocol):
    """What of a blob store is needed. See nora.blobs.base."""

    async def is_whole(self, blob: Blob) -> bool: ...

    def stream(self, blob: Blob, start: int, stop: int) -> AsyncIterator[bytes]: ...

    async def put_aside(self, blob: Blob) -> str: ...

    async def list_objects(self, shard: str) -> list[StoredObject]: ...


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that is not what it should be."""

    digest: str
    size: int
    problem: str
    """`missing`, `damaged`, or `unreadable: ` and why."""
    uses: tuple[str, ...]
    """Whose it is: some files, and packages, with their repositories."""
    outcome: str
    """What was done about it; empty: nothing."""


@dataclass(slots=True)
class Verified:
    """What was found."""

    blobs: int = 0
    """That were compared."""
    bytes: int = 0
    damages: list[Damage] = field(default_factory=list)
    row_problems: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """For people."""
        looked = f"{self.blobs} blobs, {self.bytes} bytes compared"
        if self.is_right:
            return f"{looked}: nothing is wrong"
        return f"{looked}: {len(self.damages)} are wrong, and {len(self.row_problems)} rows of the catalog"

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.damages and not self.row_problems


class Pace:
    """Keeps reading below a rate, for all that read."""

    def __init__(self, rate: int, clock: Callable[[], float] = time.monotonic) -> None:
        """`rate`: bytes a second; 0: as fast as it goes."""
        self._rate = rate
        self._clock = clock
        self._free_at = clock()

    async def keep(self, size: int) -> None:
        """So many bytes were read: wait until the next may be."""
        if not self._rate:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now - LONGEST_PAUSE) + size / self._rate
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


class Verifier:
    """Looks at one store, while it is used or not."""

    def __init__(
        self,
        catalog: Catalog,
        store: Objects,
        repositories: Mapping[str, Repository],
        purging: Purging | None,
        pace: Pace,
        progress: Progress,
    ) -> None:
        """`purging` forgets what is cached; without it nothing is repaired."""
        self._catalog = catalog
        self._store = store
        self._proxies = [one for one in repositories.values() if one.kind == "proxy"]
        self._names = {number: one.name for one in repositories.values() for number in one.row_ids}
        self._names |= {one.id: one.name for one in repositories.values() if one.kind != "group"}
        self._purging = purging
        self._pace = pace
        self._progress = progress

    async def run(self, *, verified_before: float) -> Verified:
        """Compare what was not found right since. Raises StorageBusy when the store cannot be asked, and
        StorageFailed when the catalog cannot, or the store is not there: what could not be looked at is not
        called wrong."""
        await self._store.list_objects(SHARDS[0])  # a bucket that is gone says of each object that it is
        found = Verified()
        found.row_problems = await self._catalog.check_rows(MOST_PROBLEMS)
        _, size = await self._catalog.measure_blobs()
        self._progress.expect(size, "blobs")
        after = 0
        while page := await self._catalog.list_blobs(after, PAGE, verified_before=verified_before):
            after = page[-1].id
            await self._look_at(page, found)
        return found

    async def _look_at(self, page: Sequence[Blob], found: Verified) -> None:
        began_at = time.time()
        room = asyncio.Semaphore(AT_ONCE)

        async def one(blob: Blob) -> str:
            async with room:
                return await self._problem_of(blob)

        looks = [asyncio.ensure_future(one(blob)) for blob in page]
        try:
            problems = await asyncio.gather(*looks)
        finally:
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)
        right = [blob for blob, problem in zip(page, problems, strict=True) if not problem]
        found.blobs += len(page)
        found.bytes += sum(blob.size for blob in page)
        await self._catalog.note_verified(right, began_at)
        for blob, problem in zip(page, problems, strict=True):
            if problem and await self._is_live(blob):
                found.damages.append(await self._damage(blob, problem))

    async def _is_live(self, blob: Blob) -> bool:
        """Whether the row still names this object: it may have been collected, or put again, meanwhile."""
        live = await self._catalog.find_blob(blob.digest)
        return live is not None and live.generation == blob.generation

    async def _problem_of(self, blob: Blob) -> str:
        """What is wrong with an object; empty: nothing."""
        hasher = hashlib.sha256()
        try:
            if not await self._store.is_whole(blob):
                return "missing"
            stream = cast("AsyncGenerator[bytes, None]", self._store.stream(blob, 0, blob.size))
            async with aclosing(stream) as pieces:
                async for piece in pieces:
                    hasher.update(piece)
                    self._progress.advance(len(piece))
                    await self._pace.keep(len(piece))
        except StorageBusy:
            raise
        except DamagedBlob:
            return "damaged"
        except StorageFailed as error:
            return f"unreadable: {error}"
        return "" if hasher.hexdigest() == blob.digest.encoded else "damaged"

    async def _damage(self, blob: Blob, problem: str) -> Damage:
        uses = await self._catalog.list_blob_uses(blob, MOST_USES)
        named = tuple(
            f"{self._names.get(one.repository_id, 'an unknown repository')}: {one.path or one.package}"
            for one in uses
        )
        outcome = await self._repair(blob, problem) if self._purging is not None else ""
        return Damage(blob.digest, blob.size, problem, named, outcome)

    async def _repair(self, blob: Blob, problem: str) -> str:
        done = []
        if problem == "damaged":
            done.append(f"put aside as {await self._store.put_aside(blob)}")
        if problem in {"damaged", "missing"}:
            if await self._forget_cached(blob):
                done.append("what is cached of it is fetched anew when it is asked for")
            if await self._catalog.list_blob_uses(blob, 1):
                done.append("what was published is to be put again")
        return "; ".join(done)

    async def _forget_cached(self, blob: Blob) -> bool:
        """Whether anything was made of it that came from an upstream."""
        assert self._purging is not None
        forgotten = False
        for proxy in self._proxies:
            try:
                forgotten |= bool(await self._purging.purge(proxy.name, Wanted(digest=blob.digest)))
            except (NotFound, BadRequest):
                continue
        for use in await self._catalog.list_blob_uses(blob, -1):
            if use.package is None and use.path is not None:
                forgotten |= await self._catalog.drop_cached(use.repository_id, use.path, holding=blob)
        return forgotten
