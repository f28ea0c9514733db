"""Files and directories, as they are read."""

from __future__ import annotations

import time
from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import File
from nora.errors import NotFound, quoted
from nora.formats.base import Services
from nora.formats.directories import Directories, is_directory
from nora.formats.raw.cached import CachedFiles
from nora.formats.raw.settings import RawSettings
from nora.http.conditions import etag_of, http_date
from nora.http.context import PathContext
from nora.http.digests import repr_digest
from nora.http.kept_answers import Until
from nora.http.pulls import answer_with
from nora.http.send import Header, blob_response
from nora.model import Repository

SANDBOX: Final = (b"content-security-policy", b"sandbox")
"""What somebody has put here may be a page. It is shown without its scripts, and as if it came from a site of
its own; the policy of the server holds beside this one."""


class Files:
    """The endpoint of files and directories."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        settings = services.settings(RawSettings)
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._cache_control: Header = (b"cache-control", settings.cache_control.encode())
        self._cached = CachedFiles(services, authorizer, (SANDBOX,))
        self._directories = Directories(services.catalog, self._may_read) if settings.listing else None

    async def get(self, context: PathContext) -> Response:
        """GET and HEAD of a file, or of a directory."""
        path = context.package or ""
        if is_directory(path):
            if self._directories is None:
                raise NotFound("directories are not listed here (raw.listing)")
            return await self._directories.answer(context, path)
        context.count_as("download")
        stamp = self._resolver.hosted_stamp(context.repository, path) if context.may_be_kept else None

        async def look(hosted: Repository) -> File | None:
            self._catalog.blocks().check(hosted.id, path)
            return await self._catalog.find_file(hosted.id, path)

        file = await self._resolver.find_hosted(context.repository, look)
        if file is None:
            found = await self._cached.answer(context)
            if found is None:
                hint = self._resolver.offline_hint(context.repository)
                raise NotFound(f"there is no file {quoted(path)}{hint}")
            return found
        answer_with(context.request, file.repository_id, path)
        headers = [self._cache_control, repr_digest(file.blob.digest), SANDBOX]
        if file.expires_at is not None:
            headers.append((b"sunset", http_date(file.expires_at)))  # RFC 8594
            stamp = stamp and Until(stamp, file.expires_at - time.time())
        context.keep_while(stamp)
        return await blob_response(
            context.request,
            self._services.blobs,
            self._services.memory,
            file.blob,
            media_type=file.media_type.encode(),
            headers=headers,
            etag=etag_of(file.blob.digest),
            modified=file.created_at,
        )

    def _may_read(self, context: PathContext, path: str) -> bool:
        return self._authorizer.may_read(context.principal, context.repository, path)
