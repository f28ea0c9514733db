"""Publishing: `PUT <module>/@v/<version>.zip`, or `PUT /go/upload`, where the zip says which version it is.

The zip is all that is sent. It is hashed while it is written, read through when it is durable, and visible
with what follows from it - `.mod`, `.info`, `.ziphash` - when the rows are written.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.blobs.base import Expect
from nora.catalog.records import Blob, NewBlob, NewFile, Release
from nora.errors import BadRequest, Conflict, TooLarge
from nora.formats.base import Services
from nora.formats.go.names import ModulePath, check_major, parse_version
from nora.formats.go.releases import version_file
from nora.formats.go.resource import Resource
from nora.formats.go.settings import GoSettings
from nora.http.body import content_length, stream_body
from nora.http.fields import json_answer
from nora.model import Action, Repository

ZIP: Final = "application/zip"
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
MEDIA_TYPES: Final = {"zip": ZIP, "mod": TEXT, "info": JSON, "ziphash": TEXT}
"""Of the files of a version, by how their names end."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A version that comes in."""

    module: ModulePath
    version: str
    h1: str
    go_mod: bytes
    go_mod_h1: str

    @property
    def beside(self) -> dict[str, bytes]:
        """The files beside the zip, by how their names end."""
        now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        info = orjson.dumps({"Version": self.version, "Time": now})
        return {"mod": self.go_mod, "info": info, "ziphash": self.h1.encode()}


class PublishEndpoint:
    """The endpoints that take a zip."""

    def __init__(self, services: Services, authorizer: Authorizer) -> None:
        self._authorizer = authorizer
        self._claims = services.claims
        self._catalog = services.catalog
        self._blobs = services.blobs
        self._cache = services.cache
        self._lease = services.leases.seconds
        self._max_size = services.settings(GoSettings).max_zip_size
        self._idle_seconds = services.config.server.idle_timeout

    async def put(self, resource: Resource) -> Response:
        """Take a version that the path names. The same bytes again are no error: clients retry."""
        if resource.kind != "zip":
            raise BadRequest("only the .zip of a version is sent: the other files follow from it")
        module, version = resource.module, parse_version(resource.version)
        check_major(module, version)
        await self._allow(resource, module, version)
        return await self._take(resource, (module, version))

    async def upload(self, resource: Resource) -> Response:
        """Take a version that the zip names."""
        return await self._take(resource, None)

    async def _allow(self, resource: Resource, module: ModulePath, version: str) -> None:
        """Raises Denied."""
        resource.audit("write", f"{module} {version}")
        action: Action = (
            "write" if "/" in module else "admin"
        )  # all below it is of the same people from then on
        self._authorizer.require(resource.principal, action, resource.repository, module)
        await self._claims.require(resource, module, also=module.related)

    async def _take(self, resource: Resource, named: tuple[ModulePath, str] | None) -> Response:
        target = resource.writable
        announced = content_length(resource.request)
        if announced is not None and announced > self._max_size:
            raise TooLarge(self._max_size, "zip of a module")
        body = stream_body(resource.request, limit=self._max_size, idle_seconds=self._idle_seconds)
        async with self._blobs.ingest(body, Expect(max_size=self._max_size)) as new:
            async with self._blobs.local_copy(new.blob) as path:
                if named is None:
                    named = await asyncio.to_thread(_root_of, path, self._max_size)
                    await self._allow(resource, *named)
                found = await asyncio.to_thread(_checked, path, *named, self._max_size)
            new.settle(await self._publish(target, found, new.blob))
        self._cache.forget_absences(found.module)
        resource.count_as("upload")
        hidden = await self._claims.hidden_sources(target, found.module)
        told = {"module": found.module, "version": found.version, "h1": found.h1}
        warnings = _warnings(found.module, hidden)
        return json_answer({**told, "go_mod_h1": found.go_mod_h1, "warnings": warnings}, 201)

    async def _publish(self, target: Repository, found: Publication, zipped: NewBlob) -> Blob:
        """The rows; the live blob of the zip."""
        module, version = found.module, found.version
        async with AsyncExitStack() as stack:
            files, beside = [_file(found, "zip", zipped)], []
            for kind, content in found.beside.items():
                one = await stack.enter_async_context(self._blobs.ingest(content, Expect()))
                beside.append(one)
                files.append(_file(found, kind, one.blob))
            release = Release(repository_id=target.id, package=module, version=version, files=tuple(files))
            try:
                live, *others = await self._catalog.publish(release, self._lease)
            except Conflict:
                there = await self._catalog.find_file(target.id, version_file(module, f"{version}.zip"))
                raise _already(module, version, is_there=there is not None) from None
            for one, blob in zip(beside, others, strict=True):
                one.settle(blob)
        return live


def _file(found: Publication, kind: str, blob: NewBlob) -> NewFile:
    path = version_file(found.module, f"{found.version}.{kind}")
    return NewFile(path=path, media_type=MEDIA_TYPES[kind], blob=blob)


def _root_of(path: str, max_unpacked: int) -> tuple[ModulePath, str]:
    """In a thread, as the next one: what reads archives is loaded with the first of them."""
    from nora.formats.go.archive import root_of

    return root_of(path, max_unpacked)


def _checked(path: str, module: ModulePath, version: str, max_unpacked: int) -> Publication:
    from nora.formats.go.archive import check_go_mod, check_module_zip, default_go_mod, go_mod_hash

    checked = check_module_zip(path, module, version, max_unpacked)
    if checked.go_mod is not None:
        check_go_mod(checked.go_mod, module, version)
    go_mod = default_go_mod(module) if checked.go_mod is None else checked.go_mod
    return Publication(module, version, checked.h1, go_mod, go_mod_hash(go_mod))


def _already(module: str, version: str, *, is_there: bool) -> Conflict:
    if is_there:
        return Conflict(f"{module} {version} is published already; versions never change, publish a new one")
    return Conflict(f"{module} {version} was published before and deleted; it is never used again")


def _warnings(module: str, hidden: list[str]) -> list[str]:
    if not hidden:
        return []
    where = ", ".join(hidden)
    return [
        f"{module} came from {where} before; what is there is not seen any more, but what is published here"
    ]
