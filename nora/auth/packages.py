"""Who owns which names, over HTTP, for administrators.

    GET  /api/v1/admin/packages?repository=internal&after=&limit=    the names that a hosted repository owns
    POST /api/v1/admin/packages/release     {repository, name}   give one back to the upstreams

A name is owned from its first upload on, also when all of its versions are deleted. While it is, no upstream
is asked for it. A group stands for its member that takes writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final

from nora.auth.endpoints import ServerEndpoint
from nora.errors import BadRequest, NotFound, quoted
from nora.http.context import RequestContext
from nora.http.fields import answering, read_fields, text_of
from nora.http.router import Endpoint
from nora.observability.audit import note

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.model import Repository

MOST_LISTED: Final = 1000


class Ownership:
    """The names that hosted repositories own."""

    def __init__(
        self,
        catalog: Catalog,
        repositories: Mapping[str, Repository],
        folds: Mapping[str, Callable[[str], str]],
    ) -> None:
        """`folds` says by format how names are spelled (see `nora.formats.base.Format.fold`)."""
        self._catalog = catalog
        self._repositories = repositories
        self._folds = folds

    def hosted(self, name: str) -> Repository:
        """The hosted repository that a name means. Raises NotFound."""
        found = self._repositories.get(name)
        target = None if found is None else found.writable
        if target is None:
            raise NotFound(f"there is no repository {quoted(name)} that packages are uploaded to")
        return target

    async def list(self, repository: Repository, after: str, limit: int) -> list[str]:
        """Names after `after`, in byte order."""
        return await self._catalog.list_owned_packages(repository.id, after, limit)

    async def release(self, repository: Repository, name: str) -> str:
        """Give a name back to the upstreams; how it is spelled. Raises NotFound when it is not owned."""
        fold = self._folds.get(repository.format, str)
        spelled = fold(name)
        if not await self._catalog.release_package(repository.id, spelled):
            raise NotFound(f"{repository.name} owns no package {quoted(spelled)}")
        return spelled


class PackageApi:
    """The endpoints."""

    def __init__(self, ownership: Ownership) -> None:
        self._ownership = ownership

    def endpoints(self) -> Iterator[ServerEndpoint]:
        """For administrators."""
        yield Endpoint("GET HEAD", "/api/v1/admin/packages", "admin", answering(self._list))
        yield Endpoint("POST", "/api/v1/admin/packages/release", "admin", answering(self._release))

    async def _list(self, context: RequestContext) -> object:
        name, limit = context.parameter("repository"), context.parameter("limit") or str(MOST_LISTED)
        if not name:
            raise BadRequest("the query lacks repository")
        repository = self._ownership.hosted(name)
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST_LISTED):
            raise BadRequest(f"limit is a whole number from 1 to {MOST_LISTED}")
        owned = await self._ownership.list(repository, context.parameter("after") or "", int(limit))
        return {"repository": repository.name, "owned": owned}

    async def _release(self, context: RequestContext) -> object:
        fields = await read_fields(context.request, frozenset({"repository", "name"}))
        repository = self._ownership.hosted(text_of(fields, "repository"))
        name = text_of(fields, "name")
        note(context.scope, "admin", repository.name, name)
        return {"repository": repository.name, "released": await self._ownership.release(repository, name)}
