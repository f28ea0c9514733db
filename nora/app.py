"""The composition root: the only file that sees everything.

`build_app` puts one worker together. Nothing is opened before the worker's event loop runs, so that the
parent process may import all of this and share it with the workers it forks.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

from nora import __version__
from nora._speedups import COMPILED
from nora.api import DOCS_MOUNT
from nora.api import MOUNT as API_MOUNT
from nora.api import build as build_api
from nora.auth.access import Access
from nora.auth.administration import Administration
from nora.auth.api import TokenApi
from nora.auth.authenticator import Attempts, Authenticator
from nora.auth.authorizer import Authorizer
from nora.auth.caches import CacheApi
from nora.auth.endpoints import ServerEndpoint, server_router
from nora.auth.grounds import Grounds
from nora.auth.htpasswd import Htpasswd
from nora.auth.login import Login, build_login
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
from nora.blobs.opening import open_store
from nora.blobs.scratch import Scratch
from nora.blobs.uploads import Uploads
from nora.catalog.sqlite import SQLiteCatalog
from nora.config import Config, repository_specs
from nora.errors import NoraError
from nora.events.service import EventService
from nora.formats import name_folds, scope_rules
from nora.formats.administration import make_cache_api
from nora.formats.administrative_operations import administrative_operations
from nora.formats.base import Format, Services
from nora.formats.operations import Operations
from nora.formats.search import index_all
from nora.formats.upkeep import Upkeep
from nora.formats.upkeep_api import UpkeepApi
from nora.http import limits
from nora.http.api_document import ApiDocument
from nora.http.application import NoraApplication
from nora.http.clients import Clients
from nora.http.connections import LOOK_SECONDS
from nora.http.errors import render_json
from nora.http.memory import MemoryCache
from nora.http.render_cache import RenderCache
from nora.http.sites import Sites
from nora.http.system import Probe, System
from nora.http.tasks import Exclusive, every
from nora.http.telemetry import Telemetry
from nora.model import Repository
from nora.observability.audit import Audit
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.observability.shared_timestamps import SharedTimestamps
from nora.observability.traces import Tracer
from nora.outbound import Outbound
from nora.proxy.cache import Cache
from nora.proxy.offload import close as close_helper
from nora.proxy.upstreams import Upstreams
from nora.resolve import Claims
from nora.resolve.ownership import Ownership
from nora.serving import access_rules, make_resolver, served_formats, upkeep_jobs, upload_limits
from nora.ui import MOUNT as UI_MOUNT
from nora.ui import build as build_ui
from nora.ui import render_error as render_ui_error
from nora.ui.server import ServerView
from nora.ui.shelves import Shelves

_log = logging.getLogger(__name__)

SWEEP_SECONDS = 60.0
ENDED_AT_ONCE = 10_000
FLUSH_SECONDS = 10.0
INDEX_SECONDS = 10.0
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
    tracer = Tracer(config.traces.percent, __version__, metrics) if config.traces.endpoint else None
    app = NoraApplication(
        metrics,
        config.server.body_limit,
        clients=Clients.build(config),
        limits=limits.RateLimits.build(config, memory, metrics),
        audit=audit,
        sites=Sites.build(config),
        kept_bytes=config.cache.memory // KEPT_SHARE,
        access_log=config.log.access,
        tracer=tracer,
    )
    attempts = limits.Attempts.build(config, memory, metrics)
    Worker(config, app, metrics, memory.answers, attempts, audit, tracer, started_at or time.time())
    return app


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
        tracer: Tracer | None,
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
        self._blobs = open_store(config, layout, self._catalog)
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
            lease_seconds=config.gc.lease,
        )
        self._leases = Leases(self._catalog, config.gc.lease)
        self._accounts = accounts = Htpasswd(config.auth.htpasswd_file)
        self._grounds = Grounds.build(config, accounts)
        self._tokens = Tokens(self._catalog, grounds=self._grounds)
        self._managed = Administration.build(config, self._tokens, accounts, scope_rules(config))
        self._passwords = Passwords(accounts, layout.password_lock, config.auth.password_cache_ttl)
        self._access = Access(access_rules(config), metrics.count_scope, name_folds())
        self._outbound = Outbound(config.tls.ca_cert)
        self._tracer = tracer
        self._identities = (
            OidcVerifier(config.oidc, self._outbound, self._catalog) if config.oidc.enabled else None
        )
        self._services: Services | None = None
        self._events: EventService | None = None
        self._telemetry: Telemetry | None = None
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
        self._upkeep = Upkeep.build(self._config, self._catalog, repositories, self._exclusive.jobs)
        authenticator = await self._authentication()
        app.recognize = authenticator.recognize if authenticator.enabled else None
        authorizer = Authorizer(authenticator, self._access)
        self._services = services = self._make_services(authenticator, repositories)
        ownership = Ownership(self._catalog, repositories, services.resolver, name_folds())
        caches = make_cache_api(self._catalog, repositories, services.cache.forget_absences)
        packages = PackageApi(ownership)
        self._events = events = EventService(
            self._config, self._catalog, repositories, self._access, self._outbound, self._metrics
        )
        own = server_router(self._system(), authorizer)
        self._app.attach("/", "system", own, render_json, limited=False)
        document = ApiDocument(app.mounted, __version__, asks_who=authenticator.enabled)
        administration = self._administration(authenticator, packages, caches)
        landed = (*administration, *events.endpoints(authenticator))
        served = served_formats(self._config)
        shelves = Shelves(services, served, repositories)
        server = ServerView(self._config, self._metrics, self._probe, self._started_at, self._upkeep)
        operations = Operations(services, served, administrative_operations(caches, packages))
        api = build_api(services, shelves, server, authorizer, operations, document, self._managed, landed)
        for mount in (API_MOUNT, DOCS_MOUNT):
            self._app.attach(mount, "api", api, render_json)
        for one in served_formats(self._config):
            self._mount(one, services, repositories)
        if self._identities is not None and services.exchange is not None:
            self._identities.prepare()
            minting = server_router(TrustedPublishing(services.exchange).endpoints(), authorizer)
            self._app.attach(MOUNT, "oidc", minting, render_publishing_error)
        login = await self._login()
        pages = build_ui(services, shelves, server, operations, document, events, self._managed, login)
        self._app.attach(UI_MOUNT, "ui", pages, render_ui_error)
        # Proxies had rows themselves, before their sources had.
        cached = [one for one in repositories.values() if one.kind == "proxy"]
        cached += services.resolver.sources.repositories
        self._telemetry = self._make_telemetry(services, repositories)
        exclusive, requested = self._exclusive, self._upkeep.requested
        upkeep = upkeep_jobs(services, repositories, self._audit, self._metrics, exclusive, requested)
        self._periodic = [
            *self._jobs(services, events, cached),
            *upkeep,
            *self._telemetry.jobs(self._exclusive),
        ]

    def _system(self) -> Iterator[ServerEndpoint]:
        """What is asked of the server itself."""
        config = self._config
        formats = [(one.name, one.title, one.mount) for one in served_formats(config)]
        return System(
            self._metrics,
            self._probe,
            self._catalog.count_uploads,
            formats,
            __version__,
            self._started_at,
            storage=config.storage.mode,
            public_metrics=config.auth.public_metrics,
        ).endpoints()

    def _administration(
        self, authenticator: Authenticator, packages: PackageApi, caches: CacheApi
    ) -> Iterator[ServerEndpoint]:
        """What of the API is in the rooms that it is about."""
        yield from TokenApi(authenticator, self._tokens, scope_rules(self._config)).endpoints()
        yield from packages.endpoints()
        yield from caches.endpoints()
        yield from UpkeepApi(self._upkeep).endpoints()

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
                lease_seconds=config.gc.lease,
                absent_seconds=config.proxy.absent_ttl,
                answer_seconds=config.proxy.answer_timeout,
                silence_seconds=config.proxy.read_timeout,
                use_spacing=min(USE_SPACING, config.proxy.unused_ttl / 24),
                finish_below=config.proxy.finish_below,
                count=self._metrics.count_cache,
            ),
            exchange=Exchange(self._identities, authenticator) if self._identities else None,
        )

    def _jobs(
        self, services: Services, events: EventService, proxies: Sequence[Repository]
    ) -> Iterator[asyncio.Task[None]]:
        """What is done again and again."""
        cache, unused = services.cache, self._config.proxy.unused_ttl
        yield every(LOOK_SECONDS, self._app.watch(self._config.server).run, "looking at connections")
        yield every(FLUSH_SECONDS, self._leases.flush, "renewing leases")
        yield every(TOKEN_FLUSH_SECONDS, self._tokens.flush, "noting the use of tokens")
        yield every(FLUSH_SECONDS, cache.flush, "noting the use of what is cached")
        yield every(FLUSH_SECONDS, self._record_pulls, "noting pulls")
        one = self._exclusive
        yield one.every(TOKEN_WARN_SECONDS, self._tokens.warn_of_ends, "warn-of-tokens")
        yield one.every(SWEEP_SECONDS, self._blobs.sweep, "sweep-temporary")
        yield one.every(SWEEP_SECONDS, cache.sweep, "sweep-downloads")
        yield one.every(SWEEP_SECONDS, lambda: services.catalog.remove_ended(ENDED_AT_ONCE), "sweep-ended")
        yield one.every(SWEEP_SECONDS, services.render_cache.sweep, "sweep-render-cache")
        yield one.every(INDEX_SECONDS, lambda: index_all(services.catalog), "index-names")
        yield one.every(min(SWEEP_SECONDS, self._limits.ttl_seconds), self._uploads.sweep, "sweep-uploads")
        yield from events.jobs(one)
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

    async def _login(self) -> Login | None:
        """That by an issuer, if there is one."""
        return await build_login(self._config, self._outbound, self._catalog, self._accounts)

    def _mount(self, one: Format, services: Services, repositories: Mapping[str, Repository]) -> None:
        own = {name: repository for name, repository in repositories.items() if repository.format == one.name}
        handler = one.build(services, own)
        for mount in (one.mount, *one.also):
            self._app.attach(mount, one.name, handler, one.render_error, limited=one.limited)
        if not one.shares_mount:
            for name in own:
                self._app.attach(f"/r/{name}/", one.name, handler, one.render_error, limited=one.limited)

    def _make_telemetry(self, services: Services, repositories: Mapping[str, Repository]) -> Telemetry:
        made = Telemetry(
            self._metrics,
            self._catalog,
            (self._config.storage.path, self._layout.catalog),
            {number: one.format for one in repositories.values() for number in one.row_ids},
            {
                "nora_http_requests_in_flight": lambda: self._app.requests_in_flight,
                "nora_catalog_queue": self._catalog.waiting_changes,
                "nora_upstream_downloads_in_flight": lambda: services.cache.downloads_in_flight,
            },
        )
        made.trace(self._tracer, self._outbound, self._config.traces.endpoint)
        return made

    async def _record_pulls(self) -> None:
        await self._app.pulls.flush(self._catalog)

    async def _check(self) -> None:
        await self._blobs.check()
        await self._catalog.check()

    async def _stop(self, app: NoraApplication) -> None:
        for task in self._periodic:
            task.cancel()
        await asyncio.gather(*self._periodic, return_exceptions=True)
        if self._events is not None:  # before another process delivers
            await self._events.deliverer.close()
        self._exclusive.close()
        close_helper()  # whoever waits for it would have to be waited for
        ends = [self._leases.flush, self._tokens.flush]
        if self._telemetry is not None:
            ends.append(self._telemetry.finish)
        if self._services is not None:
            ends += [self._services.cache.close, self._services.upstreams.close]
        for end in (*ends, self._record_pulls, self._outbound.close, self._catalog.close):
            try:
                await end()
            except NoraError as error:  # what is only noted may be lost, what is queued may not
                _log.warning("at the stop: %s", error)
        await asyncio.to_thread(self._passwords.close)
        self._blobs.close()
        if self._audit is not None:
            await asyncio.to_thread(self._audit.close)
