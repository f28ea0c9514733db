"""Files: read, listed and removed."""

from __future__ import annotations

import time
from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.catalog.records import File
from nora.config import overwrite_rules
from nora.errors import BadRequest, NotFound, quoted
from nora.formats.base import Services
from nora.formats.directories import Directories, paths_beneath
from nora.formats.raw.cached import CachedFiles
from nora.formats.raw.names import FilePath
from nora.formats.raw.resource import Resource
from nora.formats.raw.settings import RawSettings
from nora.http.conditions import conditions_of, etag_of, http_date
from nora.http.context import PathContext
from nora.http.digests import repr_digest
from nora.http.fields import json_answer
from nora.http.kept_answers import Until
from nora.http.send import Header, blob_response
from nora.model import Repository

SANDBOX: Final = (b"content-security-policy", b"sandbox")
"""What somebody has put here may be a page. It is shown without its scripts, and as if it came from a site of
its own; the policy of the server holds beside this one."""


DELETED_AT_ONCE: Final = 500


class Files:
    """The endpoints of files and directories."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        settings = services.settings(RawSettings)
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._rules = overwrite_rules(services.config, "raw", settings.overwrite)
        self._cache_control: Header = (b"cache-control", settings.cache_control.encode())
        self._cached = CachedFiles(services, authorizer, (SANDBOX,))
        self._directories = Directories(services.catalog, self._may_read) if settings.listing else None

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a file, or of a directory."""
        path = resource.path
        if not path or path.is_directory:
            if self._directories is None:
                raise NotFound("directories are not listed here (raw.listing)")
            return await self._directories.answer(resource, path)
        resource.count_as("download")
        stamp = self._resolver.hosted_stamp(resource.repository, path) if resource.may_be_kept else None

        async def look(hosted: Repository) -> File | None:
            self._catalog.blocks().check(hosted.id, path)
            return await self._catalog.find_file(hosted.id, path)

        file = await self._resolver.find_hosted(resource.repository, look)
        if file is None:
            found = await self._cached.answer(resource)
            if found is None:
                raise absent(path, self._resolver.offline_hint(resource.repository))
            return found
        headers = [self._cache_control, repr_digest(file.blob.digest), SANDBOX]
        if file.expires_at is not None:
            headers.append((b"sunset", http_date(file.expires_at)))  # RFC 8594
            stamp = stamp and Until(stamp, file.expires_at - time.time())
        resource.keep_while(stamp)
        return await blob_response(
            resource.request,
            self._services.blobs,
            self._services.memory,
            file.blob,
            media_type=file.media_type.encode(),
            headers=headers,
            etag=etag_of(file.blob.digest),
            modified=file.created_at,
        )

    async def delete(self, resource: Resource) -> Response:
        """Remove a file. Where files are never replaced its path is not used again."""
        if resource.path.is_directory:
            return await self._delete_all(resource)
        path, target = resource.file, resource.writable
        resource.audit("delete", path)
        there = await self._catalog.find_file(target.id, path, blocked=True)
        if there is None:
            raise absent(path)
        conditions = conditions_of(resource.scope["headers"])
        conditions.require_for_change(etag_of(there.blob.digest), there.created_at)
        count = await self._catalog.delete_files(
            target.id,
            [path],
            for_good=self._rules[target.name] == "never",
            expected=there.blob.digest if conditions.named else None,
        )
        if not count:
            raise absent(path)
        return Response(204)

    async def _delete_all(self, resource: Resource) -> Response:
        """Remove all files beneath a directory, if each of them may be removed."""
        directory, target, count = resource.path, resource.writable, 0
        resource.audit("delete", directory)
        if conditions_of(resource.scope["headers"]).named:
            raise BadRequest("conditions are of one file: delete it by itself")
        async for path in paths_beneath(self._catalog, target.id, directory):
            self._authorizer.require(resource.principal, "delete", resource.repository, path)
            count += 1
        if not count:
            raise NotFound(f"there is no directory {quoted(directory)}")
        for_good, paths = self._rules[target.name] == "never", []
        async for path in paths_beneath(self._catalog, target.id, directory):
            # Again: somebody else may have put it there meanwhile
            self._authorizer.require(resource.principal, "delete", resource.repository, path)
            paths.append(path)
            if len(paths) == DELETED_AT_ONCE:
                await self._catalog.delete_files(target.id, paths, for_good=for_good)
                paths = []
        await self._catalog.delete_files(target.id, paths, for_good=for_good)
        return json_answer({"path": directory, "deleted": count})

    def _may_read(self, context: PathContext, path: str) -> bool:
        return self._authorizer.may_read(context.principal, context.repository, path)


def absent(path: FilePath, hint: str = "") -> NotFound:
    """What is said of a file that is not here; `hint`: why not."""
    return NotFound(f"there is no file {quoted(path)}{hint}")
