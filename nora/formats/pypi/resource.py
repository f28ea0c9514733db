"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import parse_qs

from blacksheep import Request, Response

from nora.errors import MethodNotAllowed
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.paths import Target
from nora.model import Action, Principal, Repository
from nora.observability.audit import note


class Resource(NamedTuple):
    """A request for the thing that its path names."""

    request: Request
    repository: Repository
    target: Target
    project: ProjectName
    """Normalized; empty where the path names none."""
    principal: Principal
    """Who is asking, and may."""

    @property
    def writable(self) -> Repository:
        """The repository that writes go to. Raises MethodNotAllowed where there is none."""
        target = self.repository.writable
        if target is None:
            message = f"repository {self.repository.name} takes no writes"
            raise MethodNotAllowed(("GET", "HEAD"), message)
        return target

    def header(self, name: bytes) -> str | None:
        """A request header, name in lower case."""
        value = self.request.get_first_header(name)
        return value.decode("latin-1") if value is not None else None

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter."""
        query = self.scope["query_string"]
        found = parse_qs(query.decode("latin-1")).get(name) if query else None
        return found[0] if found else None

    @property
    def scope(self) -> dict[str, Any]:
        """The ASGI scope."""
        return cast("dict[str, Any]", self.request.scope)

    def count_as(self, event: Literal["download", "upload"]) -> None:
        """What a successful answer counts as in the metrics."""
        self.scope["nora.event"] = event

    def audit(self, action: Action, name: str, digest: str = "") -> None:
        """What the audit log tells of this request; said before it is done, so that failures are told too."""
        note(self.scope, action, self.repository.name, name, digest)


Endpoint = Callable[[Resource], Awaitable[Response]]
