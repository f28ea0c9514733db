"""The values that go into a catalog and come out of it: see nora.catalog.base."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isinf
from typing import Final

from nora.model import Digest, Role, Scope

CLOCK_SECONDS: Final = 60.0
"""By how much the clocks of two moments may differ: time servers correct them."""


@dataclass(frozen=True, slots=True)
class Blob:
    """A stored blob. `generation` is part of the object's name: see nora.blobs.layout.

    An `id` always means these bytes, and is never used again: caches may be keyed by it. It means this object
    as well, until that is lost and the bytes come again.
    """

    id: int
    digest: Digest
    """Always sha256, the identity of the bytes; other digests are aliases."""
    size: int
    generation: int
    lease_until: float = 0.0
    """Of the link through which it was found, seconds since the epoch; 0 when not found through a link."""


@dataclass(frozen=True, slots=True)
class NewBlob:
    """Bytes that are durable in the blob store and want a row."""

    digest: Digest
    """sha256."""
    size: int
    xxh3: str
    """xxh3_128 as 32 hexadecimal digits: for quick scrubs and cache keys, never identity."""
    generation: int
    """From 0 to 2**63 - 1."""
    aliases: tuple[Digest, ...] = ()
    """Other digests of the same bytes, e.g. their sha512: they can be found by these, too."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Other hashes that were taken, hexadecimal, by algorithm: a NewFile may keep them for its format."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a repository, with the blob that holds its bytes: another one when it is published again."""

    id: int
    repository_id: int
    path: str
    package: str | None
    version: str | None
    media_type: str
    blob: Blob
    checksums: Mapping[str, str] | None = None
    """Hashes beside the sha256, hexadecimal, by algorithm; None where none were kept."""
    created_at: float = field(default=0.0, compare=False)
    """Since when the path has these bytes, seconds since the epoch: a later second than that of those
    before."""
    expires_at: float | None = field(default=None, compare=False)
    """From when on it is not there any more; None: it stays."""

    def has_ended(self, now: float) -> bool:
        """Whether it is not there any more, whatever its row says."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Package:
    """A package and what its format remembers of it."""

    id: int
    name: str
    owned: bool
    """Whether a hosted repository has claimed the name: by its first upload - an opened one counts while it
    is open - until it is released. Never in a repository of another kind; no delete ends it."""
    revision: int
    """Grows with every change of the package, its versions, tags, files and what is cached of it: documents
    derived from it may be cached under it. What is only looked at, used, leased or found to be right still
    does not move it."""
    document: bytes
    """JSON; `{}` when nothing was said."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a package without its files."""

    name: str
    state: str
    """`live`, or a word of the format: `yanked`."""
    document: bytes
    published_at: float
    pulls: int = field(default=0, compare=False)
    """How often files of it were fetched; see nora.http.pulls."""
    last_pulled_at: float | None = field(default=None, compare=False)
    """When one was fetched last, or found to be the one that the client had."""


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file as the documents of its package list it."""

    path: str
    version: str | None
    media_type: str
    blob: Blob
    document: bytes
    """What the format remembers of this file, as JSON."""
    created_at: float
    checksums: Mapping[str, str] | None = None
    """As those of File."""


@dataclass(frozen=True, slots=True)
class LaterFiles:
    """What a package has gained since a look at it, as of one moment."""

    revision: int
    """Of the package, as that of Package."""
    count: int
    """Files that it has in all."""
    last: int
    """For the next look: it grows with every file that is made, and never falls but by deletion."""
    files: tuple[PackageFile, ...]
    """Those that were made since, in no order, at most as many as were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFile:
    """A file to be put at a path, with bytes that were just ingested, or that the catalog knows already."""

    path: str
    media_type: str
    blob: NewBlob | Blob
    document: bytes = b"{}"
    """What the format wants to remember of this file, as JSON."""
    checksums: Mapping[str, str] | None = None
    """Hashes to keep beside the sha256: see NewBlob.checksums."""
    expires_at: float | None = None
    """From when on it is not there any more, seconds since the epoch; of a file without a package."""
    is_claim: bool = False
    """Whether its path is a name that is known and owned from here on, as by `claim_package`; of a file
    without a package."""


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """What a directory has under one name: a file, or - the name ends in a slash - a directory."""

    name: str
    file: File | None = None
    """None for a directory."""


@dataclass(frozen=True, slots=True)
class Cached:
    """What a proxy repository holds of an upstream."""

    id: int
    """Of the file: for `note_file_uses`."""
    path: str
    package: str | None
    media_type: str
    blob: Blob
    upstream_url: str
    validators: Mapping[str, str]
    document: bytes
    fetched_at: float
    fresh_until: float
    """`inf`: for good."""
    version: str | None = None
    """Of the package; None for documents and what lies beside files."""
    checksums: Mapping[str, str] | None = None
    """As of a File."""

    def is_fresh(self, now: float) -> bool:
        """Whether it is good without asking. What was fetched in the future was so by a clock that was wrong:
        nobody knows how old it is."""
        return now < self.fresh_until and (self.fetched_at <= now + CLOCK_SECONDS or isinf(self.fresh_until))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCached:
    """What was fetched and is to be kept, in the place of what was at this path before."""

    path: str
    package: str | None
    """What it belongs to, from here on known to the catalog; None: to nothing."""
    version: str | None = None
    """Of the package, made when it is new. Not without a package."""
    media_type: str
    blob: NewBlob | Blob
    upstream_url: str
    validators: Mapping[str, str] = field(default_factory=dict)
    document: bytes = b"{}"
    checksums: Mapping[str, str] | None = None
    """Hashes to keep beside the sha256: see NewBlob.checksums."""
    fetched_at: float
    fresh_until: float
    """`inf`: for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What of a cached package is meant: all that fits one of these; where none is said, the package."""

    version: str | None = None
    file: str | None = None
    """Its path, or the end of that after a slash."""
    digest: Digest | None = None
    """Of a version, a file, or other content that the package holds."""
    paths: tuple[str, ...] = ()
    """Of documents about the part."""


@dataclass(frozen=True, slots=True)
class Purged:
    """What was removed from a cache."""

    paths: tuple[str, ...] = ()
    """Of files and documents."""
    blobs: int = 0
    """What packages held without a file, such as layers."""
    packages: int = 0
    """That are not known any more: whose the name is, is open again."""

    def __add__(self, other: Purged) -> Purged:
        return Purged(self.paths + other.paths, self.blobs + other.blobs, self.packages + other.packages)

    def __bool__(self) -> bool:
        return bool(self.paths or self.blobs or self.packages)


@dataclass(frozen=True, slots=True)
class Reference:
    """Content that a version needs."""

    digest: str
    role: str
    """What it needs it for: a word of the format, such as `layer`."""
    required: bool
    """Whether publishing fails when the package has no such blob."""


@dataclass(frozen=True, slots=True)
class TagWrite:
    """A tag to set on the version that is published."""

    name: str
    replace: bool = True
    """False: a tag that already points to another version raises Conflict (immutable tags)."""
    expected: str | tuple[str, ...] | None = None
    """When set: the version that the tag must point to now, or several of which it is one, "*" for any, ""
    for none; else PreconditionFailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version of a package, and all that becomes visible together with it: see Versions.publish."""

    repository_id: int
    package: str
    version: str
    files: tuple[NewFile, ...] = ()
    """Their paths are this version's alone."""
    document: bytes | None = None
    """What the format wants to remember of this version, as JSON; None: nothing is said of it."""
    kind: str | None = None
    """What kind of thing this version is, in words of the format: versions about another are listed by it."""
    subject: str | None = None
    """The version of the package that this one is about, as a signature is; it need not be there."""
    references: tuple[Reference, ...] = ()
    tags: tuple[TagWrite, ...] = ()
    replace: bool = False
    """Whether this takes the place of what is published under the version and the paths already."""
    seen: int | None = None
    """The revision at which the package was looked at, NO_PACKAGE when there was none: whatever was decided
    by that holds in the transaction, or it raises PackageChanged. None: nothing was."""


NO_PACKAGE: Final = -1


@dataclass(frozen=True, slots=True)
class VersionAbout:
    """A version that is about another one, its subject."""

    version: str
    media_type: str
    size: int
    kind: str | None
    document: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload session: a file in the upload area and this row.

    `offset` bytes have been committed: they are in the file, durably, and `hashes` (algorithm → hex
    digest of exactly those bytes; "xxh3" among them) describes them when it is not empty. A file that
    is longer is cut back to `offset`.
    """

    id: str
    repository_id: int
    package: str
    algorithm: str
    offset: int
    hashes: dict[str, str]
    updated_at: float
    """Seconds since the epoch, by the catalog's clock."""


@dataclass(frozen=True, slots=True)
class Token:
    """An API token. The token itself is nowhere: `secret_hash` is its sha256 in hexadecimal."""

    id: str
    """Public, to list and revoke it by: 16 hexadecimal digits."""
    secret_hash: str
    user: str
    role: Role
    scopes: tuple[Scope, ...]
    description: str
    created_at: float
    expires_at: float | None
    last_used_at: float | None = None
    grounds: tuple[str, ...] = ()
    """What it ends with beside its time; see nora.auth.grounds."""


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """Whose tokens there are."""

    user: str
    tokens: int
    last_used_at: float | None
    """When one of them was last used; None: never."""


@dataclass(frozen=True, slots=True)
class Totals:
    """How much a repository holds."""

    packages: int = 0
    versions: int = 0
    bytes: int = 0
    """Of what is stored once, however often it is held."""
    files: int = 0
    """That belong to no package."""

    @property
    def artifacts(self) -> int:
        """What may be fetched by its name: versions, and files of no package."""
        return self.versions + self.files

    def plus(self, other: Totals) -> Totals:
        """How much two hold together, if nothing is held by both."""
        return Totals(
            self.packages + other.packages,
            self.versions + other.versions,
            self.bytes + other.bytes,
            self.files + other.files,
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """How much there is, in all and by the ids of repositories that have rows."""

    repositories: Mapping[int, Totals]
    blobs: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Moment:
    """What a period of time had, by series."""

    at: int
    """When it began, in seconds since the epoch."""
    counts: Mapping[str, float]
    """What was counted in it."""
    levels: Mapping[str, float]
    """How much there was when it ended, or now."""
