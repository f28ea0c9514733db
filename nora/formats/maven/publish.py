"""`mvn deploy`: a PUT for each file, checksum and metadata.

A file is hashed while it is written, and visible when its rows are. Checksums are compared. Metadata is a
function of the rows: of what clients upload only the prefixes of plugins are taken, which nothing else tells.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.blobs.base import Expect
from nora.catalog.records import Blob, NewBlob, NewFile, Release
from nora.errors import BadRequest, Conflict, StorageBusy
from nora.formats.base import Services
from nora.formats.maven.checksums import LARGEST as LARGEST_CHECKSUM
from nora.formats.maven.checksums import parse_checksum
from nora.formats.maven.hosted import HASHES, etag_of, media_type_of
from nora.formats.maven.metadata import Plugin, parse_plugins
from nora.formats.maven.metadata_xml import LARGEST as LARGEST_METADATA
from nora.formats.maven.metadata_xml import MetadataUnreadable
from nora.formats.maven.names import ArtifactFile, Checksum, Metadata, PackageName
from nora.formats.maven.redeploy import Redeploy
from nora.formats.maven.resource import Resource
from nora.formats.maven.settings import MavenSettings
from nora.formats.maven.uploaded_checksums import UploadedChecksums
from nora.http.body import content_length, read_body, stream_body
from nora.http.conditions import conditions_of
from nora.http.digests import announced_digests, check_digests
from nora.model import Repository
from nora.proxy.offload import offload

_TRIES: Final = 100
"""Each that fails is another change of the package that did not."""


class PublishEndpoint:
    """The endpoint of uploads."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._claims = services.claims
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._lease = services.leases.seconds
        self._settings = services.settings(MavenSettings)
        self._redeploy = Redeploy(services.config)
        self._idle_seconds = services.config.server.idle_timeout
        self._checksums = UploadedChecksums(services.catalog)

    async def put(self, resource: Resource) -> Response:
        """PUT of anything."""
        path = resource.path
        if isinstance(path, ArtifactFile):
            return await self._file(resource, path)
        if isinstance(path, Checksum):
            return await self._checksum(resource, path)
        if isinstance(path, Metadata):
            return await self._metadata(resource, path)
        raise BadRequest("files are published as group/artifact/version/file, nothing else is")

    # -- files -------------------------------------------------------------------------------------------

    async def _file(self, resource: Resource, path: ArtifactFile) -> Response:
        target, by = resource.writable, resource.principal.name
        resource.count_as("upload")
        resource.audit("write", path.path)
        await self._claims.require(resource, path.package)
        there = await self._catalog.find_file(target.id, path.path)
        conditions = conditions_of(resource.scope["headers"])
        if there is None:
            conditions.require_for_change(b"")
        else:
            conditions.require_for_change(etag_of(there.blob), there.created_at)
        replace = self._redeploy.replaces(target, path, conditions)
        size = content_length(resource.request)
        if there is not None and not replace and size not in (None, there.blob.size):
            raise _already(path)
        announced, limit = announced_digests(resource.request), self._settings.max_file_size
        body = stream_body(resource.request, limit=limit, idle_seconds=self._idle_seconds)
        async with self._blobs.ingest(body, Expect(max_size=limit, also=HASHES)) as new:
            check_digests(new.blob, announced)
            new.settle(await self._publish(_release(target, path, new.blob, by, replace=replace), path))
            is_new = there is None or there.blob.digest == new.blob.digest
        self._cache.forget_absences(path.package)
        if self._settings.checksum_verify:
            if replace:
                sums = {**new.blob.checksums, "sha256": new.blob.digest.encoded}
                await self._checksums.remember(target, path, sums, by)
            await self._checksums.check(target, path, by)
        return Response(201 if is_new else 200)

    async def _publish(self, release: Release, path: ArtifactFile) -> Blob:
        try:
            [live] = await self._catalog.publish(release, self._lease)
        except Conflict:
            if await self._catalog.find_file(release.repository_id, path.path) is None:
                raise Conflict(
                    f"{path.path} was published before and deleted; its name is never used again"
                ) from None
            raise _already(path) from None
        return live

    # -- what is beside them -----------------------------------------------------------------------------

    async def _checksum(self, resource: Resource, path: Checksum) -> Response:
        """What is beside metadata is about a document that is not kept."""
        file = path.file
        digest = parse_checksum(await read_body(resource.request, LARGEST_CHECKSUM), path.algorithm)
        if isinstance(file, ArtifactFile) and self._settings.checksum_verify:
            resource.audit("write", path.path)
            await self._claims.require(resource, file.package)
            await self._checksums.receive(resource.writable, path, digest, resource.principal.name)
        return Response(201)

    async def _metadata(self, resource: Resource, path: Metadata) -> Response:
        said = await self._read_plugins(resource, path)
        target, repository = resource.writable, resource.repository
        plugins = [(PackageName.of(f"{path.group}:{one.artifact}"), one) for one in said if path.group]
        packages = [name for name, _ in plugins] or [name for name in (path.package,) if name]
        for name in packages:
            self._authorizer.require(resource.principal, "write", repository, name)
        for name, plugin in plugins:
            resource.audit("write", path.path)
            await self._remember(target, name, plugin)
        return Response(201)

    async def _read_plugins(self, resource: Resource, path: Metadata) -> tuple[Plugin, ...]:
        body = await read_body(resource.request, LARGEST_METADATA, self._idle_seconds)
        try:
            return await offload(parse_plugins, body)
        except MetadataUnreadable as error:
            raise BadRequest(f"{path.path}: {error}") from None

    async def _remember(self, target: Repository, name: PackageName, plugin: Plugin) -> None:
        """The prefix of a plugin that is published."""
        for _ in range(_TRIES):
            package = await self._catalog.find_package(target.id, name)
            if package is None:
                return
            document: dict[str, Any] = orjson.loads(package.document)
            said = {"prefix": plugin.prefix, "name": plugin.name}
            if document.get("plugin") == said or await self._catalog.update_package(
                target.id, name, orjson.dumps({**document, "plugin": said}), before=package.document
            ):
                return
        raise StorageBusy(f"{name} changes all the time; try again")


def _release(target: Repository, path: ArtifactFile, blob: NewBlob, by: str, *, replace: bool) -> Release:
    """The rows of a file."""
    file = NewFile(
        path=path.path,
        media_type=media_type_of(path.path),
        blob=blob,
        document=orjson.dumps({"by": by}),
        checksums={name: blob.checksums[name] for name in HASHES},
    )
    return Release(
        repository_id=target.id, package=path.package, version=path.version, files=(file,), replace=replace
    )


def _already(path: ArtifactFile) -> Conflict:
    what = f"build {path.build} of {path.version}" if path.build else f"release {path.version}"
    return Conflict(
        f"{path.filename} of {path.package} is published already, with other bytes: the {what} never changes,"
        f" publish a new {'build' if path.build else 'version'}"
    )
