"""Backups and restores of the store that a configuration names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nora.blobs.layout import FILE_MODE, Layout
from nora.blobs.opening import find_object, open_store
from nora.config import repository_specs
from nora.errors import BadRequest, StorageFailed
from nora.http.jobs import BACKUP
from nora.locks import data_directory_lock
from nora.upkeep.backups.archive import ArchiveSource, ArchiveTarget, compression_of, translated
from nora.upkeep.backups.backup import Backup, Cached, Made
from nora.upkeep.backups.bucket import SCHEME, BucketPlace, BucketShelf, BucketTarget, lock_of
from nora.upkeep.backups.folder import FolderShelf, FolderTarget
from nora.upkeep.backups.importing import Import, Imported
from nora.upkeep.backups.pruning import Pruned, prune
from nora.upkeep.backups.reading import open_source
from nora.upkeep.backups.restore import Restore, Restored, Wanted
from nora.upkeep.records import noted
from nora.upkeep.removal import nothing_removed

if TYPE_CHECKING:
    from nora.blobs.base import BlobStore
    from nora.blobs.s3 import Bucket
    from nora.catalog.base import Catalog
    from nora.config import Config
    from nora.upkeep.backups.manifest import Checked, Target
    from nora.upkeep.backups.sealing import Passphrase
    from nora.upkeep.progress import Progress

_HTPASSWD: Final = "htpasswd"


@dataclass(frozen=True, slots=True)
class PutBack:
    """What a restore has done."""

    checked: Checked
    written: int
    """Blobs that were not there before."""
    notes: tuple[str, ...]
    """For whoever ran it."""


async def back_up(
    config: Config,
    blobs: BlobStore,
    output: str,
    passphrase: Passphrase | None,
    progress: Progress,
    keep: int = 0,
) -> tuple[Made, Pruned | None]:
    """Write a backup to a file, a folder or a bucket, and `keep` the newest ones there, unless that is 0.
    Raises BadRequest for a name that says none of these, BackupFailed, StorageFailed, StorageFull."""
    created_at, layout = time.time(), Layout(config.storage.path)
    with ExitStack() as stack, noted(config.storage.path, BACKUP) as tell:
        place = _parse_output(output)
        if keep and isinstance(place, Archive):
            raise BadRequest("--keep is for backups in a folder or a bucket: archives are files of yours")
        bucket = None
        if isinstance(place, BucketPlace):
            bucket = place.open(config)
            stack.callback(bucket.close)
        target = await asyncio.to_thread(_open_target, place, bucket, config.storage.path, created_at)
        backup = Backup(
            layout.catalog,
            blobs,
            target,
            progress,
            passphrase=passphrase,
            created_at=created_at,
            more_secrets=None if passphrase is None else {_HTPASSWD: _read_users(config)},
        )
        async with nothing_removed(layout, progress):
            made = await backup.run()
        wrong = f"{len(made.lost)} objects are lost, and not in it" if made.lost else ""
        tell(f"{made.blobs} blobs, {made.size} bytes, to {place}", wrong)
        if not keep:
            return made, None
        return made, await asyncio.to_thread(_prune, place, bucket, config.storage.path, keep)


async def export_cached(
    config: Config, blobs: BlobStore, output: Path, cached: Cached, progress: Progress
) -> Made:
    """Write what was fetched from upstreams to an archive. Raises as `back_up`."""
    layout, compression = Layout(config.storage.path), compression_of(output)
    if compression is None or not output.parent.is_dir():
        raise BadRequest(
            f"{output}: an archive is in a folder that is there, and its name ends in .tar.gz, .tar.zst or "
            ".tar"
        )
    backup = Backup(
        layout.catalog,
        blobs,
        ArchiveTarget(output, compression),
        progress,
        passphrase=None,
        created_at=time.time(),
        cached=cached,
    )
    async with nothing_removed(layout, progress):
        return await backup.run()


async def import_cached(
    config: Config, catalog: Catalog, path: Path, progress: Progress, *, keep_going: bool
) -> Imported:
    """Put what `export_cached` has written beside what is here, also while a server runs. Raises
    BackupFailed, StorageFailed, StorageFull."""
    layout = Layout(config.storage.path)
    await asyncio.to_thread(layout.create)  # where no server has run yet
    repositories = await catalog.sync_repositories(repository_specs(config))
    found = [one for top in repositories.values() for one in (top, *top.sources)]
    proxies = {one.name: one for one in found if one.kind == "proxy"}
    with (
        closing(await asyncio.to_thread(ArchiveSource, path)) as source,
        closing(open_store(config, layout, catalog)) as store,
    ):
        work = Import(
            catalog,
            store,
            layout,
            proxies,
            progress,
            lease_seconds=config.gc.lease,
            keep_going=keep_going,
        )
        async with nothing_removed(layout, progress):
            return await work.run(source)


async def put_back(config: Config, place: str | Path, wanted: Wanted, progress: Progress) -> PutBack:
    """Restore a backup. Raises BackupFailed, Conflict, StartError while a server runs, StorageFailed."""
    layout = Layout(config.storage.path)
    try:
        config.storage.path.mkdir(0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageFailed(f"{layout.root} cannot be made: {error.strerror}") from error
    unsynced = replace(config, storage=replace(config.storage, durability="none"))
    with (
        closing(await asyncio.to_thread(open_source, place, lambda: config)) as source,
        closing(data_directory_lock(config.storage.path)),
        closing(open_store(unsynced, layout)) as store,
    ):
        restore = Restore(layout, store, progress, partial(find_object, config, layout), wanted)
        async with nothing_removed(layout, progress):
            restored = await restore.run(source)
        return PutBack(restored.checked, restored.written, tuple(_notes(config, wanted, restored)))


@dataclass(frozen=True, slots=True)
class Archive:
    """A file that is to be written."""

    path: Path
    compression: str

    def __str__(self) -> str:
        return str(self.path)


Output = Archive | Path | BucketPlace
"""Where a backup goes; a path is that of a folder."""


def _parse_output(output: str) -> Output:
    if output.startswith(SCHEME):
        return BucketPlace.parse(output)
    path = Path(output)
    compression = compression_of(path)
    if path.is_dir() or output.endswith("/"):
        return path
    if compression is None:
        raise BadRequest(
            f"{output}: an archive's name ends in .tar.gz, .tar.zst or .tar; a folder is there already, or "
            "its name ends in /; a bucket is s3://bucket/prefix"
        )
    if not path.parent.is_dir():
        raise BadRequest(f"{path.parent} is no folder: make it first")
    return Archive(path, compression)


def _open_target(place: Output, bucket: Bucket | None, root: Path, created_at: float) -> Target:
    if isinstance(place, Archive):
        return ArchiveTarget(place.path, place.compression)
    if isinstance(place, Path):
        return FolderTarget(place, created_at)
    assert bucket is not None
    return BucketTarget(place, bucket, root, created_at)


def _prune(place: Output, bucket: Bucket | None, root: Path, keep: int) -> Pruned:
    if isinstance(place, Path):
        with closing(FolderShelf(place)) as shelf:
            return prune(shelf, keep)
    assert isinstance(place, BucketPlace)
    assert bucket is not None
    with closing(lock_of(root)):
        return prune(BucketShelf(place, bucket), keep)


def _notes(config: Config, wanted: Wanted, restored: Restored) -> Iterator[str]:
    if restored.put_aside is not None:
        yield (
            f"the catalog that was here before is {restored.put_aside}: remove it when you are sure; until "
            "then no collection removes what only it names"
        )
    if wanted.passphrase is None:
        yield "tokens are to be made anew: they were not in the backup, or were left out"
    users = str(restored.more_secrets.get(_HTPASSWD, ""))
    path = config.auth.htpasswd_file
    if not users:
        return
    if path.exists():
        yield f"{path} is there and was left as it is: the users of the backup are not in it"
        return
    with translated():
        path.touch(FILE_MODE)
        path.write_text(users, encoding="utf-8")
    yield f"the users of the backup are in {path}"


def _read_users(config: Config) -> str:
    try:
        return config.auth.htpasswd_file.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise StorageFailed(f"{config.auth.htpasswd_file} cannot be read: {error}") from error
