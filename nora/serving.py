"""What a configuration means for who serves it, and for commands: formats, limits, rights, sources."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping

from nora.auth.access import AccessRules
from nora.blobs.clock import PatientClock
from nora.blobs.collection import Collector, Objects
from nora.blobs.eviction import Evictor
from nora.blobs.layout import Layout
from nora.catalog.base import Catalog
from nora.config import Config, anonymous_repositories, repository_specs
from nora.formats import discover, name_folds
from nora.formats.administration import make_purging
from nora.formats.base import Format, Services, UploadLimits
from nora.formats.retention_job import RetentionJob
from nora.http.collection_job import CollectionJob
from nora.http.requested_jobs import RequestedJobs
from nora.http.tasks import Exclusive
from nora.model import Repository
from nora.observability.audit import Audit
from nora.observability.metrics import Metrics
from nora.resolve import Resolver, Sources
from nora.upkeep.progress import Silent
from nora.upkeep.verification import Pace, Verifier
from nora.upkeep.verification_job import VerificationJob

COLLECTION_PACE = 1.0
"""Of two seconds, a collection works in one."""


def served_formats(config: Config) -> list[Format]:
    """The formats that are switched on."""
    return [one for one in discover() if config.enabled(one.name)]


def upload_limits(config: Config) -> UploadLimits:
    """What upload sessions may take, as the formats that are served say."""
    served = served_formats(config)
    return UploadLimits.of(
        one.upload_limits(config.formats[one.name]) for one in served if one.upload_limits is not None
    )


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


def make_collector(
    config: Config,
    catalog: Catalog,
    store: Objects,
    *,
    pace: float = 0.0,
    clock: Callable[[], float] = time.time,
) -> Collector:
    """What collects garbage; `pace` and `clock` as in Collector."""
    layout = Layout(config.storage.path)
    return Collector(
        catalog,
        store,
        grace=config.gc.grace,
        unlink_delay=config.gc.unlink_delay,
        removal_lock=layout.removal_lock,
        lease=config.gc.lease,
        keeps_strays=layout.has_replaced_catalog,
        clock=clock,
        pace=pace,
    )


def make_collection_job(
    config: Config,
    services: Services,
    repositories: Mapping[str, Repository],
    audit: Audit | None,
    metrics: Metrics,
) -> CollectionJob:
    """What collects garbage from time to time."""
    clock = PatientClock()
    collector = make_collector(config, services.catalog, services.blobs, pace=COLLECTION_PACE, clock=clock)
    evictor = make_evictor(config, services.catalog, repositories, clock)
    names = {number: one.name for one in repositories.values() for number in one.row_ids}
    return CollectionJob(config.gc, collector, evictor, audit, metrics, names)


def make_verification_job(
    config: Config, services: Services, repositories: Mapping[str, Repository]
) -> VerificationJob:
    """What compares all that is stored from time to time."""
    settings, catalog = config.verify, services.catalog
    purging = make_purging(catalog, repositories, services.cache.forget_absences) if settings.repair else None
    verifier = Verifier(catalog, services.blobs, repositories, purging, Pace(settings.rate), Silent())
    return VerificationJob(settings, verifier)


def upkeep_jobs(
    services: Services,
    repositories: Mapping[str, Repository],
    audit: Audit | None,
    metrics: Metrics,
    exclusive: Exclusive,
    requested: RequestedJobs,
) -> Iterator[asyncio.Task[None]]:
    """What one of the workers does for the store from time to time, and what of that may be asked for."""
    config = services.config
    retention = RetentionJob(services, repositories, audit, metrics)
    yield from retention.jobs(exclusive)
    collection = make_collection_job(config, services, repositories, audit, metrics)
    yield from collection.jobs(exclusive)
    for one in (collection, retention):
        one.offer(requested)
    yield requested.start()
    yield from make_verification_job(config, services, repositories).jobs(exclusive)


def make_evictor(
    config: Config,
    catalog: Catalog,
    repositories: Mapping[str, Repository],
    clock: Callable[[], float] = time.time,
) -> Evictor:
    """What drops cached files that nobody uses; `clock` as in Evictor."""
    proxies = [one for one in repositories.values() if one.kind == "proxy"]
    return Evictor(
        catalog,
        unused_ttl=config.cache.unused_ttl,
        max_bytes=config.cache.max_size,
        kept={number for one in proxies if not config.is_online(one.name) for number in one.row_ids},
        clock=clock,
    )
