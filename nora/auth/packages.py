"""Who owns which names, over HTTP, for administrators.

    GET  /api/v1/admin/packages?repository=internal&after=&limit=    the names that a hosted repository owns
    POST /api/v1/admin/packages/claim       {repository, name}   make one a hosted repository's
    POST /api/v1/admin/packages/release     {repository, name}   give one back to the upstreams
    GET  /api/v1/admin/packages/source?repository=internal&name=     where a name comes from

A name is owned from its first upload on, also when all of its versions are deleted. While it is, no upstream
is asked for it. A group stands for its member that takes writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypedDict

from nora.auth.endpoints import ServerEndpoint
from nora.errors import BadRequest
from nora.http.context import RequestContext
from nora.http.fields import PAGING, json_endpoint, read_fields, read_limit, text_of
from nora.http.operations import Parameter
from nora.observability.audit import note, note_claim

if TYPE_CHECKING:
    from nora.model import Action, Repository
    from nora.resolve.ownership import Ownership

MOST_LISTED: Final = 1000
_PATH: Final = "/api/v1/admin/packages"
_REPOSITORY: Final = Parameter("repository", "The name of a repository", needed=True)
_NAME: Final = Parameter("name", "The name of a package", needed=True)


class NameInRepository(TypedDict):
    """A name of a package."""

    repository: str
    name: str


class OwnedNames(TypedDict):
    """Names that a hosted repository owns."""

    repository: str
    owned: list[str]


class Claimed(TypedDict):
    """A name that is owned now, as it is spelled here."""

    repository: str
    claimed: str


class Released(TypedDict):
    """A name that is not owned any more, as it is spelled here."""

    repository: str
    released: str


class SourceOfName(TypedDict):
    """Somebody who is asked for a name."""

    url: str
    pinned: bool
    """Whether nobody else is."""


class Provenance(TypedDict):
    """Where a name comes from."""

    repository: str
    name: str
    owned: bool
    """Whether it is ours: no upstream is asked for it."""
    owner: str | None
    """The hosted repository that owns it."""
    reserved: bool
    """Whether the configuration says that it is ours."""
    sources: list[SourceOfName]
    passed: Sequence[str]
    """What the configuration leaves out."""


class PackageApi:
    """The endpoints."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        admin: Action = "admin"
        yield json_endpoint(
            "GET HEAD", _PATH, admin, OwnedNames, self._list, query=(_REPOSITORY, *PAGING), errors=(404,)
        )
        yield json_endpoint(
            "POST", f"{_PATH}/claim", admin, Claimed, self._claim, body=NameInRepository, errors=(404, 409)
        )
        yield json_endpoint(
            "POST",
            f"{_PATH}/release",
            admin,
            Released,
            self._release,
            body=NameInRepository,
            errors=(404, 409),
        )
        yield json_endpoint(
            "GET HEAD",
            f"{_PATH}/source",
            admin,
            Provenance,
            self._source,
            query=(_REPOSITORY, _NAME),
            errors=(404,),
        )

    async def _list(self, context: RequestContext) -> OwnedNames:
        """List the names that a hosted repository owns."""
        name = context.parameter("repository")
        if not name:
            raise BadRequest("the query lacks repository")
        repository = self._ownership.hosted(name)
        limit = read_limit(context, MOST_LISTED)
        owned = await self._ownership.list(repository, context.parameter("after") or "", limit)
        return {"repository": repository.name, "owned": owned}

    async def _claim(self, context: RequestContext) -> Claimed:
        """Make a name a hosted repository's."""
        repository, name = await self._named(context)
        return {"repository": repository.name, "claimed": await self.claim(context, repository, name)}

    async def claim(self, context: RequestContext, repository: Repository, name: str) -> str:
        """Make a name a hosted repository's, and tell the audit log; how it is spelled."""
        note(context.scope, "admin", repository.name, name)
        note_claim(context.scope, repository.name, name)
        return await self._ownership.claim(repository, name)

    async def _release(self, context: RequestContext) -> Released:
        """Give a name back to the upstreams."""
        repository, name = await self._named(context)
        return {"repository": repository.name, "released": await self.release(context, repository, name)}

    async def release(self, context: RequestContext, repository: Repository, name: str) -> str:
        """Give a name back, and tell the audit log; how it is spelled. Raises NotFound."""
        note(context.scope, "admin", repository.name, name)
        return await self._ownership.release(repository, name)

    async def _named(self, context: RequestContext) -> tuple[Repository, str]:
        fields = await read_fields(context.request, NameInRepository)
        repository = self._ownership.hosted(text_of(fields, "repository"))
        return repository, text_of(fields, "name")

    async def _source(self, context: RequestContext) -> Provenance:
        """Say where a name comes from."""
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
