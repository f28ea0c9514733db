"""UploadEndpoint: PyPI's legacy upload API, as twine, uv, poetry, pdm, flit and hatch speak it.

The fields of the form come before the file; so who may not upload, what is there already and what cannot be
right is known before the file is read. The bytes are hashed while they are written, looked into when they are
durable, and visible when the rows are written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from blacksheep import Content, Response
from packaging.utils import canonicalize_version

from nora.auth.authorizer import Authorizer
from nora.blobs.base import Expect
from nora.catalog import records as catalog
from nora.catalog.records import Blob, NewBlob, NewFile, PackageFile
from nora.errors import BadRequest, Conflict, PackageChanged, StorageBusy, TooLarge
from nora.formats.base import Services
from nora.formats.pypi.errors import TEXT
from nora.formats.pypi.forms import (
    CHECKED,
    LARGEST_FIELDS,
    Fields,
    Release,
    check_digests,
    parse_release,
    read_fields,
)
from nora.formats.pypi.hosted import (
    METADATA,
    already_there,
    check_open,
    distributions,
    file_document,
    path_of,
    used_before,
)
from nora.formats.pypi.names import parse_filename
from nora.formats.pypi.resource import Resource
from nora.formats.pypi.settings import PypiSettings
from nora.http.body import content_length, stream_body
from nora.http.context import PackageContext
from nora.http.multipart import Part, boundary_of, parts
from nora.model import Repository

if TYPE_CHECKING:
    from nora.formats.pypi.metadata import Metadata
    from nora.formats.pypi.names import Distribution

_OCTETS: Final = "application/octet-stream"
_PLAIN: Final = "text/plain; charset=utf-8"
_TRIES: Final = 100
"""Each that fails is another upload of the project that did not."""


class UploadEndpoint:
    """The endpoint of uploads."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._claims = services.claims
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._lease = services.leases.seconds
        self._settings = services.settings(PypiSettings)
        self._idle_seconds = services.config.server.idle_timeout

    async def post(self, resource: Resource) -> Response:
        """Take a wheel or an sdist. The same file again is no error: clients retry."""
        target = resource.writable
        boundary = boundary_of(resource.request)
        limit = self._settings.max_file_size
        announced = content_length(resource.request)
        if announced is not None and announced > limit + LARGEST_FIELDS:
            raise TooLarge(limit, "file")
        body = stream_body(resource.request, limit=limit + LARGEST_FIELDS, idle_seconds=self._idle_seconds)
        fields = Fields()
        async with aclosing(parts(body, boundary)) as form:
            content = await read_fields(form, fields)
            if content is None:
                raise BadRequest("the form has no file: a field `content`")
            release = parse_release(fields, content.filename)
            await self._require(resource, release)
            if not await self._has(target, release, fields.get("sha256_digest").lower()):
                await self._take(target, release, fields, content, form)
                self._cache.forget_absences(release.project)
        resource.count_as("upload")
        hidden = await self._claims.hidden_sources(target, release.project)
        return Response(200, None, Content(TEXT, _done(release.project, hidden)))

    async def take_file(self, context: PackageContext, filename: str, body: AsyncIterable[bytes]) -> str:
        """Take a wheel or an sdist of which nothing is said but its name; the project. Raises NoraError."""
        distribution = parse_filename(filename)
        release = Release(distribution.project, distribution.version, distribution)
        await self._require(context, release)
        await self._has(context.writable, release, "")
        await self._take(context.writable, release, Fields(), body, None)
        self._cache.forget_absences(release.project)
        context.count_as("upload")
        return release.project

    async def _require(self, context: PackageContext, release: Release) -> None:
        """That somebody may upload it. Raises Denied."""
        context.audit("write", f"{release.project}/{release.filename}")
        self._authorizer.require(context.principal, "write", context.repository, release.project)
        await self._claims.require(context, release.project)

    async def _has(self, target: Repository, release: Release, told: str) -> bool:
        """Whether the file is there already, by what the form tells of it: its bytes need not be read then.

        Raises Conflict, Denied, TooLarge.
        """
        package = await self._catalog.find_package(target.id, release.project)
        if package is None:
            return False
        check_open(package)
        file = await self._catalog.find_file(target.id, path_of(release.project, release.filename))
        if file is not None and told:
            if told != file.blob.digest.encoded:
                raise already_there(release.filename)
            return True
        if file is None and release.distribution.kind == "sdist":
            check_sdist(await self._catalog.list_package_files(target.id, release.project), release)
        return False

    async def _take(
        self,
        target: Repository,
        release: Release,
        fields: Fields,
        content: AsyncIterable[bytes],
        form: AsyncIterator[Part] | None,
    ) -> None:
        expect = Expect(max_size=self._settings.max_file_size, also=CHECKED)
        async with self._blobs.ingest(aiter(content), expect) as new:
            if form is not None and await read_fields(form, fields) is not None:
                raise BadRequest("the form has more than one file")
            check_digests(fields, new.blob)
            async with self._blobs.local_copy(new.blob) as path:
                metadata = await asyncio.to_thread(_inspected, path, release.distribution)
            async with self._blobs.ingest(metadata.raw, Expect()) as beside:
                live = await self._publish(target, release, new.blob, beside.blob, metadata)
                new.settle(live[0])
                beside.settle(live[1])

    async def _check(self, target: Repository, release: Release, size: int) -> int:
        """Whether the project takes the file, and at which revision that was looked at. Raises Denied,
        BadRequest, TooLarge."""
        package = await self._catalog.find_package(target.id, release.project)
        if package is None:
            return catalog.NO_PACKAGE
        check_open(package)
        limit, is_sdist = self._settings.max_project_size, release.distribution.kind == "sdist"
        if limit or is_sdist:
            rows = await self._catalog.list_package_files(target.id, release.project)
            path = path_of(release.project, release.filename)
            if limit and sum(row.blob.size for row in rows if row.path != path) + size > limit:
                raise TooLarge(limit, f"the project {release.project}")
            if is_sdist:
                check_sdist(rows, release)
        return package.revision

    async def _publish(
        self, target: Repository, release: Release, blob: NewBlob, beside: NewBlob, metadata: Metadata
    ) -> list[Blob]:
        """The rows; the live blobs of the file and of its metadata.

        What may have changed while the file came - the status of the project, its files - is looked at again,
        and again when it changes before the rows are written.
        """
        path = path_of(release.project, release.filename)
        document = file_document(release.distribution.kind, metadata.requires_python, beside.digest.encoded)
        files = (
            NewFile(path=path, media_type=_OCTETS, blob=blob, document=document),
            NewFile(path=path + METADATA, media_type=_PLAIN, blob=beside),
        )
        for _ in range(_TRIES):
            seen = await self._check(target, release, blob.size)
            try:
                return await self._catalog.publish(
                    catalog.Release(
                        repository_id=target.id,
                        package=release.project,
                        version=release.version,
                        files=files,
                        seen=seen,
                    ),
                    self._lease,
                )
            except PackageChanged:
                continue
            except Conflict:
                there = await self._catalog.find_file(target.id, path)
                raise (used_before if there is None else already_there)(release.filename) from None
        raise StorageBusy(f"{release.project} changes all the time")


def check_sdist(rows: Sequence[PackageFile], release: Release) -> None:
    """A release has one sdist: installers could not say which of two is the right one. It does not matter how
    its version is spelled: `1.0.rc1` is `1.0rc1`, and installers take `1.0.0` for `1.0`."""
    wanted = canonicalize_version(release.version)
    for row, document in distributions(rows):
        other = row.path.rpartition("/")[2]
        if (
            document.get("kind") == "sdist"
            and canonicalize_version(row.version or "") == wanted
            and other != release.filename
        ):
            raise BadRequest(f"{release.project} {release.version} has an sdist already: {other}")


def _inspected(path: str, distribution: Distribution) -> Metadata:
    """In a thread: what reads distributions is loaded with the first of them."""
    from nora.formats.pypi.metadata import inspect

    return inspect(path, distribution)


def _done(project: str, hidden: Sequence[str]) -> bytes:
    """The answer to an upload, with a word about a name that others use as well."""
    if not hidden:
        return b"OK\n"
    return (
        f"OK\nwarning: {project} was served here from {', '.join(hidden)} before; now it comes from this"
        " registry alone, and what is there is not seen any more\n"
    ).encode()
