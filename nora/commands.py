"""What commands open of a data directory: beside a running server, or where none runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from functools import partial

from nora.blobs.layout import Layout
from nora.blobs.opening import find_object, open_store, refuse_unfinished
from nora.catalog.base import Catalog
from nora.catalog.sqlite import SQLiteCatalog
from nora.config import Config, default_specs, repository_specs
from nora.errors import ConfigError, StorageFailed
from nora.formats import discover, name_folds
from nora.formats.base import CommandServices
from nora.locks import FileLock
from nora.model import Repository
from nora.resolve.ownership import Ownership
from nora.serving import make_resolver


@asynccontextmanager
async def open_services(config: Config) -> AsyncIterator[CommandServices]:
    """What a command of a format may call. Raises StartError, StorageFailed."""
    async with open_catalog(config) as catalog:
        with closing(open_store(config, Layout(config.storage.path), catalog)) as blobs:
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
        refuse_unfinished(layout)  # also beside a restore that is at it now
        if lock.acquire(block=False):  # no server runs, which would have prepared it
            SQLiteCatalog.prepare(
                layout.catalog,
                allow_fuse=config.storage.allow_fuse,
                find_object=partial(find_object, config, layout),
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
