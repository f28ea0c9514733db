"""Listings: tags and images, in pages (distribution-spec end-8; docker's _catalog)."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from functools import partial

from blacksheep import Content, Response

from nora.errors import Blocked, PackageNotFound, quoted
from nora.formats.base import Services
from nora.formats.docker.authorizer import Authorizer
from nora.formats.docker.documents import (
    MAX_PAGE,
    next_link,
    parse_page_size,
    render_names,
)
from nora.formats.docker.names import Images
from nora.formats.docker.remote_listings import RemoteListings
from nora.formats.docker.resource import API_VERSION, Resource
from nora.formats.docker.upstream import Remotes
from nora.model import Repository
from nora.resolve import Candidate

_CHUNK = 1000
"""Rows read at once on the event loop."""
_LOOKED_AT = 64
"""Tags of which what they mean is read at once on the event loop: a millisecond."""

Page = Callable[[str, int], Awaitable[list[str]]]
"""Names after the first argument, at most so many, in byte order."""


class Listings:
    """The endpoints that list."""

    def __init__(self, services: Services, images: Images, authorizer: Authorizer, remotes: Remotes) -> None:
        self._remotes = remotes
        self._resolver = services.resolver
        self._remote = RemoteListings(services, remotes)
        self._images = images
        self._authorizer = authorizer
        self._catalog = services.catalog

    async def tags(self, resource: Resource) -> Response:
        """GET and HEAD of the tags of an image, a page at a time."""
        """`tags/list`: byte order, `last` is exclusive and need not exist."""
        image, size = resource.image, parse_page_size(resource.parameter("n"))  # before anybody is asked

        async def look(hosted: Repository) -> Page | None:
            self._catalog.blocks().check(hosted.id, image.package)
            held = await self._catalog.has_package(hosted.id, image.package)
            return self._tag_page(hosted.id, image.package) if held else None

        async def ask(candidate: Candidate) -> Page | None:
            tags = await self._remote.tags(candidate)
            return None if tags is None else _page_of(await self._remote.offered(candidate, tags))

        pages = await self._resolver.every_hosted(image.repository, look)
        pages += await self._resolver.every(await self._remotes.resolve(image), ask)
        if not pages:
            raise PackageNotFound(f"there is no image {quoted(image.full_name)}")
        return await self._names(resource, "tags", pages, size, name=image.full_name)

    async def catalog(self, resource: Resource) -> Response:
        """GET and HEAD of the images that hold a manifest, by their full names; those that may be read."""
        principal = await self._authorizer.authorize_listing(resource.request)
        size = parse_page_size(resource.parameter("n"))
        places = [("", self._images.default)]
        places += [(f"{name}/", repository) for name, repository in self._images.named.items()]
        pages = [
            self._image_page(number, prefix, partial(self._authorizer.may_read, principal, repository))
            for prefix, repository in places
            for number in repository.row_ids
        ]
        return await self._names(resource, "repositories", pages, size)

    async def _names(
        self, resource: Resource, key: str, pages: list[Page], size: int, **fields: str
    ) -> Response:
        last = resource.parameter("last") or ""
        names = await _merge(pages, last, size + 1) if size else []
        headers = [API_VERSION]
        if len(names) > size:
            del names[size:]
            headers.append(next_link(resource.request.scope["path"], n=min(size, MAX_PAGE), last=names[-1]))
        return Response(200, headers, Content(b"application/json", render_names(key, names, **fields)))

    def _tag_page(self, repository: int, package: str) -> Page:
        async def page(after: str, limit: int) -> list[str]:
            return await self._catalog.list_tags(repository, package, after, limit)

        async def without_blocked(after: str, limit: int) -> list[str]:
            found: list[str] = []
            while len(found) < limit and (tags := await page(after, min(_LOOKED_AT, limit - len(found)))):
                found += [tag for tag in tags if await self._is_offered(repository, package, tag)]
                after = tags[-1]
                await asyncio.sleep(0)  # let other requests in between
            return found

        is_plain = self._catalog.blocks().hidden(repository, package) is None
        return page if is_plain else without_blocked

    async def _is_offered(self, repository: int, package: str, tag: str) -> bool:
        try:
            return await self._catalog.find_tagged_file(repository, package, tag) is not None
        except Blocked:
            return False

    def _image_page(self, repository: int, prefix: str, may_read: Callable[[str], bool]) -> Page:
        async def page(after: str, limit: int) -> list[str]:
            if after.startswith(prefix):
                after = after[len(prefix) :]
            elif after > prefix:
                return []  # every name here sorts before it
            else:
                after = ""
            found: list[str] = []
            while len(found) < limit:  # a page is full even if most of what it passes is hidden
                names = await self._catalog.list_packages(repository, after, _CHUNK)
                blocks = self._catalog.blocks()
                found += [
                    prefix + name
                    for name in names
                    if may_read(name) and not (blocks and blocks.is_hidden(repository, name))
                ]
                if len(names) < _CHUNK:
                    break
                after = names[-1]
                await asyncio.sleep(0)  # let other requests in between
            return found[:limit]

        return page


def _page_of(names: list[str]) -> Page:
    """Of names that are in order."""

    async def page(after: str, limit: int) -> list[str]:
        start = bisect_right(names, after)
        return names[start : start + limit]

    return page


async def _merge(pages: list[Page], after: str, limit: int) -> list[str]:
    """The first `limit` names after `after` of several sorted listings, each once, read in small steps."""
    merged: list[str] = []
    for page in pages:
        names: list[str] = []
        cursor = after
        while len(names) < limit:
            step = await page(cursor, min(_CHUNK, limit - len(names)))
            names += step
            if len(step) < _CHUNK:
                break
            cursor = step[-1]
            await asyncio.sleep(0)  # let other requests in between
        merged = names if not merged else sorted({*merged, *names})[:limit]
    return merged
