"""What administrators do to repositories of any format, put together of what each format says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nora.auth.caches import CacheApi
from nora.blobs.scratch import ScratchLayout
from nora.config import repository_specs
from nora.formats import discover, name_folds
from nora.proxy.negative_cache import NegativeCache
from nora.resolve.blocking import Blocking
from nora.resolve.purging import PartRules, Purging

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.config import Config
    from nora.model import Repository


def make_purging(
    catalog: Catalog, repositories: Mapping[str, Repository], forget: Callable[[str], None]
) -> Purging:
    """What removes cached things; `forget` is told of which packages absences are not known any more."""
    return Purging(catalog, repositories, name_folds(), _part_rules(), forget)


async def open_purging(config: Config, catalog: Catalog) -> Purging:
    """The same for a command. Raises ConfigError, StorageFailed."""
    repositories = await catalog.sync_repositories(repository_specs(config))
    absences = NegativeCache(ScratchLayout(config.storage.path).negative_cache, time.time)
    return make_purging(catalog, repositories, absences.forget_package)


def make_blocking(catalog: Catalog, repositories: Mapping[str, Repository]) -> Blocking:
    """What blocks names and bytes."""
    return Blocking(catalog, repositories, name_folds(), _part_rules())


async def open_blocking(config: Config, catalog: Catalog) -> Blocking:
    """The same for a command. Raises ConfigError, StorageFailed."""
    return make_blocking(catalog, await catalog.sync_repositories(repository_specs(config)))


def make_cache_api(
    catalog: Catalog, repositories: Mapping[str, Repository], forget: Callable[[str], None]
) -> CacheApi:
    """Both over HTTP; `forget` as in `make_purging`."""
    return CacheApi(make_purging(catalog, repositories, forget), make_blocking(catalog, repositories))


def _part_rules() -> dict[str, PartRules]:
    return {one.name: one.parts for one in discover()}
