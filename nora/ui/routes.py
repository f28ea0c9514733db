"""The table of pages, and who may open them.

`auth.public_web_ui`, or a repository that anybody may read, opens the pages to everybody; else whoever has no
session is led to the login. What a page shows is decided for each thing on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from functools import wraps
from typing import TYPE_CHECKING, Final

from blacksheep import Content, Response

from nora import __version__
from nora._speedups import COMPILED
from nora.auth.browser import BrowserSessions
from nora.config.login import CALLBACK
from nora.errors import NoraError, NotFound, Unauthenticated
from nora.http.encodings import choose_encoding
from nora.http.paths import Paths, Target
from nora.http.router import Endpoint, Router
from nora.ui.access import AccessPages
from nora.ui.account import AccountPages
from nora.ui.activity import Activity
from nora.ui.api_docs import ApiPages
from nora.ui.dashboard import Dashboard
from nora.ui.files import FilePages
from nora.ui.oidc import OidcPages
from nora.ui.operations import OPERATION, OperationPages
from nora.ui.packages import PackagePages
from nora.ui.rendering import Asset
from nora.ui.search import SearchPage
from nora.ui.server import ServerView
from nora.ui.shelves import Shelves
from nora.ui.upkeep import UpkeepPages
from nora.ui.uploads import UploadPages
from nora.ui.visit import FRAME_KEY, Visit
from nora.ui.webhooks import WebhookPages

if TYPE_CHECKING:
    from blacksheep import Request

    from nora.auth.administration import Administration
    from nora.auth.login import Login
    from nora.events.service import EventService
    from nora.formats.base import Services
    from nora.formats.operations import Operations
    from nora.http.api_document import ApiDocument
    from nora.model import Principal

MOUNT: Final = "/ui/"
_IMMUTABLE = (b"cache-control", b"public, max-age=31536000, immutable")
_SHORT = (b"cache-control", b"public, max-age=300")

Page = Callable[[Visit], Awaitable[Response]]


def build(
    services: Services,
    shelves: Shelves,
    server: ServerView,
    operations: Operations,
    document: ApiDocument,
    events: EventService,
    managed: Administration,
    login: Login | None = None,
) -> Pages:
    """The handler of all that is below `/ui/`. `login`: that by an issuer."""
    return Pages(services, shelves, server, operations, document, events, managed, login)


class Pages:
    """Answers requests for pages."""

    def __init__(
        self,
        services: Services,
        shelves: Shelves,
        server: ServerView,
        operations: Operations,
        document: ApiDocument,
        events: EventService,
        managed: Administration,
        login: Login | None,
    ) -> None:
        auth = services.config.auth
        self._shelves = shelves
        self._operations = operations
        self._sessions = BrowserSessions(services.authenticator, services.tokens)
        self._enabled = auth.enabled
        self._is_open = not auth.enabled or auth.public_web_ui or shelves.is_open_to_all()
        self._operation_pages = OperationPages(services, shelves, operations, self._sessions)
        self._activity = Activity(shelves, events.feed)
        self._webhooks = WebhookPages(events.webhooks, services.access, self._sessions)
        self._access_pages = AccessPages(shelves, self._sessions, services.authenticator, managed)
        account = AccountPages(self._sessions, login, enabled=auth.enabled)
        oidc = OidcPages(self._sessions, login)
        endpoints = (
            *self._endpoints(services, server, account, oidc),
            *ApiPages(document).endpoints(),
        )
        self._router: Router[Target, Visit] = Router(
            endpoints,
            split=Paths(one.path for one in endpoints).split,
            open_context=_open,
            authorize=self._authorize,
        )

    @property
    def endpoints(self) -> tuple[Endpoint[Visit], ...]:
        """See nora.http.router.Router.endpoints."""
        return self._router.endpoints

    async def __call__(self, request: Request) -> Response:
        """The answer; who has to log in is led there."""
        if request.scope["raw_path"] == MOUNT[:-1].encode():  # else links would be relative to what is above
            return Response(302, [(b"location", MOUNT[1:].encode())])
        try:
            return await self._router(request)
        except Unauthenticated:
            visit = Visit(request, None, None)
            return visit.redirect("login", next=visit.here)
        except NoraError:
            await self._frame_error(request)
            raise

    async def _frame_error(self, request: Request) -> None:
        """What is around the page of an error, also of one that was found before it was known who is
        looking."""
        if FRAME_KEY not in request.scope:
            visit = Visit(request, None, None)
            with suppress(NoraError):
                visit.principal = await self._sessions.identify(request)
            self._frame(visit)

    def _endpoints(
        self, services: Services, server: ServerView, account: AccountPages, oidc: OidcPages
    ) -> Iterator[Endpoint[Visit]]:
        uploads = UploadPages(services, self._shelves, self._sessions)
        files = FilePages(services.catalog, self._shelves, self._operations, uploads)
        packages = PackagePages(services, self._shelves, server, files, self._operations, uploads)
        operations = self._operation_pages
        access = self._access_pages
        upkeep = UpkeepPages(self._shelves, server.upkeep, self._sessions)
        dashboard = Dashboard(self._shelves, server, services.catalog, self._activity, access)
        pages: Mapping[str, Page] = {
            "/ui/": dashboard.page,
            "/ui/formats/{format}": packages.format,
            "/ui/packages/{repository}/{package...}": packages.package,
            "/ui/files/{repository}": files.page,
            "/ui/files/{repository}/{path...}": files.page,
            "/ui/activity": self._activity.page,
            "/ui/webhooks": self._webhooks.page,
            "/ui/search": SearchPage(self._shelves).page,
            "/ui/upkeep": upkeep.page,
            "/ui/upkeep/{subject}": upkeep.subject,
        }
        for path, page in pages.items():
            yield Endpoint("GET HEAD", path, "read", page)
        yield Endpoint("GET HEAD", f"{MOUNT}{OPERATION}", "read", operations.ask)
        yield Endpoint("POST", f"{MOUNT}{OPERATION}", "read", operations.perform)
        yield Endpoint("POST", "/ui/upkeep/{subject}", "read", upkeep.ask)
        yield Endpoint("GET HEAD", "/ui/upload/{repository}", "read", uploads.form)
        yield Endpoint("POST", "/ui/upload/{repository}", "read", uploads.take)
        yield Endpoint("POST", "/ui/webhooks/test", "read", self._webhooks.test)
        yield Endpoint("POST", "/ui/webhooks/retry", "read", self._webhooks.retry)
        yield from self._access_pages.endpoints()
        yield Endpoint("GET HEAD", "/ui/static/{file}", None, _static)
        for methods, path, page in (
            ("GET HEAD", "/ui/login", account.login),
            ("POST", "/ui/login", account.submit),
            ("GET HEAD", "/ui/login/oidc", oidc.begin),
            ("GET HEAD", CALLBACK, oidc.finish),
            ("POST", "/ui/logout", account.logout),
            ("POST", "/ui/preferences", account.prefer),
        ):
            yield Endpoint(methods, path, None, self._framed(page))

    def _framed(self, page: Page) -> Page:
        """A page for anybody."""

        @wraps(page)
        async def framed(visit: Visit) -> Response:
            self._frame(visit)
            return await page(visit)

        return framed

    async def _authorize(self, visit: Visit) -> Principal:
        """Who is looking. Raises Unauthenticated where nobody unknown may."""
        principal = visit.principal = await self._sessions.identify(visit.request)
        if principal.is_anonymous and not self._is_open:
            raise Unauthenticated("log in to see this page")
        self._frame(visit)
        return principal

    def _frame(self, visit: Visit) -> None:
        principal = visit.principal
        visit.frame |= {
            "nora_version": __version__,
            "speedups": "compiled" if COMPILED else "pure",
            "user": "" if principal.is_anonymous else principal.name,
            "form_key": "" if principal.is_anonymous else self._sessions.form_key(visit.request),
            "administrates": self._shelves.may_administrate(principal),
            "may_log_in": self._enabled and principal.is_anonymous,
            "pages": self._access_pages.open_to(principal),
            "done": self._operation_pages.done(visit),
            "nav": self._shelves.all() if self._is_open or not principal.is_anonymous else (),
        }
        visit.scope[FRAME_KEY] = visit.frame


def _open(request: Request, endpoint: Endpoint[Visit], target: Target) -> Visit:
    if target.repository is not None:
        raise NotFound("there is nothing here")
    return Visit(request, endpoint.action, target)


async def _static(visit: Visit) -> Response:
    """A file that pages are made with."""
    asset = Asset.of(visit.value("file"))
    encoding = choose_encoding(visit.header(b"accept-encoding"))
    is_current = visit.parameter("v") == asset.version
    headers = [_IMMUTABLE if is_current else _SHORT, (b"vary", b"Accept-Encoding"), *encoding.headers]
    return Response(200, headers, Content(asset.media_type, asset.variant(encoding)))
