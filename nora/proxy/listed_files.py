"""Files that a document of an upstream lists: where they are, how long they are, and what hashes they have.

Such a file is fetched once, checked by what the document says of it, and kept for good under its path. The
hash may be of any kind: the strongest that is taken while the bytes come in, else the strongest there is,
when all of them are here and before anybody gets the last of them.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from nora.blobs.base import Expect
from nora.blobs.checksums import early_digest, is_right, strongest
from nora.catalog.records import NewCached
from nora.proxy.base import FileRequest

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.catalog.records import Blob, Cached, NewBlob
    from nora.model import Repository
    from nora.proxy.base import Address, Confirm, Received


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamFile:
    """What is known of a file before it is here."""

    path: str
    """Among the files of its repository."""
    package: str
    version: str | None
    media_type: str
    hashes: Mapping[str, str] = field(default_factory=dict)
    """By algorithm, in lower case and hexadecimal."""
    size: int | None = None
    document: bytes = b"{}"
    """What the format wants to remember beside the bytes, as JSON."""
    addresses: Sequence[Address] = ()
    """Where it may be asked for, in this order; empty: nowhere."""
    also: tuple[str, ...] = ()
    """Hashes to take of it and to keep in its row: see `Expect.also`."""


class ListedFiles:
    """The listed files of proxy repositories."""

    def __init__(self, catalog: Catalog, lease_seconds: float, used: Callable[[int], None]) -> None:
        """`used` is told the ids of files that are asked for and here."""
        self._used = used
        self._catalog = catalog
        self._lease_seconds = lease_seconds

    def request(
        self,
        repository: Repository,
        file: UpstreamFile,
        *,
        max_bytes: int,
        stored: Callable[[Blob], Awaitable[None]] | None = None,
        is_listed: Callable[[Cached], bool] | None = None,
        fresh_until: float = inf,
        confirm: Confirm | None = None,
    ) -> FileRequest:
        """A file as the cache wants to have it described. `stored` is called when it has come in, and raises
        no NoraError: its row is there, and its bytes would go. `is_listed` says whether what is here has the
        hashes that are listed, where these are not the sha256 of it. One that may change (changing_files.py)
        is good until `fresh_until`. `confirm`: see FileRequest."""

        async def find() -> Blob | None:
            found = await self._catalog.find_cached(repository.id, file.path)
            if found is None or (is_listed and not is_listed(found)):
                return None
            self._used(found.id)
            return found.blob

        async def store(blob: NewBlob, received: Received) -> Blob:
            live = await self.keep(repository, file, blob, received, fresh_until)
            if stored is not None:
                await stored(live)
            return live

        digest = early_digest(file.hashes)
        is_late = digest is None and strongest(file.hashes) is not None
        return FileRequest(
            key=f"{repository.id}/{file.path}{_spelled(file.hashes) if is_late else ''}",
            addresses=file.addresses,
            expect=Expect(digest=digest, size=file.size, also=file.also),
            media_type=file.media_type,
            store=store,
            find=find,
            max_bytes=max_bytes,
            registry=repository.format,
            about=(repository.id, file.package, file.version),
            place=(repository.id, file.path),
            check=partial(is_right, hashes=file.hashes) if is_late else None,
            confirm=confirm,
        )

    async def keep(
        self,
        repository: Repository,
        file: UpstreamFile,
        blob: NewBlob,
        received: Received,
        fresh_until: float = inf,
    ) -> Blob:
        """Write the row of a file that is here; the live blob."""
        entry = NewCached(
            path=file.path,
            package=file.package,
            version=file.version,
            media_type=file.media_type,
            blob=blob,
            document=file.document,
            checksums={name: blob.checksums[name] for name in file.also},
            upstream_url=received.url,
            validators=received.validators,
            fetched_at=time.time(),
            fresh_until=fresh_until,
        )
        return await self._catalog.put_cached(repository.id, entry, self._lease_seconds)


def _spelled(hashes: Mapping[str, str]) -> str:
    """What tells the bytes that are wanted from others under the same name, without an early digest."""
    algorithm = strongest(hashes)
    return "" if algorithm is None else f" {algorithm}:{hashes[algorithm]}"
