"""The API, to read about and to try: Swagger UI, out of its wheel, on the document of this server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nora.http.application import SECURITY_HEADERS, SECURITY_KEY
from nora.http.router import Endpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from blacksheep import Response

    from nora.http.api_document import ApiDocument
    from nora.ui.visit import Visit

_POLICY: Final = b"content-security-policy"
_HEADERS: Final = tuple(
    (name, value + b"; img-src 'self' data:" if name == _POLICY else value)
    for name, value in SECURITY_HEADERS
)
"""Its style sheet has small pictures in it."""


class ApiPages:
    """The page."""

    def __init__(self, document: ApiDocument) -> None:
        self._document = document

    def endpoints(self) -> Iterator[Endpoint[Visit]]:
        """For whoever may open pages."""
        yield Endpoint("GET HEAD", "/ui/api-docs", "read", self.page)
        yield Endpoint("GET HEAD", "/ui/openapi.json", "read", self.describe)

    async def page(self, visit: Visit) -> Response:
        """The API, to read about and to try."""
        visit.scope[SECURITY_KEY] = _HEADERS
        return visit.page("api_docs.html")

    async def describe(self, visit: Visit) -> Response:
        """The document of the API, for the session of who looks at the page. It is as far below the root as
        that for programs, so that its addresses are right."""
        return await self._document.answer(visit)
