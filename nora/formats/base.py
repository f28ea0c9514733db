"""What a format is to the rest of NORA: a record, and the services it may call.

A format is one folder with a `FORMAT` record in its `__init__`; `nora.formats.discover()` finds it. What a
format can do beyond serving requests are separate capabilities of one method each; absent means not
offered.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from blacksheep import Request, Response

from nora.config.sections import FormatSection, FormatSettings, ProxiedSettings, no_upstreams
from nora.errors import NoraError
from nora.formats.browsing import Browse
from nora.formats.legacy import Legacy
from nora.formats.mirroring import MirrorTool
from nora.model import Repository
from nora.resolve.purging import PartRules

if TYPE_CHECKING:
    from nora.auth.access import Access
    from nora.auth.authenticator import Authenticator
    from nora.auth.publishing import Exchange
    from nora.auth.tokens import Tokens
    from nora.blobs.base import BlobStore
    from nora.blobs.leases import Leases
    from nora.blobs.uploads import Uploads
    from nora.catalog.base import Catalog
    from nora.config import Config, Upstream
    from nora.config.settings import FormatSettingsT
    from nora.formats.operations import Operation
    from nora.formats.uploading import Upload
    from nora.http.memory import MemoryCache
    from nora.http.render_cache import RenderCache
    from nora.proxy.cache import Cache
    from nora.proxy.upstreams import Upstreams
    from nora.resolve import Claims, Resolver, Source

GIB = 2**30
Handler = Callable[[Request], Awaitable[Response]]
"""Answers a request below its format's mount, or raises a NoraError."""


CheckUpstream = Callable[["Config", "Upstreams", "Source"], Awaitable[str]]
"""See `Format.check_upstream`."""


@dataclass(frozen=True, slots=True)
class Services:
    """What a handler may call. One per worker process."""

    config: Config
    catalog: Catalog
    blobs: BlobStore
    uploads: Uploads
    leases: Leases
    memory: MemoryCache
    render_cache: RenderCache
    """Documents that were computed."""
    authenticator: Authenticator
    access: Access
    resolver: Resolver
    """Who is asked for a name."""
    claims: Claims
    """Who may make a name ours."""
    tokens: Tokens
    """API tokens, for formats whose clients make some themselves."""
    upstreams: Upstreams
    """How sources are asked."""
    cache: Cache
    """What upstreams gave."""
    exchange: Exchange | None
    """Of identity tokens; None where they are not taken."""

    def settings(self, kind: type[FormatSettingsT]) -> FormatSettingsT:
        """The section of a format in the configuration, by the class of its settings."""
        return self.config.of_format(kind)


@dataclass(frozen=True, slots=True)
class CommandServices:
    """What a command may call."""

    catalog: Catalog
    blobs: BlobStore


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What upload sessions may take. They are shared by all formats that upload in parts."""

    max_sessions: int = 1000
    """Open ones at a time."""
    max_size: int = 64 * GIB
    """Bytes of one."""
    ttl_seconds: int = 3600
    """One without progress for so long is dropped."""
    max_sessions_of_one: int = 500
    """Open ones of one user."""

    @classmethod
    def of(cls, several: Iterable[UploadLimits]) -> UploadLimits:
        """What suits all of several formats."""
        found = tuple(several) or (cls(),)
        return cls(
            max(one.max_sessions for one in found),
            max(one.max_size for one in found),
            max(one.ttl_seconds for one in found),
            max(one.max_sessions_of_one for one in found),
        )


def natural_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers in a version by their value, `1.9` before `1.10`; the rest as text, numbers before it."""
    parts = re.findall(r"[0-9]+|[^0-9]+", version)
    digits = [part.lstrip("0") if part[0] in "0123456789" else None for part in parts]
    return tuple(
        (1, 0, part) if number is None else (0, len(number), number)
        for part, number in zip(parts, digits, strict=True)
    )


def precedence(version: str) -> tuple[tuple[int, ...], bool, tuple[tuple[int, int, str], ...]]:
    """By which versions of Semantic Versioning 2 are compared (semver.org, 11); it takes nothing else. In
    tuples, which C compares: there are thousands of versions of some packages."""
    core, _, before = version.partition("+")[0].partition("-")
    identifiers = (
        (0, int(one), "") if one.isdigit() else (1, 0, one) for one in (before.split(".") if before else ())
    )
    return tuple(map(int, core.split("."))), not before, tuple(identifiers)


def _for_good(config: Config, hosted: Repository) -> Callable[[str], bool]:
    return lambda _: True


def _no_tag(config: Config) -> Callable[[str], bool]:
    return lambda _: False


@dataclass(frozen=True, slots=True, kw_only=True)
class Aging:
    """What retention has to know of a format; see nora.retention."""

    by_tags: bool = False
    """Whether people count its tags; else they count versions, or files where these belong to no package."""
    kept_tags: Callable[[Config], Callable[[str], bool]] = _no_tag
    """Which tags stay, whatever rules say."""
    for_good: Callable[[Config, Repository], Callable[[str], bool]] = _for_good
    """Which paths of a hosted repository are never used again once what is there has been removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something that is done to hosted packages of a format from the command line: `nora <format> yank`."""

    name: str
    help: str
    """A sentence; words of `arguments` in capitals."""
    arguments: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    """What each is for, by name: `--reason`."""
    run: Callable[[CommandServices, Repository, Mapping[str, str]], Awaitable[str]]
    """Does it in a hosted repository, with the arguments and options that were given, by name; says what it
    has done. Raises NoraError."""


class Remote(Protocol):
    """A server somewhere, as one of its clients."""

    def put(self, path: str, file: str, media_type: str) -> bytes:
        """Send a file to a path, `/toys/…`; what is answered. Raises NoraError with what the server says."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCommand:
    """Something that a client of a server does, where the tools of a format have no command for it."""

    name: str
    help: str
    """As that of Command, and so the next two."""
    arguments: tuple[str, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    run: Callable[[Remote, Mapping[str, str]], str]
    """Does it; says what it has done. Raises NoraError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One package format."""

    name: str
    """As in the configuration, in metrics and in logs."""
    title: str
    """As people write it."""
    mount: str
    """Where the default repository is served: `/v2/`."""
    also: tuple[str, ...] = ()
    """More such mounts, where clients expect some things elsewhere: `/legacy/`."""
    settings: type[FormatSettings] | None = None
    """Its section of the configuration, if it has settings beside those that all formats have."""
    default_upstreams: Callable[[], tuple[Upstream, ...]] = no_upstreams
    """Whom its default proxy asks, unless that is said. Of a module: the configuration goes to processes."""
    version_order: Callable[[str], Any] = natural_order
    """The key by which its versions are sorted, the oldest first. It takes any text."""
    upload_limits: Callable[[Any], UploadLimits] | None = None
    """What its settings say about upload sessions, for a format that uploads in parts."""
    build: Callable[[Services, Mapping[str, Repository]], Handler]
    """Called once per worker with all repositories of this format by name. The default repository has
    the name of the format and is served at `mount`; for named ones see `shares_mount`."""
    render_error: Callable[[NoraError, Request], Response]
    """An error in the format's own dialect, and in the form that the client reads."""
    limited: bool = True
    """False when its clients cannot be told that they ask too much: some wait for minutes, then fail."""
    can_proxy: bool = False
    """Whether its repositories may be proxies: it asks upstreams for what is not here."""
    fold: Callable[[str], str] = str
    """A name of a package, or a pattern of names, as all spellings of it that are the same to this format are
    spelled: `Corp_*` as `corp-*`. A name that is not folded can get around what is reserved."""
    shares_mount: bool = False
    """True when named repositories live below `mount` itself (OCI: the first name segment), False when
    they live below `/r/<name>/`."""
    check_upstream: CheckUpstream | None = None
    """Asks an upstream once whether it is one of this format: what is wrong and what to do, or nothing.
    Raises UpstreamFailed."""
    parts: PartRules = field(default_factory=PartRules)
    """What removing a part of a cached package has to know."""
    commands: tuple[Command, ...] = ()
    """`nora <format> <command>`."""
    client_commands: tuple[ClientCommand, ...] = ()
    """Those that need a server and no data directory."""
    mirror: tuple[MirrorTool, ...] = ()
    """The tools whose lock files are mirrored, `nora mirror <tool>`."""
    legacy: Legacy | None = None
    """How it reads what the NORA written in Rust has of it, `nora migrate --from-nora`."""
    browse: Browse = field(default_factory=Browse)
    """What people are shown of it."""
    upload: Callable[[Services], Upload] | None = None
    """How it takes files from a page; called once per worker."""
    operations: Callable[[Services], Sequence[Operation]] | None = None
    """What people who look at its packages can do to them; called once per worker."""
    aging: Aging = field(default_factory=Aging)
    """How what is old of it goes."""

    @property
    def section(self) -> FormatSection:
        """What the configuration knows of it."""
        return FormatSection(
            name=self.name,
            title=self.title,
            settings=self.settings or (ProxiedSettings if self.can_proxy else FormatSettings),
            can_proxy=self.can_proxy,
            default_upstreams=self.default_upstreams,
            shares_mount=self.shares_mount,
        )
