"""What a format tells the cache, and what it gets back. The engine knows no protocol.

Two kinds of things come from an upstream. A **document** may change: it is fresh for some time, is then
revalidated, and stays usable while the upstream cannot be asked. A **file** never changes under its key: it
is fetched once, by one process for the whole machine, while everybody who wants it reads along.

Three outcomes, never mixed up: found, absent (an upstream said so), failed (UpstreamFailed and its kinds).
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from nora.blobs.base import Expect

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from nora.catalog.records import Blob, Cached, NewBlob
    from nora.model import Repository
    from nora.outbound import Headers, Method, Reply, Stream


ABSENT_SECONDS: Final = 60.0
"""How long an absence is remembered where nothing else is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How long a document is good for. All in seconds; `inf` is for ever."""

    fresh: float
    """Served without asking; 0: always revalidated. Spread by ±10 % so that copies do not expire at once."""
    stale_while_revalidate: float = 60.0
    """Past its freshness: served at once for so long, while one task for the whole machine asks."""
    stale_if_error: float = inf
    """Past its freshness: served for so long while the upstream cannot be asked, marked as stale."""
    max_wait: float = 1.0
    """How long a client with a usable stale copy waits for a slow upstream."""
    absent: float = ABSENT_SECONDS
    """How long an absence is remembered."""


class Freshness(Enum):
    """How a document was found."""

    HIT = "hit"
    REVALIDATED = "revalidated"
    MISS = "miss"
    STALE = "stale"
    """Older than its policy says, because the upstream could not be asked (in time)."""


@dataclass(frozen=True, slots=True)
class Document:
    """A document of an upstream, as it is stored."""

    cached: Cached
    freshness: Freshness

    @property
    def is_stale(self) -> bool:
        """Whether the answer says so: `x-nora-stale`."""
        return self.freshness is Freshness.STALE


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A document that an upstream gave."""

    body: bytes | AsyncIterable[bytes]
    """What is stored: as it came, or what the format made of it."""
    media_type: str
    upstream_url: str
    validators: Mapping[str, str] = field(default_factory=dict)
    """`etag` and `last-modified` as the upstream sent them, and what the format wants back in `Cached`."""
    document: bytes = b"{}"
    """What the format wants to remember beside the bytes, as JSON."""
    expect: Expect = field(default_factory=Expect)
    """What the bytes must be, where that is known."""
    close: Callable[[], Awaitable[object]] | None = None
    """Lets go of the answer that `body` is read from. Called in any case, also when nothing was read."""


@dataclass(frozen=True, slots=True)
class Unchanged:
    """The upstream says that what is cached is still right (304, or the same digest at a HEAD)."""

    validators: Mapping[str, str] | None = None
    """In the place of those that are cached; None: these."""


UNCHANGED = Unchanged()

Confirm = Callable[["NewBlob", "Address", "Headers"], Awaitable[None]]
"""Told what came, from where, and the header fields of the answer: asks the upstream, if it must, whether
that is right. Raises DigestMismatch when it is not, UpstreamFailed when nobody can tell."""

Fetch = Callable[["Cached | None"], Awaitable["Fetched | Unchanged | None"]]
"""Asks the upstreams of a document, conditionally when given what is cached. None: they say that there is
none. Raises UpstreamFailed and its kinds. `nora.proxy.upstreams.document_fetch` makes the usual one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """Where a cached document is: its path among the files of a proxy repository."""

    repository: Repository
    path: str
    package: str | None = None
    """The package that it is about: a publish of that name elsewhere makes its absence unknown again."""
    version: str | None = None
    """The version of the package that it is a file of."""
    is_lenient: bool = False
    """Whether who asks takes a denial for an absence: others, who do not, are not told of that absence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """A file that is to be had from an upstream if it is not here."""

    key: str
    """The same for everybody who wants this file, and for no other on the machine: repository id and path."""
    addresses: Sequence[Address]
    """Where it may be asked for, in this order."""
    expect: Expect
    """Its digest and size, as far as they are known. With a digest nothing wrong is ever served in full."""
    media_type: str
    store: Callable[[NewBlob, Received], Awaitable[Blob]]
    """Writes the row that makes durable bytes visible; returns the live blob (see Catalog.publish)."""
    find: Callable[[], Awaitable[Blob | None]]
    """Finds what `store` has written, whichever process it was."""
    max_bytes: int
    """The largest file that is taken in."""
    registry: str
    """As whose it is counted: the name of the format."""
    about: tuple[int, str, str | None] | None = None
    """The repository, the package and the version that it is of: what may be blocked, or purged."""
    place: tuple[int, str] | None = None
    """Where it will be: the repository, and its path there."""
    check: Callable[[str], bool] | None = None
    """Whether the file at a path is right, for what a digest cannot say. Called in a thread, when all of it
    is there, and before anybody gets the last of it."""
    confirm: Confirm | None = None
    """Called then as well."""

    @property
    def coalescing_key(self) -> str:
        """The same for everybody who wants the same bytes: upstreams replace files, and their pages say so
        before what is on its way has come."""
        return f"file {self.key} {self.expect.digest or ''}"

    async def found(self) -> Blob | None:
        """What `find` finds, unless other bytes are wanted by now."""
        blob, digest = await self.find(), self.expect.digest
        if blob is None or digest is None or digest.algorithm != blob.digest.algorithm:
            return blob
        return blob if blob.digest == digest else None


@dataclass(frozen=True, slots=True)
class Address:
    """An address of an upstream."""

    upstream: Upstream
    url: str
    """Absolute. It may be on another host than the upstream's: credentials are for the upstream's only."""
    headers: Headers = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Received:
    """Where the bytes of a file came from, and what was said of them there."""

    url: str
    """That was asked, before redirects."""
    validators: Mapping[str, str] = field(default_factory=dict)
    """`etag` and `last-modified` as they came, and whether they came from a private network."""


class Upstream(Protocol):
    """One upstream of a proxy repository: its address, its credentials, its limits, its circuit breaker.

    All raise UpstreamFailed and its kinds for what is neither found nor absent: no connection, a timeout, 401
    and 403 (whatever our credentials are, they are nothing to the client), 429, 5xx, an open breaker. What is
    transient was tried again before.
    """

    @property
    def url(self) -> str:
        """Its base, without a trailing slash."""
        ...

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int, body: bytes = b""
    ) -> Reply | None:
        """A whole answer: 2xx, or 304 to a condition. None for 404, 410 and what its `absent` adds: it
        is not there. `body` is that of a POST, which must be a question: it may be asked again."""
        ...

    def stream(
        self, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> AbstractAsyncContextManager[Stream | None]:
        """An answer in pieces as on the wire: 200, 206 when `headers` has a range, 304 when it has a
        condition. None: absent."""
        ...

    def naming(self, document: Cached) -> Upstream:
        """The same, to be asked for what a document of it names: that may be in a private network where the
        document came from one."""
        ...


class Authorization(Protocol):
    """Credentials for one upstream, which may have to be asked for first. One object for each upstream."""

    async def headers(self, method: Method, url: str) -> Headers:
        """What a request to the upstream's own host carries; empty for nothing."""
        ...

    async def challenged(
        self, method: Method, url: str, challenges: Sequence[str], *, is_inside: bool = False
    ) -> bool:
        """The upstream answered 401 with these challenges; whether it makes sense to ask once more. What they
        name may be in a private network if `is_inside` (see `Stream.is_inside`)."""
        ...
