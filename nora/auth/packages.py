"""Who owns which names, over HTTP, for administrators.

    GET  /api/v1/admin/packages?repository=internal&after=&limit=    the names that a hosted repository owns
    POST /api/v1/admin/packages/claim       {repository, name}   make one a hosted repository's
    POST /api/v1/admin/packages/release     {repository, name}   give one back to the upstreams
    GET  /api/v1/admin/packages/source?repository=internal&name=     where a name comes from

A name is owned from its first upload on, also when all of its versions are deleted. While it is, no upstream
is asked for it. A group stands for its member that takes writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from nora.auth.endpoints import ServerEndpoint
from nora.errors import BadRequest
from nora.http.context import RequestContext
from nora.http.fields import answering, read_fields, read_limit, text_of
from nora.http.router import Endpoint
from nora.observability.audit import note, note_claim

if TYPE_CHECKING:
    from nora.model import Repository
    from nora.resolve.ownership import Ownership

MOST_LISTED: Final = 1000


class PackageApi:
    """The endpoints."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        yield Endpoint("GET HEAD", "/api/v1/admin/packages", "admin", answering(self._list))
        yield Endpoint("POST", "/api/v1/admin/packages/claim", "admin", answering(self._claim))
        yield Endpoint("POST", "/api/v1/admin/packages/release", "admin", answering(self._release))
        yield Endpoint("GET HEAD", "/api/v1/admin/packages/source", "admin", answering(self._source))

    async def _list(self, context: RequestContext) -> object:
        name = context.parameter("repository")
        if not name:
            raise BadRequest("the query lacks repository")
        repository = self._ownership.hosted(name)
        limit = read_limit(context, MOST_LISTED)
        owned = await self._ownership.list(repository, context.parameter("after") or "", limit)
        return {"repository": repository.name, "owned": owned}

    async def _claim(self, context: RequestContext) -> object:
        repository, name = await self._named(context)
        note_claim(context.scope, repository.name, name)
        return {"repository": repository.name, "claimed": await self._ownership.claim(repository, name)}

    async def _release(self, context: RequestContext) -> object:
        repository, name = await self._named(context)
        return {"repository": repository.name, "released": await self._ownership.release(repository, name)}

    async def _named(self, context: RequestContext) -> tuple[Repository, str]:
        fields = await read_fields(context.request, frozenset({"repository", "name"}))
        repository = self._ownership.hosted(text_of(fields, "repository"))
        name = text_of(fields, "name")
        note(context.scope, "admin", repository.name, name)
        return repository, name

    async def _source(self, context: RequestContext) -> object:
        repository, name = context.parameter("repository"), context.parameter("name")
        if not repository or not name:
            raise BadRequest("the query lacks repository or name")
        found = await self._ownership.origin(self._ownership.repository(repository), name)
        return {
            "repository": repository,
            "name": found.name,
            "owned": found.is_owned,
            "owner": found.owner or None,
            "reserved": found.is_reserved,
            "sources": [{"url": url, "pinned": pinned} for url, pinned in found.sources],
            "passed": found.passed,
        }
