"""Files that belong to no package: what is in a directory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

from nora.api.finder import MOST_LISTED, after_of
from nora.errors import NotFound, quoted
from nora.formats.directories import shown_entries
from nora.http.fields import PAGING, json_endpoint, read_limit

if TYPE_CHECKING:
    from nora.api.call import Call
    from nora.catalog.base import Catalog
    from nora.catalog.records import DirectoryEntry, File
    from nora.http.router import Endpoint
    from nora.ui.shelves import Shelves


class Entry(TypedDict):
    """A file, or a directory: then only its name is not null."""

    name: str
    """That of a directory ends with a slash."""
    size: int | None
    media_type: str | None
    sha256: str | None
    created_at: float | None
    expires_at: float | None
    """When it will be gone; null: it stays."""


class DirectoryShown(TypedDict):
    """A part of a directory, by name."""

    repository: str
    path: str
    entries: list[Entry]
    after: str | None
    """What the next page is asked for with; null: this is the last."""


class DirectoryApi:
    """The endpoints."""

    def __init__(self, catalog: Catalog, shelves: Shelves) -> None:
        self._catalog = catalog
        self._shelves = shelves

    def endpoints(self) -> Iterator[Endpoint[Call]]:
        """For whoever may ask; what they may not read is not told of."""
        path = "/api/v1/repositories/{repository}/entries"
        for one in (path, f"{path}/{{path...}}"):
            yield json_endpoint(
                "GET HEAD", one, "read", DirectoryShown, self._list, query=PAGING, errors=(404,)
            )

    async def _list(self, call: Call) -> DirectoryShown:
        """List what is in a directory, a page at a time: of formats whose files belong to no packages."""
        shelf, repository = self._shelves.find(call.principal, call.value("repository"))
        if not shelf.format.browse.is_directory:
            raise NotFound(f"{shelf.format.title} has no directories: see its packages")
        path, after, limit = call.value("path"), after_of(call), read_limit(call, MOST_LISTED)
        prefix, now = f"{path}/" if path else "", time.time()

        def is_shown(row: int, entry: DirectoryEntry) -> bool:
            if entry.file is not None and (entry.file.has_ended(now) or self._is_hidden(row, entry.file)):
                return False
            return self._shelves.may_read(call.principal, repository, prefix + entry.name)

        found, last = await shown_entries(self._catalog, repository.row_ids, path, after, limit, is_shown)
        if path and not found and not after and last is None:
            raise NotFound(f"there is no directory {quoted(path)}")
        entries = [_shown(one) for one in found]
        return {"repository": repository.name, "path": path, "entries": entries, "after": last}

    def _is_hidden(self, row: int, file: File) -> bool:
        hidden = self._catalog.blocks().hidden(row, file.package or file.path)
        return hidden is not None and hidden.has(file.version, file.blob.digest)


def _shown(entry: DirectoryEntry) -> Entry:
    file = entry.file
    return {
        "name": entry.name,
        "size": None if file is None else file.blob.size,
        "media_type": None if file is None else file.media_type,
        "sha256": None if file is None else file.blob.digest.encoded,
        "created_at": None if file is None else file.created_at,
        "expires_at": None if file is None else file.expires_at,
    }
