"""Who owns which names, over HTTP, for administrators.

    GET  /api/v1/admin/packages?repository=internal&after=&limit=    the names that a hosted repository owns
    POST /api/v1/admin/packages/release     {repository, name}   give one back to the upstreams

A name is owned from its first upload on, also when all of its versions are deleted. While it is, no upstream
is asked for it. A group stands for its member that takes writes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qs

from blacksheep import Request, Response, Router

from nora.auth.fields import Fields, json_answer, read_fields, text_of
from nora.errors import BadRequest, NotFound, quoted
from nora.observability.audit import note

if TYPE_CHECKING:
    from nora.auth.access import Access
    from nora.auth.authenticator import Authenticator
    from nora.catalog.base import Catalog
    from nora.model import Principal, Repository

MOST_LISTED: Final = 1000
_LIST, _RELEASE = "/api/v1/admin/packages", "/api/v1/admin/packages/release"


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
    """The endpoints; what they need is there when the server has started."""

    def __init__(
        self,
        authenticator: Callable[[], Authenticator],
        access: Access,
        ownership: Callable[[], Ownership],
    ) -> None:
        self._authenticator = authenticator
        self._access = access
        self._ownership = ownership

    def add_to(self, router: Router) -> None:
        """Register the routes; BlackSheep wants plain functions."""
        router.add_get(_LIST, _plain(self._list))
        router.add_post(_RELEASE, _plain(self._release))

    async def _list(self, request: Request) -> object:
        await self._admit(request, "packages")
        query = parse_qs(request.scope["query_string"].decode("latin-1"))
        ownership = self._ownership()
        repository = ownership.hosted(_parameter(query, "repository"))
        limit = _parameter(query, "limit", str(MOST_LISTED))
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit[:9]) <= MOST_LISTED):
            raise BadRequest(f"limit is a whole number from 1 to {MOST_LISTED}")
        after = _parameter(query, "after", "")
        return {"repository": repository.name, "owned": await ownership.list(repository, after, int(limit))}

    async def _release(self, request: Request) -> object:
        await self._admit(request, "packages")
        fields: Fields = await read_fields(request, frozenset({"repository", "name"}))
        ownership = self._ownership()
        repository = ownership.hosted(text_of(fields, "repository"))
        name = text_of(fields, "name")
        _note(request, repository.name, name)
        return {"repository": repository.name, "released": await ownership.release(repository, name)}

    async def _admit(self, request: Request, what: str) -> Principal:
        principal = await self._authenticator().identify(request)
        _note(request, "", what)
        self._access.require(principal, "admin", None, None)
        return principal


def _plain(endpoint: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return json_answer(await endpoint(request))

    return answer


def _parameter(query: Mapping[str, list[str]], name: str, default: str | None = None) -> str:
    values = query.get(name, [] if default is None else [default])
    if not values:
        raise BadRequest(f"the query lacks {name}")
    return values[0]


def _note(request: Request, repository: str, name: str) -> None:
    note(cast("dict[str, Any]", request.scope), "admin", repository, name)
