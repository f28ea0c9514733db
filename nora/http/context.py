"""What an endpoint gets: a request that may be answered, with its path taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import parse_qs

from blacksheep import Request

from nora.errors import BadRequest
from nora.http.clients import CLIENTS_KEY, Clients
from nora.http.kept_answers import BASE_KEY, STAMP_KEY, Stamp
from nora.http.negotiation import accept_of
from nora.http.paths import Target
from nora.model import ANONYMOUS, Action, Principal, Repository
from nora.observability.audit import note

MOST_PARAMETERS: Final = 100

Parameters = Mapping[str, Sequence[str]]


def parse_parameters(data: bytes) -> Parameters:
    """All values of each name of a query string or a form (application/x-www-form-urlencoded); one without a
    value is an empty text. Raises BadRequest for too many of them."""
    try:
        return parse_qs(
            data.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        raise BadRequest(f"at most {MOST_PARAMETERS} parameters") from None


class RequestContext:
    """A request, what it does, and who is asking: the router fills it in from left to right."""

    __slots__ = ("_query", "action", "principal", "request", "scope")

    repository: Repository | None = None
    """What it is decided about: None for the server as a whole."""
    package: str | None = None
    """None for the repository as a whole."""

    def __init__(self, request: Request, action: Action | None) -> None:
        self.request = request
        self.scope: dict[str, Any] = request.scope  # type: ignore[assignment]
        """The ASGI scope."""
        self.action = action
        """What the request does; None where the endpoint decides who may ask it."""
        self.principal: Principal = ANONYMOUS
        """Who is asking, and may, from the authoriser on."""
        self._query: Parameters | None = None

    @property
    def query(self) -> Parameters:
        """The parameters of the query. Raises BadRequest."""
        if self._query is None:
            text = self.scope["query_string"]
            self._query = parse_parameters(text) if text else {}
        return self._query

    def parameter(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = self.query.get(name) if self.scope["query_string"] else None
        return values[0] if values else None

    @property
    def base_url(self) -> str:
        """What links begin with, without a slash at the end. Without an address that can be believed they are
        relative to the host, and it is empty."""
        clients: Clients = self.scope[CLIENTS_KEY]
        base = self.scope[BASE_KEY] = clients.base_url(self.scope) or ""
        return base

    @property
    def site_url(self) -> str:
        """What clients use, without a slash at the end: where nothing else can be believed, what this client
        does."""
        return self.base_url or f"{self.scope['scheme']}://{self.header(b'host') or 'localhost'}"

    @property
    def accept(self) -> str | None:
        """What the client takes, if it says so."""
        return accept_of(self.request)

    def header(self, name: bytes) -> str | None:
        """A request header, name in lower case."""
        value = self.request.get_first_header(name)
        return value.decode("latin-1") if value is not None else None

    def count_as(self, event: Literal["download", "upload"]) -> None:
        """What a successful answer counts as in the metrics: a package was pulled or published."""
        self.scope["nora.event"] = event

    @property
    def may_be_kept(self) -> bool:
        """Whether the request says nothing beside its method and its path that an answer may depend on, but
        what it accepts and who sends it: see `keep_while`."""
        return STAMP_KEY in self.scope

    def keep_while(self, stamp: Stamp | None) -> None:
        """Let the answer be given again to whoever asks for the same path with the same rights, without
        conditions and parameters. It depends on nothing else that a request says but what its `Vary` names
        and `base_url`, not on who asks but by their rights, and on rows that have not changed as long as the
        stamp holds, which was taken before they were read."""
        if stamp is not None and STAMP_KEY in self.scope:
            self.scope[STAMP_KEY] = stamp

    def audit(self, action: Action, name: str = "", digest: str = "") -> None:
        """What the audit log tells of this request; said before it is done, so that failures are told too."""
        repository = self.repository
        note(self.scope, action, "" if repository is None else repository.name, name, digest)


class PackageContext(RequestContext):
    """A request for a repository, or for a package in it."""

    __slots__ = ("package", "repository")

    def __init__(
        self, request: Request, action: Action | None, repository: Repository, package: str | None
    ) -> None:
        RequestContext.__init__(self, request, action)
        self.repository: Repository = repository
        self.package = package

    @property
    def name(self) -> str:
        """The package, where all paths of an endpoint name one."""
        assert self.package is not None
        return self.package

    @property
    def writable(self) -> Repository:
        """The repository that writes go to. Raises MethodNotAllowed where there is none."""
        return self.repository.require_writable()


class PathContext(PackageContext):
    """A request whose path fits a pattern of `nora.http.paths`."""

    __slots__ = ("target",)

    def __init__(
        self,
        request: Request,
        action: Action | None,
        repository: Repository,
        package: str | None,
        target: Target,
    ) -> None:
        super().__init__(request, action, repository, package)
        self.target = target

    @property
    def base_url(self) -> str:
        """As in all contexts; of the repository that the path names, if it names one."""
        base, named = super().base_url, self.target.repository
        return base if named is None else f"{base}/r/{named}"
