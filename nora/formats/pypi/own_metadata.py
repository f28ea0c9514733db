"""Core metadata that NORA takes out of wheels itself, where their upstream offers none or cannot be asked.

The document of the package in the rows of the source remembers of which wheels NORA has the core metadata
although no upstream offers it: {"metadata": {filename: sha256}, "of": {filename: mark of the wheel}}.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from typing import Any, Final

import orjson

from nora.blobs.base import Expect
from nora.catalog.records import Blob
from nora.errors import InvalidName, InvalidPackageFile, NoraError
from nora.formats.base import Services
from nora.formats.pypi.hosted import METADATA, path_of
from nora.formats.pypi.index import ListedFile
from nora.formats.pypi.marks import mark_of, noted, remember_mark
from nora.formats.pypi.names import Distribution, ProjectName, parse_filename
from nora.proxy.base import Received
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.resolve import Source

_log = logging.getLogger(__name__)

TEXT: Final = "text/plain; charset=utf-8"
REMEMBER_TRIES: Final = 200


class OwnMetadata:
    """The core metadata that was taken out of wheels."""

    def __init__(self, services: Services) -> None:
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)

    async def offer(self, source: Source, project: ProjectName, listed: ListedFile, wheel: Blob) -> None:
        """Have the page offer the core metadata of a wheel that has come in. What fails here harms nobody."""
        filename = listed.filename
        try:
            raw = await self.read(filename, wheel)
            if raw is None:
                return
            await self.keep(source, project, filename, raw, listed.hashes)
            await self.note(source, project, filename, (sha256_of(raw), mark_of(listed.hashes)))
        except NoraError as error:
            _log.warning("the core metadata of %s cannot be offered: %s", filename, error)

    async def keep(
        self, source: Source, project: ProjectName, filename: str, raw: bytes, hashes: Mapping[str, str]
    ) -> Blob:
        """Of a wheel that has these hashes."""
        path = path_of(project, filename)
        beside = UpstreamFile(
            path=path + METADATA,
            package=project,
            version=None,
            media_type=TEXT,
            document=remember_mark(mark_of(hashes)),
        )
        async with self._blobs.ingest(raw, Expect()) as new:
            live = await self._files.keep(source.repository, beside, new.blob, Received(path))
            new.settle(live)
        return live

    async def read(self, filename: str, wheel: Blob) -> bytes | None:
        distribution = _wheel_of(filename)
        if distribution is None:
            return None
        try:
            async with self._blobs.local_copy(wheel) as path:
                return await asyncio.to_thread(_read_metadata, path, distribution)
        except InvalidPackageFile as error:
            _log.info("%s: %s", filename, error)
            return None

    async def additions(self, source: Source, project: ProjectName) -> Mapping[str, Any]:
        package = await self._catalog.find_package(source.id, project)
        found: Mapping[str, Any] = {} if package is None else orjson.loads(package.document)
        return found

    async def note(
        self, source: Source, project: ProjectName, filename: str, found: tuple[str, str] | None
    ) -> None:
        """Remember the sha256 of core metadata and the mark of its wheel; None: forget them. Many files of a
        project may come in at once, in many processes: none overwrites another."""
        for _ in range(REMEMBER_TRIES):
            package = await self._catalog.find_package(source.id, project)
            if package is None:
                return
            known = orjson.loads(package.document)
            document = noted(known, filename, found)
            if document == known:
                return
            after = orjson.dumps(document, option=orjson.OPT_SORT_KEYS)
            if await self._catalog.update_package(source.id, project, after, before=package.document):
                return
        _log.warning("the core metadata of %s is not offered: there is too much going on", filename)


def _read_metadata(path: str, distribution: Distribution) -> bytes | None:
    """In a thread: what reads wheels is loaded with the first of them."""
    from nora.formats.pypi.metadata import read_metadata

    return read_metadata(path, distribution)


def sha256_of(data: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _wheel_of(filename: str) -> Distribution | None:
    try:
        distribution = parse_filename(filename)
    except InvalidName:
        return None
    return distribution if distribution.kind == "wheel" else None
