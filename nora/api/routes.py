"""The table of the API, and who may ask it.

`read` is for whoever is known, and for everybody where anybody may read something (`auth.public_web_ui` opens
what describes the API as well): what an answer holds is decided for each thing in it. `admin` is for
administrators.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

from blacksheep import Response

from nora.api.audit import AuditApi
from nora.api.call import Call
from nora.api.directories import DirectoryApi
from nora.api.finder import Finder
from nora.api.history import HistoryApi
from nora.api.jobs import JobApi
from nora.api.operations import OperationApi
from nora.api.packages import PackageApi
from nora.api.repositories import RepositoryApi
from nora.api.search import SearchApi
from nora.api.server import ServerApi
from nora.api.users import UserApi
from nora.api.versions import VersionApi
from nora.errors import NotFound, Unauthenticated
from nora.http.operations import Operation
from nora.http.paths import Paths, Target
from nora.http.router import Endpoint, Router

if TYPE_CHECKING:
    from blacksheep import Request

    from nora.auth.administration import Administration
    from nora.auth.authorizer import Authorizer
    from nora.auth.endpoints import ServerEndpoint
    from nora.formats.base import Services
    from nora.formats.operations import Operations
    from nora.http.api_document import ApiDocument
    from nora.model import Principal
    from nora.ui.server import ServerView
    from nora.ui.shelves import Shelves

MOUNT: Final = "/api/"
DOCS_MOUNT: Final = "/api-docs/"
_DOCUMENT: Final = "/api-docs/openapi.json"


def build(
    services: Services,
    shelves: Shelves,
    server: ServerView,
    authorizer: Authorizer,
    operations: Operations,
    document: ApiDocument,
    managed: Administration,
    landed: Iterable[ServerEndpoint],
) -> Router[Target, Call]:
    """The handler of all that is below `/api/` and `/api-docs/`; `landed` are the endpoints that other rooms
    have."""
    finder = Finder(services, shelves)
    return Api(services, shelves, authorizer, document).router(
        (
            *landed,
            *ServerApi(shelves, server).endpoints(),
            *RepositoryApi(shelves, server).endpoints(),
            *PackageApi(services, shelves, finder).endpoints(),
            *VersionApi(services, finder).endpoints(),
            *DirectoryApi(services.catalog, shelves).endpoints(),
            *OperationApi(operations, shelves).endpoints(),
            *SearchApi(shelves.search).endpoints(),
            *HistoryApi(services.catalog, shelves).endpoints(),
            *UserApi(managed.users, enabled=services.authenticator.enabled).endpoints(),
            *JobApi(server.upkeep.requested).endpoints(),
            *AuditApi(managed.audit, managed.audit_mode).endpoints(),
        )
    )


class Api:
    """Who may ask the endpoints, and their description."""

    def __init__(
        self, services: Services, shelves: Shelves, authorizer: Authorizer, document: ApiDocument
    ) -> None:
        self._authenticator = services.authenticator
        self._authorizer = authorizer
        self._document = document
        self._is_open = shelves.is_open_to_all()
        self._describes_to_all = self._is_open or services.config.auth.public_web_ui

    def router(self, others: Iterable[Endpoint[Call]]) -> Router[Target, Call]:
        """Who answers."""
        endpoints = (*others, *self._endpoints())
        return Router(
            endpoints,
            split=Paths(one.path for one in endpoints).split,
            open_context=_open,
            authorize=self._authorize,
            otherwise="/api-docs",
        )

    def _endpoints(self) -> Iterator[Endpoint[Call]]:
        page, told = Operation(status=302), Operation(media_type="application/json", errors=(304,))
        yield Endpoint("GET HEAD", "/api-docs", None, _read_about, told=page)
        yield Endpoint("GET HEAD", _DOCUMENT, "read", self._describe, told=told)

    async def _describe(self, call: Call) -> Response:
        """This document."""
        return await self._document.answer(call)

    async def _authorize(self, call: Call) -> Principal:
        """Who is asking. Raises Unauthenticated, Denied."""
        if call.action != "read":
            return await self._authorizer.authorize(call)
        is_open = self._describes_to_all if call.target.pattern == _DOCUMENT else self._is_open
        principal = await self._authenticator.identify(call.request, allow_foreign=is_open)
        if principal.is_anonymous and self._authenticator.enabled and not is_open:
            raise Unauthenticated("authentication is required: a token, or a user with a password")
        return principal


async def _read_about(call: Call) -> Response:
    """Where people read about the API: a page of the web pages, whose sessions it takes."""
    up = "../" if call.target.is_directory else ""
    return Response(302, [(b"location", f"{up}ui/api-docs".encode())])


def _open(request: Request, endpoint: Endpoint[Call], target: Target) -> Call:
    if target.repository is not None:
        raise NotFound("there is nothing here; see /api-docs for what is")
    call = Call(request, endpoint.action, target)
    if endpoint.action == "admin":  # also when it is refused
        call.audit("admin", endpoint.path)
    return call
