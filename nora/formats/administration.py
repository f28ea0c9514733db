"""What administrators do to repositories of any format, put together of what each format says."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nora.blobs.scratch import ScratchLayout
from nora.config import repository_specs
from nora.formats import discover
from nora.proxy.negative_cache import NegativeCache
from nora.resolve.purging import Purging

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.config import Config
    from nora.model import Repository


def make_purging(
    catalog: Catalog, repositories: Mapping[str, Repository], forget: Callable[[str], None]
) -> Purging:
    """What removes cached things; `forget` is told of which packages absences are not known any more."""
    formats = discover()
    folds = {one.name: one.fold for one in formats}
    return Purging(catalog, repositories, folds, {one.name: one.parts for one in formats}, forget)


async def open_purging(config: Config, catalog: Catalog) -> Purging:
    """The same for a command. Raises ConfigError, StorageFailed."""
    repositories = await catalog.sync_repositories(repository_specs(config))
    absences = NegativeCache(ScratchLayout(config.storage.path).negative_cache, time.time)
    return make_purging(catalog, repositories, absences.forget_package)
