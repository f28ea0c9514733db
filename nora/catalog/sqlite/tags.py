"""Tags: names that point to a version."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING

import orjson

from nora.catalog.records import File
from nora.catalog.sqlite import queries
from nora.catalog.sqlite.events import record
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.packages import find_id
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, ReadCache
from nora.catalog.sqlite.rows import file_of
from nora.errors import Conflict, PreconditionFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nora.catalog.records import TagWrite
    from nora.catalog.sqlite.engine import Connection


class Tags(Executor):
    """The methods of nora.catalog.tags.Tags."""

    async def find_tagged_file(self, repository_id: int, package: str, tag: str) -> File | None:
        key = (repository_id, package, tag)
        values = (tag, repository_id, package)
        return self._cached_read(self._recent_tags, key, queries.FIND_TAGGED_FILE, values, file_of)

    async def list_tags(self, repository_id: int, package: str, after: str, limit: int) -> list[str]:
        row = self._row(queries.LIST_TAGS, (after, repository_id, package, limit))
        assert row is not None  # an aggregate always has one
        tags: list[str] = orjson.loads(row[0])
        return tags

    async def set_tag(self, repository_id: int, package: str, tag: TagWrite, version: str) -> bool:
        place = (repository_id, package)
        return await self._write(lambda db: set_tag(db, place, tag, version), place)

    async def delete_tag(self, repository_id: int, package: str, tag: str) -> str | None:
        place = (repository_id, package)
        return await self._write(lambda db: delete_tag(db, place, tag), place)

    @cached_property
    def _recent_tags(self) -> ReadCache[File]:
        return ReadCache(self._epochs, RECENT_ANSWERS)


# -- inside of a transaction -------------------------------------------------------------------------------


def check_tag(db: Connection, package: int, version: str, tag: TagWrite) -> None:
    """Raise Conflict or PreconditionFailed when the tag may not be set on the version."""
    if tag.replace and tag.expected is None:
        return
    row = db.execute(queries.FIND_TAG, (package, tag.name)).fetchone()
    current: str = row[0] if row else ""
    if tag.expected is not None:
        expected = (tag.expected,) if isinstance(tag.expected, str) else tag.expected
        if current not in expected and not ("*" in expected and current):
            raise PreconditionFailed(f"the tag {tag.name} points to {current or 'nothing'}")
    if not tag.replace and current not in ("", version):
        raise Conflict(f"the tag {tag.name} points to {current} and may not be moved")


def set_tag(db: Connection, place: tuple[int, str], tag: TagWrite, version: str) -> bool:
    """See Tags.set_tag."""
    package = find_id(db, queries.FIND_PACKAGE, place)
    found = package and find_id(db, queries.FIND_VERSION, (package, version))
    if not package or not found:
        return False
    check_tag(db, package, version, tag)
    db.execute(queries.PUT_TAG, (package, tag.name, found, time.time()))
    db.execute(queries.TOUCH_PACKAGE, (0, package))
    record(db, "tagged", *place, version, tags=(tag.name,))
    return True


def delete_tag(db: Connection, place: tuple[int, str], tag: str) -> str | None:
    """See Tags.delete_tag."""
    package = find_id(db, queries.FIND_PACKAGE, place)
    row = package and db.execute(queries.FIND_TAG, (package, tag)).fetchone()
    if not row:
        return None
    db.execute(queries.DELETE_TAG, (package, tag))
    db.execute(queries.TOUCH_PACKAGE, (0, package))
    version: str = row[0]
    record(db, "untagged", *place, version, tags=(tag,))
    return version


def check_kept(db: Connection, package: int, digests: Sequence[str], kept: Callable[[str], bool]) -> None:
    """Raise Conflict when a tag that is kept needs a version or content with one of the digests, directly or
    through other versions of the package."""
    values = (package, orjson.dumps(digests).decode())
    for (tag,) in db.execute(queries.LIST_TAGS_NEEDING, values):
        if kept(tag):
            raise Conflict(f"the tag {tag} needs it and may not be removed")
