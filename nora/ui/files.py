"""Files that belong to no package: directories, and a file with its checksum and how to get it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from nora.errors import NotFound, quoted
from nora.formats.directories import shown_entries
from nora.formats.operations import Subject
from nora.ui.listings import PAGE
from nora.ui.operations import offers
from nora.ui.tabs import tabs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blacksheep import Response

    from nora.catalog.base import Catalog
    from nora.catalog.records import DirectoryEntry, File
    from nora.formats.operations import Operations
    from nora.model import Repository
    from nora.ui.shelves import Shelf, Shelves
    from nora.ui.uploads import UploadPages
    from nora.ui.visit import Visit


@dataclass(frozen=True, slots=True)
class Crumb:
    """A directory above."""

    name: str
    path: str


class FilePages:
    """The pages."""

    def __init__(
        self, catalog: Catalog, shelves: Shelves, operations: Operations, uploads: UploadPages
    ) -> None:
        self._catalog = catalog
        self._shelves = shelves
        self._operations = operations
        self._uploads = uploads

    async def page(self, visit: Visit) -> Response:
        """A directory, or a file."""
        shelf, repository = self._shelves.find(visit.principal, visit.value("repository"))
        if not shelf.format.browse.is_directory:
            raise NotFound(f"{shelf.format.title} has no directories")
        path = visit.value("path")
        file = await self._file(visit, repository, path) if path else None
        if file is None:
            return await self.directory(visit, shelf, repository, path)
        site, made = self._shelves.site(visit, shelf, repository), shelf.format.browse.download
        return visit.page(
            "file.html",
            file=file,
            address=site.url + quote(path),
            offers=await offers(visit, self._operations, Subject(repository, file=path)),
            **tabs(visit, () if made is None else made(site, path)),
            **_around(shelf, repository, path),
        )

    async def directory(self, visit: Visit, shelf: Shelf, repository: Repository, path: str) -> Response:
        """What is in a directory that the visitor may read; of the names in several members that of the
        first."""
        after = visit.text("after", 1024)
        prefix, now = f"{path}/" if path else "", time.time()

        def is_shown(row: int, entry: DirectoryEntry) -> bool:
            if entry.file is not None and (entry.file.has_ended(now) or self._is_hidden(row, entry.file)):
                return False
            return self._shelves.may_read(visit.principal, repository, prefix + entry.name)

        rows = repository.row_ids
        readable, last = await shown_entries(self._catalog, rows, path, after, PAGE, is_shown)
        if path and not readable and not after and last is None:
            raise NotFound(f"there is no directory {quoted(path)}")
        readable.sort(key=lambda one: one.file is not None)
        site, made = self._shelves.site(visit, shelf, repository), shelf.format.browse.snippets
        counted = self._shelves.may_count(visit.principal, repository)
        return visit.page(
            "directory.html",
            entries=readable,
            repositories=self._shelves.listed(visit.principal, shelf),
            totals=await self._shelves.totals(repository) if counted and not path else None,
            site=site,
            after=after,
            next_after=last,
            prefix=prefix,
            may_upload=self._uploads.offered(visit.principal, repository),
            offers=await offers(visit, self._operations, Subject(repository, file=prefix)) if path else (),
            **tabs(visit, made(site) if made is not None and not path else ()),
            **_around(shelf, repository, path),
        )

    async def _file(self, visit: Visit, repository: Repository, path: str) -> File | None:
        self._shelves.require(visit.principal, repository, path)
        for row in repository.row_ids:
            file = await self._catalog.find_file(row, path)
            if file is not None and not self._is_hidden(row, file):
                return file
        return None

    def _is_hidden(self, row: int, file: File) -> bool:
        hidden = self._catalog.blocks().hidden(row, file.package or file.path)
        return hidden is not None and hidden.has(file.version, file.blob.digest)


def _around(shelf: Shelf, repository: Repository, path: str) -> dict[str, Any]:
    return {"shelf": shelf, "repository": repository, "path": path, "crumbs": _crumbs(path)}


def _crumbs(path: str) -> Sequence[Crumb]:
    parts = path.split("/") if path else []
    return [Crumb(part, "/".join(parts[: number + 1])) for number, part in enumerate(parts)]
