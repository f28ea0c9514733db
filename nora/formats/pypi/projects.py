"""The simple API: the page of a project and the list of projects (PEP 503, 691, 700, 792).

A page that was made before is found by what it depends on, and sent as it is: nothing is parsed, rendered or
compressed on the way.
"""

from __future__ import annotations

from collections.abc import Sequence

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.formats.base import Services
from nora.formats.pypi.index import weight
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.pages import PageType, negotiate, render, render_list, render_pieces
from nora.formats.pypi.resource import Resource
from nora.formats.pypi.sources import Finder, combined
from nora.http.encodings import Encoding, compress, compress_pieces
from nora.http.render_cache import VARY_ALL
from nora.model import Principal, Repository
from nora.proxy.offload import SMALL_BYTES, offload
from nora.resolve.listing import Names


class Projects:
    """The endpoints of pages."""

    def __init__(self, services: Services, authorizer: Authorizer, finder: Finder) -> None:
        self._authorizer = authorizer
        self._finder = finder
        self._render_cache = services.render_cache
        self._listed = Names(services.catalog)

    async def page(self, resource: Resource) -> Response:
        """GET and HEAD of a project; its canonical address is its normalized name with a slash."""
        target, project = resource.target, resource.project
        if target.get("project") != project or not target.is_directory:
            return _redirect(resource)
        page_type = _page_type(resource)
        sources = await self._finder.find(resource.repository, project)

        async def make(encoding: Encoding) -> bytes:
            parts = await self._finder.stored(project, sources)
            parts += [part.additions for part in sources.cached]
            return await _worked(page_type, encoding, len(sources.cached), parts)

        return await self._render_cache.variant(
            resource,
            ("simple", sources.key),
            make,
            media_type=page_type.content_type,
            headers=sources.headers(public=self._authorizer.is_public(resource.repository)),
            vary=VARY_ALL,
        )

    async def list(self, resource: Resource) -> Response:
        """GET and HEAD of the names of all projects that are hosted or cached here, and may be read."""
        if not resource.target.is_directory:
            return _redirect(resource)
        page_type = _page_type(resource)
        names = await self._names(resource.repository, resource.principal)

        async def make(encoding: Encoding) -> bytes:
            return await offload(make_list, names, page_type.value, encoding.value)

        public = b"public" if self._authorizer.is_public(resource.repository) else b"private"
        return await self._render_cache.variant(
            resource,
            ("list", names),
            make,
            media_type=page_type.content_type,
            headers=((b"cache-control", b"%b, max-age=60" % public),),
            vary=VARY_ALL,
        )

    async def _names(self, repository: Repository, principal: Principal) -> Sequence[str]:
        """What the principal may read."""
        names = await self._listed.of(repository)
        if not principal.scopes:
            return names
        return [name for name in names if self._authorizer.may_read(principal, repository, name)]


async def _worked(page_type: PageType, encoding: Encoding, cached: int, parts: list[bytes]) -> bytes:
    work = max(sum(map(len, parts)), sum(map(weight, parts[: len(parts) - cached])))
    return await offload(make_page, page_type.value, encoding.value, cached, *parts, weight=work)


def make_page(page_type: str, encoding: str, cached: int, *parts: bytes) -> bytes:
    """A variant of the page of a project. `parts` are its sources in their stored form, then what is to be
    added to the last `cached` ones. A function of bytes, which may run in another process."""
    first = len(parts) - cached
    project = combined(parts[:first], parts[first:])
    if sum(map(len, parts)) <= SMALL_BYTES:
        return compress(render(project, PageType(page_type)), Encoding(encoding))
    return compress_pieces(render_pieces(project, PageType(page_type)), Encoding(encoding))


def make_list(names: Sequence[str], page_type: str, encoding: str) -> bytes:
    """A variant of the list of projects."""
    return compress(render_list(names, PageType(page_type)), Encoding(encoding))


def _page_type(resource: Resource) -> PageType:
    return negotiate(resource.accept, resource.parameter("format") or None)


def _redirect(resource: Resource) -> Response:
    """To the canonical address, relative to the one that was asked for: whatever is in front of this server
    keeps its own prefix."""
    target = resource.target
    up = "../" if target.is_directory else ""
    query = resource.scope["query_string"]
    location = f"{up}{ProjectName(resource.project) or 'simple'}/".encode() + (b"?" + query if query else b"")
    return Response(301, [(b"location", location), (b"cache-control", b"no-cache"), VARY_ALL])
