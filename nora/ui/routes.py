"""The table of pages, and who may open them.

`auth.public_web_ui`, or a repository that anybody may read, opens the pages to everybody; else whoever has no
session is led to the login. What a page shows is decided for each thing on it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from blacksheep import Content, Response

from nora import __version__
from nora._speedups import COMPILED
from nora.auth.browser import BrowserSessions
from nora.errors import NoraError, NotFound, Unauthenticated
from nora.http.encodings import choose_encoding
from nora.http.paths import Paths, Target
from nora.http.router import Endpoint, Router
from nora.ui.account import AccountPages
from nora.ui.dashboard import Dashboard
from nora.ui.files import FilePages
from nora.ui.packages import PackagePages
from nora.ui.rendering import Asset
from nora.ui.search import SearchPage
from nora.ui.server import ServerView
from nora.ui.shelves import Shelves
from nora.ui.visit import FRAME_KEY, Visit

if TYPE_CHECKING:
    from blacksheep import Request

    from nora.formats.base import Format, Services
    from nora.model import Principal, Repository

MOUNT: Final = "/ui/"
_IMMUTABLE = (b"cache-control", b"public, max-age=31536000, immutable")
_SHORT = (b"cache-control", b"public, max-age=300")

Page = Callable[[Visit], Awaitable[Response]]


def build(
    services: Services,
    formats: Iterable[Format],
    repositories: Mapping[str, Repository],
    server: ServerView,
) -> Pages:
    """The handler of all that is below `/ui/`."""
    return Pages(services, Shelves(services, formats, repositories), server)


class Pages:
    """Answers requests for pages."""

    def __init__(self, services: Services, shelves: Shelves, server: ServerView) -> None:
        auth = services.config.auth
        self._shelves = shelves
        self._sessions = BrowserSessions(services.authenticator, services.tokens)
        self._enabled = auth.enabled
        self._is_open = (
            not auth.enabled
            or auth.public_web_ui
            or any(
                services.access.readable_by_all(repository)
                for shelf in shelves.all()
                for repository in shelf.repositories
            )
        )
        account = AccountPages(self._sessions, enabled=auth.enabled)
        endpoints = tuple(self._endpoints(services, server, account))
        self._router: Router[Target, Visit] = Router(
            endpoints,
            split=Paths(one.path for one in endpoints).split,
            open_context=_open,
            authorize=self._authorize,
        )

    def routes(self) -> Iterator[tuple[str, str]]:
        """See nora.http.router.Router.routes."""
        return self._router.routes()

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
        self, services: Services, server: ServerView, account: AccountPages
    ) -> Iterator[Endpoint[Visit]]:
        files = FilePages(services.catalog, self._shelves)
        packages = PackagePages(services, self._shelves, server, files)
        pages: Mapping[str, Page] = {
            "/ui/": Dashboard(self._shelves, server).page,
            "/ui/formats/{format}": packages.format,
            "/ui/packages/{repository}/{package...}": packages.package,
            "/ui/files/{repository}": files.page,
            "/ui/files/{repository}/{path...}": files.page,
            "/ui/search": SearchPage(services.catalog, self._shelves).page,
        }
        for path, page in pages.items():
            yield Endpoint("GET HEAD", path, "read", page)
        yield Endpoint("GET HEAD", "/ui/static/{file}", None, _static)
        for methods, path, page in (
            ("GET HEAD", "/ui/login", account.login),
            ("POST", "/ui/login", account.submit),
            ("POST", "/ui/logout", account.logout),
            ("POST", "/ui/preferences", account.prefer),
        ):
            yield Endpoint(methods, path, None, partial(self._framed, page))

    async def _framed(self, page: Page, visit: Visit) -> Response:
        """A page for anybody."""
        self._frame(visit)
        return await page(visit)

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
            "may_log_in": self._enabled and principal.is_anonymous,
            "nav": self._shelves.all() if self._is_open or not principal.is_anonymous else (),
        }
        visit.scope[FRAME_KEY] = visit.frame


def _open(request: Request, endpoint: Endpoint[Visit], target: Target) -> Visit:
    if target.repository is not None:
        raise NotFound("there is nothing here")
    return Visit(request, endpoint.action, target)


async def _static(visit: Visit) -> Response:
    asset = Asset.of(visit.value("file"))
    encoding = choose_encoding(visit.header(b"accept-encoding"))
    is_current = visit.parameter("v") == asset.version
    headers = [_IMMUTABLE if is_current else _SHORT, (b"vary", b"Accept-Encoding"), *encoding.headers]
    return Response(200, headers, Content(asset.media_type, asset.variant(encoding)))
