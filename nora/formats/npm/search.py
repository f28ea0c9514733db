"""`npm search`: packages whose names have all words of the query, hosted or cached here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final

import orjson
from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.errors import BadRequest, Blocked
from nora.formats.base import Services
from nora.formats.npm.documents import Part, find_version, tags_of
from nora.formats.npm.hosted import iso_time
from nora.formats.npm.names import PackageName
from nora.formats.npm.packument import Packument, weight
from nora.formats.npm.resource import Resource
from nora.formats.npm.sources import Finder, with_digests
from nora.formats.npm.upstream import Index, document_path
from nora.formats.sources import HostedPart
from nora.http.fields import json_answer
from nora.model import Principal, Repository
from nora.proxy.offload import offload
from nora.resolve import Candidate
from nora.resolve.listing import Names

MOST_FOUND: Final = 250
USUALLY_FOUND: Final = 20
LONGEST_QUERY: Final = 200
_SHOWN: Final = ("name", "version", "description", "keywords", "author", "license")
_QUALIFIERS: Final = ("author:", "maintainer:", "keywords:", "scope:", "not:", "is:", "boost-exact:")


class Search:
    """The endpoint."""

    def __init__(self, services: Services, authorizer: Authorizer, finder: Finder, index: Index) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._resolver = services.resolver
        self._finder = finder
        self._index = index
        self._listed = Names(services.catalog)
        self._render_cache = services.render_cache

    async def get(self, resource: Resource) -> Response:
        """Search packages. No upstream is asked for anything."""
        query = resource.parameter("text") or ""
        if len(query) > LONGEST_QUERY:
            raise BadRequest(f"text has at most {LONGEST_QUERY} characters")
        words = [word.lower() for word in query.split() if not word.startswith(_QUALIFIERS)]
        size = min(_number(resource, "size", USUALLY_FOUND), MOST_FOUND)
        first = _number(resource, "from", 0)
        names = [
            name
            for name in await self._names(resource.repository, resource.principal)
            if all(word in name.lower() for word in words)
        ]
        names.sort(key=lambda name: (name not in words, name))
        objects = []
        for name in names[first : first + size]:
            with suppress(Blocked):  # since they were listed
                if found := await self._found(resource.repository, PackageName(name)):
                    objects.append(orjson.Fragment(found))
        return json_answer({"objects": objects, "total": len(names), "time": iso_time(time.time())})

    async def _names(self, repository: Repository, principal: Principal) -> Iterable[str]:
        names = await self._listed.of(repository)
        if not principal.scopes:
            return names
        return [name for name in names if self._authorizer.may_read(principal, repository, name)]

    async def _found(self, repository: Repository, name: PackageName) -> bytes | None:
        """What a search shows of a package, as JSON; empty where nothing of it is offered."""

        async def look(hosted: Repository) -> bytes | None:
            package = await self._catalog.find_package(hosted.id, name)
            if package is None or not await self._finder.has_versions(hosted, name):
                return None
            part = HostedPart(hosted, package, self._catalog.blocks().hidden(hosted.id, name))
            return await self._shown(name, part.key, lambda: self._finder.hosted(part))

        async def held(candidate: Candidate) -> bytes | None:
            source = candidate.source
            cached = await self._catalog.find_cached(source.id, document_path(name))
            if cached is None:
                return None
            hidden = self._catalog.blocks().hidden(source.id, name)

            async def read() -> Part:
                blocked = await with_digests(self._catalog, source.id, name, hidden)
                return Part(await self._index.stored(cached.blob), None, blocked)

            return await self._shown(name, (cached.blob.id, hidden and hidden.key), read)

        found = await self._resolver.find_hosted(repository, look)
        if found is None:
            found = await self._resolver.held(await self._resolver.resolve(repository, name), held)
        return found

    async def _shown(
        self, name: PackageName, key: tuple[object, ...], read: Callable[[], Awaitable[Part]]
    ) -> bytes:
        async def make() -> bytes:
            part = await read()
            work = weight(part.stored) if part.hidden else len(part.stored)
            return await offload(shown, name, part, weight=work)

        return await self._render_cache.piece(("found", name, key), make)


def shown(name: str, part: Part) -> bytes:
    """What a search shows of a package in its stored form, as JSON; empty where nothing is offered."""
    latest = tags_of((part,)).get("latest")
    if latest is None:
        return b""
    manifest, about = find_version(name, latest, (part,)).manifest, Packument(part.stored).about
    times = about.get("time")
    package: dict[str, Any] = {key: manifest[key] for key in _SHOWN if key in manifest}
    package["scope"] = PackageName(name).scope.removeprefix("@") or "unscoped"
    package["date"] = times.get(latest) if isinstance(times, dict) else None
    package["links"] = {key: manifest[key] for key in ("homepage",) if isinstance(manifest.get(key), str)}
    maintainers = about.get("maintainers")
    people = maintainers if isinstance(maintainers, list) else []
    package["maintainers"] = [
        {"username": one.get("name"), "email": one.get("email", "")}
        for one in people
        if isinstance(one, dict)
    ]
    package["publisher"] = next(iter(package["maintainers"]), {"username": "", "email": ""})
    detail = {"quality": 1.0, "popularity": 1.0, "maintenance": 1.0}
    return orjson.dumps({"package": package, "score": {"final": 1.0, "detail": detail}, "searchScore": 1.0})


def _number(resource: Resource, name: str, otherwise: int) -> int:
    text = resource.parameter(name)
    if text is None:
        return otherwise
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise BadRequest(f"{name} is a whole number")
    return int(text)
