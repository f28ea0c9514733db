"""Archives that are taken apart: each of their files is kept, all of them or none.

For formats whose files belong to no package.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from nora.blobs.base import Expect, forget
from nora.catalog.records import NewFile
from nora.errors import BadRequest, InvalidPackageFile, quoted
from nora.formats.file_uploads import end_of
from nora.http.body import stream_body
from nora.http.conditions import conditions_of
from nora.http.digests import announced_digests, check_digests
from nora.http.fields import json_answer
from nora.http.media_types import guess_media_type

if TYPE_CHECKING:
    from collections.abc import Callable

    from blacksheep import Response

    from nora.auth.authorizer import Authorizer
    from nora.blobs.base import Ingested
    from nora.catalog.records import NewBlob
    from nora.formats.base import Services
    from nora.formats.replacing import ReplaceRules
    from nora.http.context import PathContext
    from nora.model import Repository

MOST_FILES: Final = 10_000
"""Of one archive: each is made durable, and all rows are written at once."""


class Archives:
    """Takes them in."""

    def __init__(
        self,
        services: Services,
        authorizer: Authorizer,
        parse: Callable[[str], str],
        rules: ReplaceRules,
        max_size: int | None,
    ) -> None:
        """`parse` makes a path of a text, or raises that it is none. `max_size`: bytes of an archive, and of
        each file in it."""
        self._services = services
        self._authorizer = authorizer
        self._parse = parse
        self._rules = rules
        self._catalog = services.catalog
        self._max_size = max_size
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, context: PathContext) -> Response:
        """PUT of an archive, whose files are put into a directory.

        Raises InvalidPackageFile, DigestMismatch, TooLarge, Conflict, StorageFull; nothing is put then.
        """
        if context.parameter("unpack") is None:
            raise BadRequest("name a file; to a directory an archive is put, with ?unpack")
        target, expires_at = context.writable, end_of(context)
        context.audit("write", context.name)
        if conditions_of(context.scope["headers"]).named:
            raise BadRequest("conditions are of one file: put it by itself")
        digests = announced_digests(context.request)
        expect = Expect(max_size=self._max_size, also=tuple(digests.keys() - {"sha256"}))
        body = stream_body(context.request, limit=self._max_size, idle_seconds=self._idle_seconds)
        async with self._services.blobs.ingest(body, expect) as archive:
            check_digests(archive.blob, digests)
            paths = await self._unpack(context, archive.blob, target, expires_at)
        await forget(self._services.blobs, archive.blob)  # what is kept are its files
        for path in paths:
            self._services.cache.forget_absences(path)
        context.count_as("upload")
        return json_answer({"path": context.name, "files": len(paths)}, 201)

    async def _admit(self, context: PathContext, target: Repository, path: str) -> str:
        """Where the file of a path in the archive is put. Raises InvalidName, Denied, Blocked."""
        name = self._parse(f"{context.name}{path}")
        self._authorizer.require(context.principal, "write", context.repository, name)
        self._catalog.blocks().check(target.id, name)
        if await self._catalog.find_file(target.id, name, blocked=True) is None:
            await self._services.claims.require(context, name)
        return name

    async def _unpack(
        self, context: PathContext, archive: NewBlob, target: Repository, expires_at: float | None
    ) -> list[str]:
        # What reads archives is loaded with the first of them
        from nora.archives import Limits
        from nora.archives.unpacking import unpacking

        blobs = self._services.blobs
        each = Expect(max_size=self._max_size)
        made: dict[str, Ingested] = {}
        async with AsyncExitStack() as stack:
            path = await stack.enter_async_context(blobs.local_copy(archive))
            async for one in await stack.enter_async_context(unpacking(path, Limits(members=MOST_FILES))):
                where = await self._admit(context, target, one.path)
                if where in made:
                    raise InvalidPackageFile(f"the archive has two files that are {quoted(where)!r} here")
                made[where] = await stack.enter_async_context(blobs.ingest(one.pieces(), each))
            is_claim = self._services.claims.has_sources(target)
            files = [
                NewFile(
                    path=where,
                    media_type=guess_media_type(where),
                    blob=new.blob,
                    expires_at=expires_at,
                    is_claim=is_claim,
                )
                for where, new in made.items()
            ]
            rows = await self._catalog.put_files(target.id, files, replace=self._rules.always(target))
            for new, live in zip(made.values(), rows, strict=True):
                new.settle(live)
        return [*made]
