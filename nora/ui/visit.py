"""A request for a page: who is looking, in which language and colours, and where the other pages are from
here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

from blacksheep import Content, Response

from nora.auth.browser import read_cookies
from nora.errors import NoraError, NotFound
from nora.http.context import RequestContext
from nora.observability.logs import REQUEST_ID
from nora.ui.languages import NAMES, Language, choose
from nora.ui.rendering import Asset, render

if TYPE_CHECKING:
    from blacksheep import Request

    from nora.http.paths import Target
    from nora.model import Action

LANGUAGE_COOKIE: Final = "nora_lang"
THEME_COOKIE: Final = "nora_theme"
FRAME_KEY: Final = "nora.ui.frame"
"""Where what is around the page is left in the scope of a request, for the page of an error."""
THEMES: Final = ("auto", "light", "dark")
_NO_STORE = (b"cache-control", b"no-store")
_VARY = (b"vary", b"Cookie, Accept-Language")
_HTML = b"text/html; charset=utf-8"
_inside = re.compile(r"[A-Za-z0-9@%._~+,;=&?-][A-Za-z0-9@%._~+,;=&?/-]*").fullmatch


class Visit(RequestContext):
    """A request for a page."""

    __slots__ = ("frame", "language", "root", "target", "theme")

    def __init__(self, request: Request, action: Action | None, target: Target | None) -> None:
        super().__init__(request, action)
        self.target = target
        self.root = root_of(self.scope["raw_path"])
        """Where the first page is, relative to this one."""
        cookies = read_cookies(request)
        accepted = self.header(b"accept-language") or ""
        self.language: Language = choose((self._lang(), cookies.get(LANGUAGE_COOKIE)), accepted)
        theme = cookies.get(THEME_COOKIE)
        self.theme = theme if theme in THEMES else "auto"
        self.frame: dict[str, Any] = {
            "nav": (),
            "user": "",
            "form_key": "",
            "may_log_in": False,
            "done": None,
            "administrates": False,
            "pages": (),
        }
        """What is around the page."""

    def _lang(self) -> str | None:
        try:
            return self.parameter("lang")
        except NoraError:
            return None

    def value(self, name: str) -> str:
        """A part of the path."""
        return "" if self.target is None else self.target.get(name)

    def text(self, name: str, longest: int = 256) -> str:
        """A parameter of the query, cut where it is longer than any name."""
        return (self.parameter(name) or "")[:longest]

    @property
    def here(self) -> str:
        """This page, relative to the first one."""
        path = self.scope["raw_path"].decode("latin-1").partition("/ui/")[2]
        query = self.scope["query_string"].decode("latin-1")
        return inside(f"{path}?{query}" if query else path)

    def url(self, path: str = "", **query: object) -> str:
        """Of another page, relative to this one."""
        pairs = {name: value for name, value in query.items() if value not in (None, "")}
        return self.root + quote(path, safe="/@+~") + (f"?{urlencode(pairs)}" if pairs else "")

    @property
    def is_tls(self) -> bool:
        """Whether browsers speak TLS to this server."""
        return self.site_url.startswith("https:")

    def page(self, template: str, *, status: int = 200, **values: Any) -> Response:
        """A page that nobody keeps; `here`: where it is come back to, if that is elsewhere."""
        language = self.language
        here = values.pop("here", self.here)
        text = render(
            template,
            **self.frame,
            **values,
            _=language.text,
            n=language.plural,
            lang=language,
            languages=NAMES,
            theme=self.theme,
            url=self.url,
            here=here,
            asset=lambda name: f"{self.root}static/{name}?v={Asset.of(name).version}",
            request_id=REQUEST_ID.get(),
        )
        return Response(status, [_NO_STORE, _VARY], Content(_HTML, text.encode()))

    def redirect(self, path: str, **query: object) -> Response:
        """To another page."""
        return Response(303, [_NO_STORE, (b"location", self.url(path, **query).encode())])


def root_of(raw_path: bytes) -> str:
    """The first page, relative to a path that browsers see with anything in front of it."""
    depth = raw_path.partition(b"/ui/")[2].count(b"/")
    return "../" * depth or "./"


def inside(text: str) -> str:
    """A page relative to the first one, as a form or an address gives it back; empty for whatever leads
    elsewhere."""
    dots = text.lower().replace("%2e", ".")  # browsers go up by either
    return text if _inside(text) and "//" not in text and ".." not in dots else ""


def render_error(error: NoraError, request: Request) -> Response:
    """An error as a page: what happened, whose it is, what to do."""
    visit = Visit(request, None, None)
    visit.frame |= visit.scope.get(FRAME_KEY, {})
    searched = ""
    if isinstance(error, NotFound):
        parts = [part for part in request.scope["path"].split("/")[3:] if part]
        searched = parts[-1][:100] if parts else ""
    return visit.page(
        "error.html", status=error.status, error_status=error.status, message=str(error), searched=searched
    )
