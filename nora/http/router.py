"""The way of a request within its format: path, endpoint, context, authorisation, handler.

An endpoint is one line of a table: methods, path, what asking it means, who answers. The table is all that is
answered, what `endpoints` lists, and what the documentation of the API is made of.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from blacksheep import Request, Response

from nora.errors import MethodNotAllowed, NotFound
from nora.http.context import RequestContext
from nora.http.operations import UNTOLD, Operation
from nora.model import Action, Principal

T = TypeVar("T", bound=tuple[Any, ...])
ROUTE_KEY: Final = "nora.route"
"""Where a request has the path of the endpoint that answers it, as documents write that."""
C = TypeVar("C", bound=RequestContext)
C_contra = TypeVar("C_contra", bound=RequestContext, contravariant=True)


@dataclass(frozen=True, slots=True)
class Endpoint(Generic[C_contra]):
    """What is answered at one path, to some methods."""

    methods: str
    """Separated by spaces, in the order in which `Allow` has them."""
    path: str
    """As documents write it: `/v2/{name}/tags/list`."""
    action: Action | None
    """What the one who asks must be allowed to do. None: the handler decides that by itself."""
    handler: Callable[[C_contra], Awaitable[Response]]
    key: Hashable = None
    """What the splitter calls the path; None when by the path itself."""
    told: Operation = UNTOLD
    """What its documentation says beside the docstring of the handler."""

    def routes(self) -> Iterator[tuple[str, str]]:
        """Method and path of all that it answers."""
        for method in self.methods.split():
            yield method, self.path


class Router(Generic[T, C]):
    """Answers what is in a table of endpoints."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint[C]],
        *,
        split: Callable[[bytes], T],
        open_context: Callable[[Request, Endpoint[C], T], C],
        authorize: Callable[[C], Awaitable[Principal]],
        otherwise: str = "",
    ) -> None:
        """`split` takes a raw path apart; the first member of what it gives is the key of an endpoint, or
        anything else when there is none. `open_context` makes a context of it, by which `authorize` decides.
        `otherwise` says where somebody may read what there is."""
        self._endpoints = tuple(endpoints)
        self._split = split
        self._open = open_context
        self._authorize = authorize
        self._nothing = f"there is nothing here{otherwise and f'; see {otherwise} for what is'}"
        self._table: dict[Hashable, dict[str, Endpoint[C]]] = {}
        for one in self._endpoints:
            methods = self._table.setdefault(one.path if one.key is None else one.key, {})
            methods.update(dict.fromkeys(one.methods.split(), one))

    @property
    def endpoints(self) -> tuple[Endpoint[C], ...]:
        """Everything that is answered."""
        return self._endpoints

    async def __call__(self, request: Request) -> Response:
        """The answer to a request; raises a NoraError."""
        scope = request.scope
        target = self._split(scope["raw_path"])
        methods = self._table.get(target[0])
        if methods is None:
            raise NotFound(self._nothing)
        endpoint = methods.get(scope["method"])
        if endpoint is None:
            raise MethodNotAllowed(tuple(methods))
        scope[ROUTE_KEY] = endpoint.path  # type: ignore[typeddict-unknown-key]
        context = self._open(request, endpoint, target)
        if context.action is not None:
            context.principal = await self._authorize(context)
        return await endpoint.handler(context)
