"""The composition root: the only file that sees everything.

`build_app` puts one worker together. Nothing is opened before the worker's event loop runs, so that the
parent process may import all of this and share it with the workers it forks.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing

from nora import __version__
from nora._speedups import COMPILED
from nora.auth.access import Access, AccessRules
from nora.auth.api import TokenApi
from nora.auth.authenticator import Attempts, Authenticator
from nora.auth.authorizer import Authorizer
from nora.auth.caches import CacheApi
from nora.auth.endpoints import ServerEndpoint, server_router
from nora.auth.grounds import Grounds
from nora.auth.htpasswd import Htpasswd
from nora.auth.oidc import OidcVerifier
from nora.auth.packages import PackageApi
from nora.auth.passwords import Passwords
from nora.auth.publishing import MOUNT, Exchange, TrustedPublishing
from nora.auth.publishing import render_error as render_publishing_error
from nora.auth.sessions import SECRET, Sessions
from nora.auth.tokens import FLUSH_SECONDS as TOKEN_FLUSH_SECONDS
from nora.auth.tokens import WARN_SECONDS as TOKEN_WARN_SECONDS
from nora.auth.tokens import Tokens
from nora.blobs.counted import CountedBlobStore
from nora.blobs.layout import Layout
from nora.blobs.leases import Leases
from nora.blobs.local import LocalBlobStore
from nora.blobs.scratch import Scratch
from nora.blobs.uploads import Uploads
from nora.catalog.base import Catalog
from nora.catalog.sqlite import SQLiteCatalog
from nora.config import (
    Config,
    anonymous_repositories,
    default_specs,
    repository_specs,
)
from nora.errors import ConfigError, NoraError, StorageFailed
from nora.formats import discover, name_folds, scope_rules
from nora.formats.administration import make_cache_api
from nora.formats.base import CommandServices, Format, Services, UploadLimits
from nora.http import limits
from nora.http.application import NoraApplication
from nora.http.clients import Clients
from nora.http.connections import LOOK_SECONDS
from nora.http.errors import render_json
from nora.http.memory import MemoryCache
from nora.http.render_cache import RenderCache
from nora.http.sites import Sites
from nora.http.system import Probe, System
from nora.http.tasks import Exclusive, every
from nora.locks import FileLock
from nora.model import Repository
from nora.observability.audit import Audit
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.observability.shared_timestamps import SharedTimestamps
from nora.outbound import Outbound
from nora.proxy.cache import Cache
from nora.proxy.offload import close as close_helper
from nora.proxy.upstreams import Upstreams
from nora.resolve import Claims, Resolver, Sources
from nora.resolve.ownership import Ownership
from nora.ui import MOUNT as UI_MOUNT
from nora.ui import build as build_ui
from nora.ui import render_error as render_ui_error
from nora.ui.server import ServerView

_log = logging.getLogger(__name__)

LEASE_SECONDS = 24 * 3600.0
"""How long content that no version needs yet is kept: a push of many layers takes its time."""
SWEEP_SECONDS = 60.0
ENDED_AT_ONCE = 10_000
FLUSH_SECONDS = 10.0
USE_SPACING = 3600.0  # seconds: evictions think in days
EVICTION_SECONDS = 3600.0
KEPT_SHARE = 8
"""The part of the memory for hot answers that is for whole ones."""
SWITCH_SECONDS = 0.0005
"""A busy thread must not keep the event loop from the interpreter lock: the default of 5 ms turns a read of
5 µs into 5 ms (measured)."""


def build_app(
    config: Config, *, memory: SharedMemory | None = None, worker: int = 0, started_at: float | None = None
) -> NoraApplication:
    """The application of worker number `worker`, which counts into its slot of the shared `memory`."""
    memory = memory or SharedMemory(1)
    metrics = Metrics(memory, worker, version=__version__, compiled=COMPILED)
    audit = Audit.build(config, metrics)
    app = NoraApplication(
        metrics,
        config.server.body_limit,
        clients=Clients.build(config),
        limits=limits.RateLimits.build(config, memory, metrics),
        audit=audit,
        sites=Sites.build(config),
        kept_bytes=config.cache.memory // KEPT_SHARE,
    )
    attempts = limits.Attempts.build(config, memory, metrics)
    Worker(config, app, metrics, memory.answers, attempts, audit, started_at or time.time())
    return app


def served_formats(config: Config) -> list[Format]:
    """The formats that are switched on."""
    return [one for one in discover() if config.enabled(one.name)]


def upload_limits(config: Config) -> UploadLimits:
    """What upload sessions may take, as the formats that are served say."""
    served = served_formats(config)
    return UploadLimits.of(
        one.upload_limits(config.formats[one.name]) for one in served if one.upload_limits is not None
    )


@asynccontextmanager
async def open_services(config: Config) -> AsyncIterator[CommandServices]:
    """What a command of a format may call. Raises StartError, StorageFailed."""
    async with open_catalog(config) as catalog:
        storage = config.storage
        blobs = LocalBlobStore(
            Layout(storage.path),
            reserve_bytes=storage.reserve,
            durable=storage.durability,
            rows=catalog,
        )
        with closing(blobs):
            yield CommandServices(catalog, blobs)


@asynccontextmanager
async def open_catalog(config: Config) -> AsyncIterator[Catalog]:
    """The catalog of the data directory, for a command: beside a running server, else prepared as one would.

    Raises StartError, StorageFailed.
    """
    layout = Layout(config.storage.path)
    try:
        config.storage.path.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"{layout.root} cannot be made: {error.strerror}") from error
    with closing(FileLock(config.storage.path / "nora.lock")) as lock:
        if lock.acquire(block=False):  # no server runs, which would have prepared it
            SQLiteCatalog.prepare(
                layout.catalog, allow_fuse=config.storage.allow_fuse, find_object=layout.find_object
            )
    catalog = SQLiteCatalog.open(layout.catalog)
    try:
        yield catalog
    finally:
        await catalog.close()


async def open_ownership(config: Config, catalog: Catalog) -> Ownership:
    """The names that the hosted repositories of a catalog own. Raises ConfigError, StorageFailed."""
    repositories = await catalog.sync_repositories(repository_specs(config))
    return Ownership(catalog, repositories, make_resolver(config, catalog, repositories), name_folds())


def make_resolver(config: Config, catalog: Catalog, repositories: Mapping[str, Repository]) -> Resolver:
    """What decides who is asked for a name."""
    folds = name_folds()
    sources = Sources(config, repositories, folds)
    return Resolver(catalog, repositories.values(), sources, config.proxy, folds)


def access_rules(config: Config) -> AccessRules:
    """What is decided by the configuration alone. Raises ConfigError."""
    return AccessRules(
        enabled=config.auth.enabled,
        open_administration=config.server.on_loopback or config.auth.allow_anonymous_admin,
        anonymous_read=anonymous_repositories(config, repository_specs(config)),
    )


async def refuse_hidden_packages(catalog: Catalog, repositories: Mapping[str, Repository]) -> None:
    """Where named repositories share the mount of the default one, a name must not hide packages of it.

    Raises ConfigError naming one that would be hidden.
    """
    for one in (found for found in discover() if found.shares_mount and found.name in repositories):
        default = repositories[one.name]
        own = {spec.name for spec in default_specs(one.name, proxied=True)}
        named = [name for name, other in repositories.items() if other.format == one.name and name not in own]
        for name in named:
            for member in (one for one in default.readable if one.kind == "hosted"):
                below = await catalog.list_packages(member.id, "", 1, prefix=f"{name}/")
                same = await catalog.list_packages(member.id, "", 1, prefix=name)
                hidden = below or [package for package in same if package == name]
                if hidden:
                    raise ConfigError(
                        f"repositories.{name}: it would hide {hidden[0]} of the repository {one.name}, whose "
                        "names begin the same; choose another name"
                    )


class Worker:
    """What one worker process holds, and its life from start to stop."""

    def __init__(
        self,
        config: Config,
        app: NoraApplication,
        metrics: Metrics,
        answers: SharedTimestamps,
        attempts: Attempts,
        audit: Audit | None,
        started_at: float,
    ) -> None:
        self._config = config
        self._app = app
        self._metrics = metrics
        self._answers = answers
        self._attempts = attempts
        self._audit = audit
        self._layout = layout = Layout(config.storage.path)
        self._catalog = SQLiteCatalog.open(layout.catalog)
        self._blobs = LocalBlobStore(
            layout,
            reserve_bytes=config.storage.reserve,
            durable=config.storage.durability,
            rows=self._catalog,
        )
        self._scratch = Scratch(config.storage.path, self._blobs.disk)
        self._limits = upload_limits(config)
        self._uploads = Uploads(
            self._catalog,
            self._blobs,
            self._scratch,
            max_sessions=self._limits.max_sessions,
            max_sessions_of_one=self._limits.max_sessions_of_one,
            session_ttl_seconds=self._limits.ttl_seconds,
            max_size=self._limits.max_size,
            lease_seconds=LEASE_SECONDS,
        )
        self._leases = Leases(self._catalog, LEASE_SECONDS)
        accounts = Htpasswd(config.auth.htpasswd_file)
        self._grounds = Grounds.build(config, accounts)
        self._tokens = Tokens(self._catalog, grounds=self._grounds)
        self._passwords = Passwords(accounts, layout.password_lock, config.auth.password_cache_ttl)
        self._access = Access(access_rules(config), metrics.count_scope, name_folds())
        self._outbound = Outbound(config.tls.ca_cert)
        self._identities = (
            OidcVerifier(config.oidc, self._outbound, self._catalog) if config.oidc.enabled else None
        )
        self._services: Services | None = None
        self._probe = Probe(self._check)
        self._exclusive = Exclusive(self._scratch.locks)
        self._periodic: list[asyncio.Task[None]] = []
        self._started_at = started_at
        app.on_start += self._start
        app.on_stop += self._stop

    async def _start(self, app: NoraApplication) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        if self._audit is not None:
            self._audit.start()
        repositories = await self._catalog.sync_repositories(repository_specs(self._config))
        authenticator = await self._authentication()
        authorizer = Authorizer(authenticator, self._access)
        self._services = services = self._make_services(authenticator, repositories)
        ownership = Ownership(self._catalog, repositories, services.resolver, name_folds())
        caches = make_cache_api(self._catalog, repositories, services.cache.forget_absences)
        own = server_router(self._endpoints(authenticator, ownership, caches), authorizer)
        self._app.attach("/", "system", own, render_json, limited=False)
        for one in served_formats(self._config):
            self._mount(one, services, repositories)
        if self._identities is not None and services.exchange is not None:
            self._identities.prepare()
            minting = server_router(TrustedPublishing(services.exchange).endpoints(), authorizer)
            self._app.attach(MOUNT, "oidc", minting, render_publishing_error)
        server = ServerView(self._config, self._metrics, self._probe, self._started_at)
        pages = build_ui(services, served_formats(self._config), repositories, server)
        self._app.attach(UI_MOUNT, "ui", pages, render_ui_error)
        # Proxies had rows themselves, before their sources had.
        cached = [one for one in repositories.values() if one.kind == "proxy"]
        cached += services.resolver.sources.repositories
        self._periodic = [*self._jobs(services, cached)]

    def _endpoints(
        self, authenticator: Authenticator, ownership: Ownership, caches: CacheApi
    ) -> Iterator[ServerEndpoint]:
        """Those that belong to no format."""
        config = self._config
        formats = [(one.name, one.title, one.mount) for one in served_formats(config)]
        yield from System(
            self._metrics,
            self._probe,
            self._catalog.count_uploads,
            formats,
            __version__,
            self._started_at,
            public_metrics=config.auth.public_metrics,
        ).endpoints()
        yield from TokenApi(authenticator, self._tokens, scope_rules(config)).endpoints()
        yield from PackageApi(ownership).endpoints()
        yield from caches.endpoints()

    def _make_services(
        self, authenticator: Authenticator, repositories: Mapping[str, Repository]
    ) -> Services:
        config, room = self._config, self._config.cache.memory
        memory = MemoryCache(room - room // KEPT_SHARE)
        resolver = make_resolver(config, self._catalog, repositories)
        upstreams = Upstreams.build(config, self._outbound, self._metrics, self._answers)
        return Services(
            config=config,
            catalog=self._catalog,
            blobs=CountedBlobStore(self._blobs, self._metrics.count_storage),
            uploads=self._uploads,
            leases=self._leases,
            memory=memory,
            render_cache=RenderCache(
                memory,
                self._scratch.render_cache,
                salt=f"{__version__} {config.server.public_url or ''}",
                reserve_bytes=config.storage.reserve,
            ),
            authenticator=authenticator,
            access=self._access,
            resolver=resolver,
            tokens=self._tokens,
            claims=Claims(
                self._catalog,
                resolver,
                repositories.values(),
                config.proxy,
                lambda who, repository, name: self._access.decide(who, "admin", repository, name),
            ),
            upstreams=upstreams,
            cache=Cache(
                self._catalog,
                self._blobs,
                self._scratch,
                is_online=resolver.sources.is_online,
                lease_seconds=LEASE_SECONDS,
                absent_seconds=config.proxy.absent_ttl,
                answer_seconds=config.proxy.answer_timeout,
                silence_seconds=config.proxy.read_timeout,
                use_spacing=min(USE_SPACING, config.proxy.unused_ttl / 24),
                finish_below=config.proxy.finish_below,
                count=self._metrics.count_cache,
            ),
            exchange=Exchange(self._identities, authenticator) if self._identities else None,
        )

    def _jobs(self, services: Services, proxies: Sequence[Repository]) -> Iterator[asyncio.Task[None]]:
        """What is done again and again."""
        cache, unused = services.cache, self._config.proxy.unused_ttl
        yield every(LOOK_SECONDS, self._app.watch(self._config.server).run, "looking at connections")
        yield every(FLUSH_SECONDS, self._leases.flush, "renewing leases")
        yield every(TOKEN_FLUSH_SECONDS, self._tokens.flush, "noting the use of tokens")
        yield every(FLUSH_SECONDS, cache.flush, "noting the use of what is cached")
        one = self._exclusive
        yield one.every(TOKEN_WARN_SECONDS, self._tokens.warn_of_ends, "warn-of-tokens")
        yield one.every(SWEEP_SECONDS, self._blobs.sweep, "sweep-temporary")
        yield one.every(SWEEP_SECONDS, cache.sweep, "sweep-downloads")
        yield one.every(SWEEP_SECONDS, lambda: services.catalog.remove_ended(ENDED_AT_ONCE), "sweep-ended")
        yield one.every(SWEEP_SECONDS, services.render_cache.sweep, "sweep-render-cache")
        yield one.every(min(SWEEP_SECONDS, self._limits.ttl_seconds), self._uploads.sweep, "sweep-uploads")
        yield one.every(min(EVICTION_SECONDS, unused), lambda: cache.evict(proxies, unused), "evict-unused")

    async def _authentication(self) -> Authenticator:
        auth = self._config.auth
        return Authenticator(
            enabled=auth.enabled,
            tokens=self._tokens,
            passwords=self._passwords,
            role_of=auth.role_of,
            sessions=Sessions(await self._catalog.secret(SECRET)),
            grounds=self._grounds,
            identities=self._identities,
            attempts=self._attempts,
        )

    def _mount(self, one: Format, services: Services, repositories: Mapping[str, Repository]) -> None:
        own = {name: repository for name, repository in repositories.items() if repository.format == one.name}
        handler = one.build(services, own)
        for mount in (one.mount, *one.also):
            self._app.attach(mount, one.name, handler, one.render_error, limited=one.limited)
        if not one.shares_mount:
            for name in own:
                self._app.attach(f"/r/{name}/", one.name, handler, one.render_error, limited=one.limited)

    async def _check(self) -> None:
        await self._blobs.check()
        await self._catalog.check()

    async def _stop(self, app: NoraApplication) -> None:
        for task in self._periodic:
            task.cancel()
        await asyncio.gather(*self._periodic, return_exceptions=True)
        self._exclusive.close()
        close_helper()  # whoever waits for it would have to be waited for
        ends = [self._leases.flush, self._tokens.flush]
        if self._services is not None:
            ends += [self._services.cache.close, self._services.upstreams.close]
        for end in (*ends, self._outbound.close, self._catalog.close):
            try:
                await end()
            except NoraError as error:  # what is only noted may be lost, what is queued may not
                _log.warning("at the stop: %s", error)
        await asyncio.to_thread(self._passwords.close)
        self._blobs.close()
        if self._audit is not None:
            await asyncio.to_thread(self._audit.close)
