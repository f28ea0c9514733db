"""`cargo publish`: a length and the metadata as JSON, a length and the crate file, and nothing after it.

Who may not, what is there already and what cannot be right is known before the file is read. The bytes are
hashed while they are written, looked into when they are durable, and visible when the rows are written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Final, cast

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.blobs.base import Expect
from nora.catalog import records as catalog
from nora.catalog.records import NO_PACKAGE, Blob, NewFile
from nora.errors import BadRequest, Conflict, PackageChanged, StorageBusy, TooLarge
from nora.formats.base import Services
from nora.formats.cargo.hosted import README, Spellings, path_of
from nora.formats.cargo.manifest import Manifest, parse_manifest
from nora.formats.cargo.names import without_build
from nora.formats.cargo.owners import require_owner
from nora.formats.cargo.resource import Resource
from nora.formats.cargo.settings import CargoSettings
from nora.http.body import content_length, stream_body
from nora.http.fields import json_answer
from nora.model import Repository
from nora.proxy.offload import offload

if TYPE_CHECKING:
    from nora.formats.cargo.archive import Readme

LARGEST_METADATA: Final = 1 << 20
MEDIA_TYPE: Final = "application/x-tar"
MARKDOWN: Final = "text/markdown"
_TRIES: Final = 100
"""Each that fails is another publication of the crate that did not."""


class PublishEndpoint:
    """The endpoint of `cargo publish`."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._claims = services.claims
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._lease = services.leases.seconds
        self._settings = services.settings(CargoSettings)
        self._idle_seconds = services.config.server.idle_timeout
        self._spellings = Spellings(services.catalog)

    async def put(self, resource: Resource) -> Response:
        """Take a version. The same bytes again are no error: clients retry."""
        target, limit = resource.writable, self._settings.max_crate_size
        most = limit + LARGEST_METADATA + 8
        announced = content_length(resource.request)
        if announced is not None and announced > most:
            raise TooLarge(limit, "crate")
        body = stream_body(resource.request, limit=most, idle_seconds=self._idle_seconds)
        async with aclosing(cast("AsyncGenerator[bytes, None]", body)):
            frames = Frames(body)
            manifest = await offload(parse_manifest, await frames.metadata())
            resource.audit("write", f"{manifest.name.spelled} {manifest.version}")
            self._authorizer.require(resource.principal, "write", resource.repository, manifest.name)
            await self._claims.require(resource, manifest.name)
            await self._check(resource, target, manifest)
            await self._take(resource, target, manifest, frames)
        self._cache.forget_absences(manifest.name)
        resource.count_as("upload")
        hidden = await self._claims.hidden_sources(target, manifest.name)
        return json_answer({"warnings": _warnings(manifest, hidden)})

    async def _check(self, resource: Resource, target: Repository, manifest: Manifest) -> int:
        """Whether the crate takes the version, and at which revision that was looked at. Raises Conflict,
        Denied."""
        package = await self._catalog.find_package(target.id, manifest.name)
        if package is None:
            return NO_PACKAGE
        require_owner(self._authorizer, resource, package)
        spelled = await self._spellings.of(target, package)
        if spelled not in (None, manifest.name.spelled):
            raise Conflict(
                f"the crate {spelled} is here, and {manifest.name.spelled} is the same name to cargo"
            )
        there = await self._catalog.find_file(target.id, path_of(manifest.name, manifest.version))
        if there is not None and there.version != manifest.version:
            raise Conflict(
                f"{manifest.name.spelled} {there.version} is here: {manifest.version} differs in build"
                " metadata only, which does not tell versions apart"
            )
        return package.revision

    async def _take(self, resource: Resource, target: Repository, manifest: Manifest, frames: Frames) -> None:
        size = await frames.length("crate")
        if size > self._settings.max_crate_size:
            raise TooLarge(self._settings.max_crate_size, "crate")
        expect = Expect(size=size, max_size=self._settings.max_crate_size)
        async with self._blobs.ingest(frames.rest(), expect) as new:
            async with self._blobs.local_copy(new.blob) as path:
                name, version = manifest.name.spelled, manifest.version
                unpacked, named = self._settings.max_unpacked_size, str(manifest.about.get("readme_file", ""))
                readme = await asyncio.to_thread(_check_crate, path, name, version, unpacked, named)
            path = path_of(manifest.name, manifest.version)
            files, ingested = [NewFile(path=path, media_type=MEDIA_TYPE, blob=new.blob)], [new]
            async with AsyncExitStack() as stack:
                if readme is not None:
                    beside = await stack.enter_async_context(self._blobs.ingest(readme.text, Expect()))
                    kind = MARKDOWN if readme.is_markdown else "text/plain"
                    files.append(NewFile(path=path + README, media_type=kind, blob=beside.blob))
                    ingested.append(beside)
                live = await self._publish(resource, target, manifest, files)
                for one, blob in zip(ingested, live, strict=True):
                    one.settle(blob)

    async def _publish(
        self, resource: Resource, target: Repository, manifest: Manifest, files: Sequence[NewFile]
    ) -> list[Blob]:
        """The rows; the live blobs. What may have changed while the file came is looked at again, and again
        when it changes before the rows are written."""
        document = manifest.document(files[0].blob.digest.encoded)
        for _ in range(_TRIES):
            seen = await self._check(resource, target, manifest)
            release = catalog.Release(
                repository_id=target.id,
                package=manifest.name,
                version=manifest.version,
                files=tuple(files),
                document=document,
                seen=seen,
            )
            try:
                return list(await self._catalog.publish(release, self._lease))
            except PackageChanged:
                continue
            except Conflict:
                there = await self._catalog.find_file(target.id, files[0].path)
                raise _already(manifest, is_there=there is not None) from None
        raise StorageBusy(f"{manifest.name.spelled} changes all the time")


class Frames:
    """The parts of a body."""

    def __init__(self, body: AsyncIterator[bytes]) -> None:
        self._body = body
        self._left = b""

    async def metadata(self) -> bytes:
        """The JSON. Raises BadRequest, TooLarge."""
        size = await self.length("metadata")
        if size > LARGEST_METADATA:
            raise TooLarge(LARGEST_METADATA, "the metadata of a crate")
        return await self._take(size, "metadata")

    async def length(self, what: str) -> int:
        """How long the next part says that it is."""
        return int.from_bytes(await self._take(4, f"length of the {what}"), "little")

    async def rest(self) -> AsyncIterator[bytes]:
        """All that comes after what was taken."""
        if self._left:
            yield self._left
        async for piece in self._body:
            yield piece

    async def _take(self, size: int, what: str) -> bytes:
        pieces, have = [self._left], len(self._left)
        while have < size:
            try:
                piece = await anext(self._body)
            except StopAsyncIteration:
                raise BadRequest(f"the body ends in the {what}: {have} of {size} bytes") from None
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self._left = data[size:]
        return data[:size]


def _check_crate(path: str, name: str, version: str, max_unpacked: int, readme: str) -> Readme | None:
    """In a thread: what reads archives is loaded with the first of them."""
    from nora.formats.cargo.archive import check_crate

    return check_crate(path, name, version, max_unpacked, readme)


def _already(manifest: Manifest, *, is_there: bool) -> Conflict:
    name, version = manifest.name.spelled, manifest.version
    if is_there:
        return Conflict(
            f"crate {name} {version} is published already; versions never change, publish a new one"
        )
    return Conflict(
        f"{name} {without_build(version)} was published before and deleted; it is never used again"
    )


def _warnings(manifest: Manifest, hidden: Sequence[str]) -> dict[str, list[str]]:
    other = []
    if hidden:
        other.append(
            f"{manifest.name.spelled} was served here from {', '.join(hidden)} before; now it comes from this"
            " registry alone, and what is there is not seen any more"
        )
    return {"invalid_categories": [], "invalid_badges": [], "other": other}
