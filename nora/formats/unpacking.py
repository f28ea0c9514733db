"""`PUT /raw/<directory>/?unpack`: an archive, of which each file is kept, all of them or none."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from blacksheep import Response

from nora.blobs.base import Expect, Ingested, forget
from nora.catalog.records import NewFile
from nora.errors import BadRequest
from nora.formats.raw.names import FilePath, media_type_of
from nora.http.body import stream_body
from nora.http.conditions import conditions_of
from nora.http.digests import announced_digests, check_digests
from nora.http.fields import json_answer

if TYPE_CHECKING:
    from nora.auth.authorizer import Authorizer
    from nora.catalog.records import NewBlob
    from nora.formats.base import Services
    from nora.formats.raw.resource import Resource

MOST_FILES: Final = 10_000
"""Of one archive: each is made durable, and all rows are written at once."""


class Archives:
    """The endpoint of archives."""

    def __init__(self, services: Services, authorizer: Authorizer, max_size: int | None) -> None:
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._max_size = max_size
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, resource: Resource, *, replace: bool) -> Response:
        """Take an archive apart. `replace`: its files may be put over others."""
        if resource.parameter("unpack") is None:
            raise BadRequest("name a file; to a directory an archive is put, with ?unpack")
        if conditions_of(resource.scope["headers"]).named:
            raise BadRequest("conditions are of one file: put it by itself")
        resource.audit("write", resource.path)
        digests = announced_digests(resource.request)
        expect = Expect(max_size=self._max_size, also=tuple(digests.keys() - {"sha256"}))
        body = stream_body(resource.request, limit=self._max_size, idle_seconds=self._idle_seconds)
        async with self._services.blobs.ingest(body, expect) as archive:
            check_digests(archive.blob, digests)
            count = await self._unpack(resource, archive.blob, replace=replace)
        await forget(self._services.blobs, archive.blob)  # what is kept are its files
        resource.count_as("upload")
        return json_answer({"path": resource.path, "files": count}, 201)

    async def _unpack(self, resource: Resource, archive: NewBlob, *, replace: bool) -> int:
        # What reads archives is loaded with the first of them
        from nora.archives import Limits
        from nora.archives.unpacking import unpacking

        blobs, target, made, end = self._services.blobs, resource.writable, [], resource.end
        async with AsyncExitStack() as stack:
            path = await stack.enter_async_context(blobs.local_copy(archive))
            async for one in await stack.enter_async_context(unpacking(path, Limits(members=MOST_FILES))):
                name = FilePath.of(f"{resource.path}{one.path}")
                await self._check(resource, name)
                new = await stack.enter_async_context(
                    blobs.ingest(one.pieces(), Expect(max_size=self._max_size))
                )
                made.append((name, new))
            if self._services.claims.has_sources(target):
                for name, _ in made:
                    await self._catalog.claim_package(target.id, name)
            files = [_file(name, new, end) for name, new in made]
            rows = await self._catalog.put_files(target.id, files, replace=replace)
            for (_, new), live in zip(made, rows, strict=True):
                new.settle(live)
        for name, _ in made:
            self._services.cache.forget_absences(name)
        return len(made)

    async def _check(self, resource: Resource, name: FilePath) -> None:
        """That the file may be put. Raises Denied, Blocked."""
        target = resource.writable
        self._authorizer.require(resource.principal, "write", resource.repository, name)
        self._catalog.blocks().check(target.id, name)
        if await self._catalog.find_file(target.id, name) is None:
            await self._services.claims.require(resource, name)


def _file(name: FilePath, new: Ingested, end: float | None) -> NewFile:
    return NewFile(path=name, media_type=media_type_of(name, None), blob=new.blob, expires_at=end)
