"""What people can do to files that belong to no package (nora.formats.operations)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from nora.formats.directories import is_directory, paths_beneath
from nora.formats.operations import Extent, Operation, Subject, deletion
from nora.http.context import PackageContext, PathContext
from nora.http.paths import Target

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.formats.base import Services
    from nora.formats.removal import Removal

MOST_COUNTED: Final = 10_000
"""Files of a directory whose sizes are looked up before it is deleted."""


def file_operations(
    services: Services, removal: Removal, parse: Callable[[str], str]
) -> tuple[Operation, ...]:
    """Those of a format; `parse` makes a value of a path."""

    async def delete(context: PackageContext, subject: Subject, _: str) -> None:
        path = parse(subject.file)
        target = Target("", values={"path": path}, is_directory=is_directory(path))
        named = PathContext(context.request, context.action, context.repository, path, target)
        named.principal = context.principal
        await removal.delete(named)

    async def measure(subject: Subject) -> Extent:
        return await _measure(services.catalog, subject)

    effect = (
        "It is removed; a directory with all files in it. Where files are never replaced their paths "
        "are not used again."
    )
    return (deletion("file", effect, delete, measure=measure),)


async def _measure(catalog: Catalog, subject: Subject) -> Extent:
    target = subject.repository.writable
    if target is None:
        return Extent()
    if not is_directory(subject.file):
        file = await catalog.find_file(target.id, subject.file, blocked=True)
        return Extent() if file is None else Extent(0, 1, file.blob.size)
    count = size = 0
    async for path in paths_beneath(catalog, target.id, subject.file):
        count += 1
        if count <= MOST_COUNTED and (file := await catalog.find_file(target.id, path, blocked=True)):
            size += file.blob.size
    return Extent(0, count, size)
