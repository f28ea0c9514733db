"""Backups in a bucket: blobs once for all of them, as in a folder (see `folder`).

    <prefix>blobs/sha256/<2 hex>/<hex>-<generation>
    <prefix><time>/                     one backup: its header, catalog, secrets; its manifest comes last

A backup without its manifest is none, and the next one removes what there is of it. The bucket is asked as
that of the store is: its server and credentials are those of `[storage]`.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nora.blobs.bodies import SMALL_BYTES
from nora.blobs.layout import DIRECTORY_MODE
from nora.blobs.opening import open_bucket
from nora.errors import BadRequest, StorageFailed, quoted
from nora.locks import FileLock
from nora.upkeep.backups.archive import written
from nora.upkeep.backups.manifest import (
    MANIFEST,
    TIME,
    BackupFailed,
    MemberFailed,
    Readable,
    listed_member,
    parse_object_name,
)

if TYPE_CHECKING:
    from nora.blobs.s3 import Bucket
    from nora.config import Config

SCHEME: Final = "s3://"
AHEAD: Final = 32
"""Small members that are asked for while one is read: a bucket answers each after a while."""
SHARDS_KEPT: Final = 8
_LONGEST_NAME: Final = 63


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """Where backups are in a bucket."""

    name: str
    prefix: str
    """Empty, or with a slash at its end."""

    @classmethod
    def parse(cls, text: str) -> BucketPlace:
        """Of `s3://bucket/prefix`. Raises BadRequest."""
        name, _, prefix = text.removeprefix(SCHEME).partition("/")
        if not name or len(name) > _LONGEST_NAME or prefix.startswith("/"):
            raise BadRequest(f"{quoted(text)}: expected s3://bucket or s3://bucket/prefix")
        prefix = prefix.rstrip("/")
        return cls(name, f"{prefix}/" if prefix else "")

    def __str__(self) -> str:
        return f"{SCHEME}{self.name}/{self.prefix}"

    def open(self, config: Config) -> Bucket:
        """The bucket, on the server that `[storage]` names. Raises BadRequest for the place of the store."""
        storage = config.storage
        if storage.mode == "s3" and (storage.bucket, storage.s3_prefix) == (self.name, self.prefix):
            raise BadRequest(f"{self} is where the store itself is: choose another prefix")
        return open_bucket(config, self.name)


class BucketTarget:
    """See Target."""

    def __init__(self, place: BucketPlace, bucket: Bucket, root: Path, created_at: float) -> None:
        """What is made on the way is below `root`. Raises StorageFailed, and BackupFailed when another backup
        is being written from there."""
        self._bucket = bucket
        self._prefix = place.prefix
        self._time = time.strftime(TIME, time.gmtime(created_at))
        self._there = _Listing(bucket, place.prefix)
        self._finished = False
        self._lock = lock_of(root)
        try:
            shelf = BucketShelf(place, bucket)
            if self._time in shelf.backups():
                raise BackupFailed(f"{place}{self._time} is there already")
            shelf.remove_unfinished()
            self.workspace = root / "backup.partial.d"
            with written(self.workspace):
                shutil.rmtree(self.workspace, ignore_errors=True)  # a killed one has left it
                self.workspace.mkdir(DIRECTORY_MODE)
        except BaseException:
            self._lock.close()
            raise

    def _key(self, name: str) -> str:
        return self._prefix + name if parse_object_name(name) else f"{self._prefix}{self._time}/{name}"

    def has(self, name: str, size: int) -> bool:
        """See Target. Whether its bytes are right says `nora backup --verify`."""
        return self._there.size(name) == size

    def add(self, name: str, file: Readable, size: int, modified_at: int) -> None:
        """See Target. There is an object when all of it has come."""
        counted = _Counted(file)
        notes = {"modified-at": str(modified_at)}
        key = self._key(name)
        self._bucket.put_stream(key, counted, size, notes)
        if counted.size != size:
            self._bucket.remove(key)
            raise StorageFailed(f"{name} became shorter while it was copied")

    def finish(self) -> None:
        """See Target: the manifest has come."""
        self._finished = True
        self._end()

    def abandon(self) -> None:
        """See Target. The blobs stay; without its manifest the rest is no backup."""
        if not self._finished:
            with suppress(StorageFailed):
                for key, _ in [*self._bucket.list(f"{self._prefix}{self._time}/")]:
                    self._bucket.remove(key)
            self._end()

    def _end(self) -> None:
        shutil.rmtree(self.workspace, ignore_errors=True)
        self._lock.close()


def lock_of(root: Path) -> FileLock:
    """That of whoever writes to a bucket from a data directory. Raises BackupFailed."""
    lock = FileLock(root / "backup.lock")
    if not lock.acquire(block=False):
        lock.close()
        raise BackupFailed(f"another backup is being written to a bucket from {root}")
    return lock


class _Listing:
    """Which blobs there are, by folder: they are asked for in their order."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix
        self._lock = threading.Lock()
        self._shards: dict[str, dict[str, int]] = {}

    def size(self, name: str) -> int | None:
        folder = name.rpartition("/")[0]
        with self._lock:
            if folder not in self._shards:
                if len(self._shards) >= SHARDS_KEPT:
                    del self._shards[next(iter(self._shards))]
                found = self._bucket.list(f"{self._prefix}{folder}/")
                self._shards[folder] = {key.removeprefix(self._prefix): size for key, size in found}
            return self._shards[folder].get(name)


@dataclass(slots=True)
class _Counted:
    """A file, and how much of it was read."""

    file: Readable
    size: int = field(default=0, init=False)

    def read(self, size: int, /) -> bytes:
        data = self.file.read(size)
        self.size += len(data)
        return data


class _Member:
    """See Opened. A large one is opened when it is read, a small one is on its way."""

    def __init__(self, bucket: Bucket, key: str, name: str, size: int, modified_at: int) -> None:
        self.name, self.size, self.modified_at = name, size, modified_at
        self._bucket = bucket
        self._key = key
        self._small: Future[bytes] | None = None
        self._body: Any = None
        self._at = 0

    def begin(self, pool: ThreadPoolExecutor) -> None:
        """Ask for it, if it is small."""
        if self.size <= SMALL_BYTES:
            self._small = pool.submit(self._bucket.get, self._key)

    def read(self, size: int) -> bytes:
        """See Opened. Raises MemberFailed."""
        try:
            if self._small is not None:
                data = self._small.result()[self._at : self._at + size]
            else:
                self._body = self._body or self._bucket.open(self._key, 0, None)
                data = self._bucket.read(self._body, size)
        except StorageFailed as error:
            raise MemberFailed(f"{self._key} cannot be read: {error}") from error
        self._at += len(data)
        if not data:
            raise MemberFailed(f"{self._key} is damaged: it is shorter than it was")
        return data

    def end(self) -> None:
        """Let go of it."""
        if self._body is not None:
            self._body.close()


class BucketSource:
    """See Source. In the order of the manifest, which is that of a stream."""

    def __init__(self, place: BucketPlace, bucket: Bucket) -> None:
        """Of one backup, or of several: then it is the newest. Raises BackupFailed."""
        self._bucket = bucket
        self._pool = ThreadPoolExecutor(AHEAD, "backup")
        try:
            if bucket.size(f"{place.prefix}{MANIFEST}") is None:
                names = BucketShelf(place, bucket).backups()
                if not names:
                    raise BackupFailed(f"{place} holds no backup that was finished")
                self._blobs, self._own = place.prefix, f"{place.prefix}{names[-1]}/"
            else:
                folder, slash, _ = place.prefix.rstrip("/").rpartition("/")
                self._blobs, self._own = folder + slash, place.prefix
        except BaseException:
            self.close()
            raise

    def members(self) -> Iterator[_Member]:
        """See Source."""
        waiting: deque[_Member] = deque()
        for line in self._lines():
            found = listed_member(line)
            if found is None:
                continue
            name, size, modified_at = found
            key = (self._blobs if parse_object_name(name) else self._own) + name
            one = _Member(self._bucket, key, name, size, modified_at)
            one.begin(self._pool)
            waiting.append(one)
            if len(waiting) > AHEAD:
                yield from self._passed(waiting.popleft())
        while waiting:
            yield from self._passed(waiting.popleft())
        key = self._own + MANIFEST
        yield from self._passed(_Member(self._bucket, key, MANIFEST, self._bucket.size(key) or 0, 0))

    def _passed(self, member: _Member) -> Iterator[_Member]:
        try:
            yield member
        finally:
            member.end()

    def _lines(self) -> Iterator[bytes]:
        """Of the manifest. Raises BackupFailed."""
        try:
            body = self._bucket.open(self._own + MANIFEST, 0, None)
        except StorageFailed as error:
            raise BackupFailed(f"{self._own}{MANIFEST} cannot be read: {error}") from error
        try:
            rest = b""
            while data := self._bucket.read(body, 1 << 20):
                *lines, rest = (rest + data).split(b"\n")
                yield from lines
        except StorageFailed as error:
            raise BackupFailed(f"{self._own}{MANIFEST} cannot be read: {error}") from error
        finally:
            body.close()

    def close(self) -> None:
        """See Source."""
        self._pool.shutdown(cancel_futures=True)
        self._bucket.close()


class BucketShelf:
    """See nora.upkeep.backups.pruning.Shelf."""

    def __init__(self, place: BucketPlace, bucket: Bucket) -> None:
        self._prefix = place.prefix
        self._bucket = bucket

    def backups(self) -> list[str]:
        """See Shelf."""
        return sorted(one for one in self._folders() if self._manifest_size(one) is not None)

    def remove_unfinished(self) -> None:
        """What was not finished is no backup: nobody goes on from its catalog."""
        for one in self._folders():
            if self._manifest_size(one) is None:
                self._empty(one)

    def manifest(self, backup: str) -> _Member:
        """See Shelf."""
        key = f"{self._prefix}{backup}/{MANIFEST}"
        return _Member(self._bucket, key, MANIFEST, self._bucket.size(key) or 0, 0)

    def remove(self, backup: str) -> None:
        """See Shelf: its manifest first, so that it is none from then on."""
        self._bucket.remove(f"{self._prefix}{backup}/{MANIFEST}")
        self._empty(backup)

    def objects(self, start: str) -> Iterator[str]:
        """See Shelf."""
        for key, _ in self._bucket.list(f"{self._prefix}blobs/sha256/{start}"):
            yield key.removeprefix(self._prefix)

    def remove_object(self, name: str) -> None:
        """See Shelf."""
        self._bucket.remove(self._prefix + name)

    def _folders(self) -> list[str]:
        """The folders that are named by a time."""
        found = []
        for name in self._bucket.folders(self._prefix):
            with suppress(ValueError):
                time.strptime(name, TIME)
                found.append(name)
        return found

    def _manifest_size(self, backup: str) -> int | None:
        return self._bucket.size(f"{self._prefix}{backup}/{MANIFEST}")

    def _empty(self, backup: str) -> None:
        for key, _ in [*self._bucket.list(f"{self._prefix}{backup}/")]:
            self._bucket.remove(key)
