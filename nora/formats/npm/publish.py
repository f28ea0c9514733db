"""`npm publish`: a document with the tarball in it.

Who may not is known before the body is read. The tarball is decoded, hashed and written while it comes,
looked into when it is durable, and visible when the rows are written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing, suppress
from typing import Final, cast

from blacksheep import Content, Response

from nora.auth.authorizer import Authorizer
from nora.blobs.base import Expect, Ingested
from nora.catalog import records as catalog
from nora.catalog.records import NO_PACKAGE, Blob, NewFile, TagWrite
from nora.errors import BadRequest, Blocked, Conflict, PackageChanged, StorageBusy, TooLarge
from nora.formats.base import Services
from nora.formats.npm.body import LARGEST_DOCUMENT, PublicationBody
from nora.formats.npm.changes import Changes
from nora.formats.npm.hosted import README, SIGSTORE, latest_of, path_of
from nora.formats.npm.maintainers import require_maintainer
from nora.formats.npm.publication import Contents, Publication, parse_publication
from nora.formats.npm.resource import Resource
from nora.formats.npm.settings import NpmSettings
from nora.formats.npm.sources import with_digests
from nora.formats.npm.tags import LATEST
from nora.http.body import content_length, stream_body
from nora.model import Repository

MEDIA_TYPE: Final = "application/octet-stream"
TARBALL: Final = "the tarball (npm.max_file_size)"
DONE: Final = b'{"ok":true,"success":true}'
_TRIES: Final = 100
"""Each that fails is another publication of the package that did not."""


class PublishEndpoint:
    """The endpoint of `npm publish`, and of what npm sends to the same address."""

    def __init__(self, services: Services, authorizer: Authorizer, changes: Changes) -> None:
        self._authorizer = authorizer
        self._changes = changes
        self._claims = services.claims
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._lease = services.leases.seconds
        self._settings = services.settings(NpmSettings)
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, resource: Resource) -> Response:
        """Take a version, or a change of a package. The same bytes again are no error: npm retries."""
        limit = self._settings.max_file_size
        most = limit * 4 // 3 + LARGEST_DOCUMENT
        announced = content_length(resource.request)
        if announced is not None and announced > most:
            raise TooLarge(limit, TARBALL)
        pieces = stream_body(resource.request, limit=most, idle_seconds=self._idle_seconds)
        async with aclosing(cast("AsyncGenerator[bytes, None]", pieces)):
            body = PublicationBody(pieces)
            tarball = await body.tarball()
            if tarball is None:
                return await self._changes.apply(resource, await body.document())
            try:
                return await self._publish(resource, body, tarball)
            except TooLarge as error:
                if error.limit == limit:  # told of as the bytes that it is for who stores them
                    raise TooLarge(limit, TARBALL) from None
                raise

    async def _publish(self, resource: Resource, body: PublicationBody, tarball: str) -> Response:
        name, target = resource.name, resource.writable
        resource.audit("write", f"{name} {tarball}")
        name.check_new()
        await self._claims.require(resource, name)
        await self._check(resource, target)
        await self._take(resource, target, body, tarball)
        self._cache.forget_absences(name)
        resource.count_as("upload")
        hidden = await self._claims.hidden_sources(target, name)
        return Response(201, _notice(name, hidden), Content(b"application/json", DONE))

    async def _check(self, resource: Resource, target: Repository) -> int:
        """Whether the one who asks may publish, and at which revision of the package that was looked at.
        Raises Denied."""
        package = await self._catalog.find_package(target.id, resource.name)
        if package is None:
            return NO_PACKAGE
        require_maintainer(self._authorizer, resource, package)
        return package.revision

    async def _take(
        self, resource: Resource, target: Repository, body: PublicationBody, tarball: str
    ) -> None:
        limit, unpacked = self._settings.max_file_size, self._settings.max_unpacked_size
        expect = Expect(max_size=limit, also=("sha512", "sha1"))
        async with self._blobs.ingest(body.data(), expect) as new:
            if await body.tarball() is not None:
                raise BadRequest("the body has two tarballs: one version is published at a time")
            publication = parse_publication(await body.document(), resource.name, tarball)
            if publication.length not in (None, new.blob.size):
                raise BadRequest(
                    f"the tarball has {new.blob.size} bytes, its attachment says {publication.length}"
                )
            async with self._blobs.local_copy(new.blob) as path:
                contents = await asyncio.to_thread(_looked_into, path, publication, unpacked)
            principal = resource.principal
            user = None if principal.is_anonymous else principal.name
            document = publication.document(new.blob.checksums, contents, user)
            await self._store(resource, target, publication, document, new)

    async def _store(
        self,
        resource: Resource,
        target: Repository,
        publication: Publication,
        document: bytes,
        new: Ingested,
    ) -> None:
        """Write the rows of a version: its tarball, and what is beside that."""
        path = path_of(publication.name, publication.version)
        files = [NewFile(path=path, media_type=MEDIA_TYPE, blob=new.blob)]
        ingested = [new]
        async with AsyncExitStack() as stack:
            for end, data in ((README, publication.readme), (SIGSTORE, publication.provenance)):
                if data:
                    beside = await stack.enter_async_context(self._blobs.ingest(data, Expect()))
                    files.append(NewFile(path=path + end, media_type=MEDIA_TYPE, blob=beside.blob))
                    ingested.append(beside)
            live = await self._write(resource, target, publication, document, files)
            for one, blob in zip(ingested, live, strict=True):
                one.settle(blob)

    async def _write(
        self,
        resource: Resource,
        target: Repository,
        publication: Publication,
        document: bytes,
        files: Sequence[NewFile],
    ) -> list[Blob]:
        """The live blobs. What may have changed while the body came is looked at again, and again when it
        changes before the rows are written."""
        for _ in range(_TRIES):
            seen = await self._check(resource, target)
            release = catalog.Release(
                repository_id=target.id,
                package=publication.name,
                version=publication.version,
                files=tuple(files),
                document=document,
                tags=tuple(map(TagWrite, await self._tags(target, publication))),
                seen=seen,
            )
            try:
                return await self._catalog.publish(release, self._lease)
            except PackageChanged:
                continue
            except Conflict:
                there = await self._catalog.find_file(target.id, files[0].path)
                raise _already(publication, is_there=there is not None) from None
        raise StorageBusy(f"{publication.name} changes all the time")

    async def _tags(self, target: Repository, publication: Publication) -> list[str]:
        """Those that are asked for; the first version of a package is its latest, too. Where that was
        removed, what has been offered in its place becomes it: who publishes under another tag does not
        mean to change that."""
        name, tags = publication.name, publication.tags
        with suppress(Blocked):
            if LATEST not in tags and await self._catalog.find_tagged_file(target.id, name, LATEST) is None:
                hidden = self._catalog.blocks().hidden(target.id, name)
                hidden = await with_digests(self._catalog, target.id, name, hidden)
                offered = latest_of(await self._catalog.list_versions(target.id, name), hidden)
                if offered is None:
                    return [*tags, LATEST]
                await self._catalog.set_tag(target.id, name, TagWrite(LATEST), offered)
        return list(tags)


def _looked_into(path: str, publication: Publication, max_unpacked: int) -> Contents:
    """In a thread: what reads archives is loaded with the first of them."""
    from nora.formats.npm.archive import check_tarball

    return check_tarball(path, publication.name, publication.version, max_unpacked)


def _already(publication: Publication, *, is_there: bool) -> Conflict:
    name, version = publication.name, publication.version
    if is_there:
        return Conflict(
            f"you cannot publish over the previously published version: {name}@{version} is there with other"
            " bytes; publish a new version"
        )
    return Conflict(f"{name}@{version} was published before and removed; it is never used again")


def _notice(name: str, hidden: Sequence[str]) -> list[tuple[bytes, bytes]] | None:
    """What npm tells people."""
    if not hidden:
        return None
    text = (
        f"{name} was served here from {', '.join(hidden)} before; now it comes from this registry alone, and"
        " what is there is not seen any more"
    )
    return [(b"npm-notice", text.encode("ascii", "replace"))]
