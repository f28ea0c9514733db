"""The files of a version: `@v/<version>.info`, `.mod`, `.zip`, and `.ziphash`. They never change.

Of an upstream each is fetched once. Its zip is read through before anybody gets the last of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.errors import NoraError, NotFound, VersionNotFound, quoted
from nora.formats.base import Services
from nora.formats.go.documents import version_in
from nora.formats.go.names import ModulePath, is_canonical
from nora.formats.go.publish import MEDIA_TYPES
from nora.formats.go.releases import version_file
from nora.formats.go.resource import Resource
from nora.formats.go.settings import LARGEST_ZIP, GoSettings
from nora.formats.go.sources import Finder, related
from nora.formats.go.sumdb import SumDatabases
from nora.formats.go.upstream import LARGEST_INFO, Index
from nora.http.send import Header, blob_response
from nora.model import Repository
from nora.proxy.answers import file_response
from nora.proxy.base import FileRequest
from nora.proxy.listed_files import ListedFiles, UpstreamFile
from nora.resolve import Candidate, Source

LARGEST_MOD: Final = 16 << 20
_PUBLIC: Final = (b"cache-control", b"public, max-age=31536000, immutable")
_PRIVATE: Final = (b"cache-control", b"private, max-age=31536000, immutable")
_log = logging.getLogger(__name__)


class VersionFiles:
    """The endpoints."""

    def __init__(
        self,
        services: Services,
        authorizer: Authorizer,
        index: Index,
        finder: Finder,
        databases: SumDatabases,
    ) -> None:
        self._databases = databases
        self._services = services
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._index = index
        self._finder = finder
        self._files = ListedFiles(services.catalog, services.leases.seconds, services.cache.used)
        self._settings = services.settings(GoSettings)

    async def get(self, resource: Resource) -> Response:
        """GET and HEAD of a file of a version in full."""
        module, kind = resource.module, resource.kind
        if kind not in MEDIA_TYPES:
            raise NotFound(f"{module} has no file {quoted(resource.target.get('version'))}")
        if not is_canonical(resource.version):
            raise VersionNotFound(f"{quoted(resource.version)} is no version in full: see its .info for one")
        if kind == "zip":
            resource.count_as("download")
        stamp = None
        if resource.may_be_kept and kind != "zip":
            stamp = self._resolver.stamp(resource.repository, module, related(module))
        found = await self._file(resource, resource.version, kind, (self._forever(resource),))
        resource.keep_while(stamp)
        return found

    async def info(self, resource: Resource, version: str, headers: tuple[Header, ...]) -> Response:
        """The `.info` of a version, where it is asked for by another name."""
        return await self._file(resource, version, "info", headers)

    async def _file(
        self, resource: Resource, version: str, kind: str, headers: tuple[Header, ...]
    ) -> Response:
        repository, module = resource.repository, resource.module
        path = version_file(module, f"{version}.{kind}")

        async def look(hosted: Repository) -> Response | None:
            file = await self._catalog.find_file(hosted.id, path)
            if file is None:
                return None
            return await blob_response(
                resource.request,
                self._services.blobs,
                self._services.memory,
                file.blob,
                media_type=MEDIA_TYPES[kind].encode(),
                headers=headers,
                etag=b'"%b"' % file.blob.digest.encoded.encode(),
            )

        async def ask(candidate: Candidate) -> Response | None:
            return await self._cached(resource, candidate, version, kind, headers)

        found = await self._resolver.find_hosted(repository, look)
        if found is None:
            resolution = await self._finder.resolve(repository, module)
            if blocks := self._catalog.blocks():
                for candidate in resolution.candidates:
                    blocks.check(*candidate.key, versions=(version,))
            found = await self._resolver.first(resolution, ask)
        if found is None:
            hint = self._resolver.offline_hint(repository)
            raise VersionNotFound(f"there is no {kind} of {module} {version}{hint}")
        return found

    async def _cached(
        self,
        resource: Resource,
        candidate: Candidate,
        version: str,
        kind: str,
        headers: tuple[Header, ...],
    ) -> Response | None:
        """A file of an upstream."""
        if kind == "ziphash":
            return await self._hash_of(candidate.source, resource.module, version, headers)
        wanted = await self._wanted(resource, candidate.source, version, kind)
        try:
            return await file_response(
                resource.request, self._services, wanted, headers=headers, etag=None, what=kind
            )
        except NotFound:
            await self._finder.check_absent(resource, candidate)
            return None

    async def _wanted(self, resource: Resource, source: Source, version: str, kind: str) -> FileRequest:
        """A file of an upstream, for the cache."""
        path = version_file(resource.module, f"{version}.{kind}")
        is_asked = resource.may_fetch and self._index.is_online(source)
        file = UpstreamFile(
            path=path,
            package=resource.module,
            version=version,
            media_type=MEDIA_TYPES[kind],
            addresses=(self._index.address(source, path),) if is_asked else (),
        )
        request = self._files.request(source.repository, file, max_bytes=self._largest(kind))
        if not file.addresses or await request.found() is not None:
            return request
        return replace(request, check=await self._check(resource, source, version, kind))

    def _largest(self, kind: str) -> int:
        return {"info": LARGEST_INFO, "mod": LARGEST_MOD}.get(kind, self._settings.max_zip_size)

    async def _check(
        self, resource: Resource, source: Source, version: str, kind: str
    ) -> Callable[[str], bool] | None:
        """Whether a file that came is right; called in a thread."""
        module = resource.module
        if kind == "info":
            return partial(_is_info, version=version)
        if not self._settings.verify:
            return None
        sums = await self._databases.sums(resource, source, module, version)
        if kind == "mod":
            return partial(_is_mod, h1=sums.mod, what=f"{module} {version}") if sums.mod else None
        unpacked = max(LARGEST_ZIP, self._settings.max_zip_size)
        return partial(_is_zip, module=module, version=version, h1=sums.zip, max_unpacked=unpacked)

    async def _hash_of(
        self, source: Source, module: ModulePath, version: str, headers: tuple[Header, ...]
    ) -> Response | None:
        """The hash of a zip of an upstream that is here."""
        cached = await self._catalog.find_cached(source.id, version_file(module, f"{version}.zip"))
        if cached is None:
            return None
        async with self._services.blobs.local_copy(cached.blob) as path:
            h1 = await asyncio.to_thread(_hash, path, module, version)
        return Response(200, list(headers), Content(MEDIA_TYPES["ziphash"].encode(), h1.encode()))

    def _forever(self, resource: Resource) -> Header:
        return _PUBLIC if self._authorizer.is_public(resource.repository) else _PRIVATE


def _is_info(path: str, version: str) -> bool:
    with open(path, "rb") as file:
        return version_in(file.read(LARGEST_INFO)) == version


def _is_mod(path: str, h1: str, what: str) -> bool:
    from nora.formats.go.archive import go_mod_hash

    with open(path, "rb") as file:
        found = go_mod_hash(file.read(LARGEST_MOD))
    return found == h1 or _refused("go.mod", what, f"it has {found}, the sum database says {h1}")


def _is_zip(path: str, module: ModulePath, version: str, h1: str, max_unpacked: int) -> bool:
    """In a thread: what reads archives is loaded with the first of them."""
    from nora.formats.go.archive import check_module_zip

    what = f"{module} {version}"
    try:
        found = check_module_zip(path, module, version, max_unpacked).h1
    except NoraError as error:
        return _refused("zip", what, str(error))
    if h1 and found != h1:
        return _refused("zip", what, f"it has {found}, the sum database says {h1}")
    return True


def _refused(kind: str, what: str, why: str) -> bool:
    _log.warning("the %s of %s is not passed on: %s", kind, what, why)
    return False


def _hash(path: str, module: ModulePath, version: str) -> str:
    from nora.formats.go.archive import check_module_zip

    return check_module_zip(path, module, version, 1 << 40).h1
