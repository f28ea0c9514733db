"""Handlers of endpoints whose paths are patterns: of a format's packages, and of the server itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from blacksheep import Request

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound
from nora.http.context import PathContext, RequestContext
from nora.http.paths import Paths, Repositories, Target
from nora.http.router import Endpoint, Router
from nora.model import Action, Repository

ServerEndpoint = Endpoint[RequestContext]

C = TypeVar("C", bound=PathContext)
P = TypeVar("P")


def package_router(
    endpoints: Iterable[Endpoint[C]],
    repositories: Repositories,
    authorizer: Authorizer,
    make_context: Callable[[Request, Action | None, Repository, P | None, Target], C],
    *,
    package: str,
    parse: Callable[[str], P],
    otherwise: str = "",
) -> Router[Target, C]:
    """A handler of the endpoints of a format. `package` is what the patterns call the name of a package, and
    `parse` makes a value of it; `make_context` is PathContext, or a format's own kind of it."""
    table = tuple(endpoints)

    def open_context(request: Request, endpoint: Endpoint[C], target: Target) -> C:
        name = target.values.get(package)
        parsed = parse(name) if name else None
        return make_context(request, endpoint.action, repositories.find(target), parsed, target)

    return Router(
        table,
        split=Paths(one.path for one in table).split,
        open_context=open_context,
        authorize=authorizer.authorize,
        otherwise=otherwise,
    )


def server_router(
    endpoints: Iterable[ServerEndpoint], authorizer: Authorizer
) -> Router[Target, RequestContext]:
    """A handler of endpoints that belong to no format. Their actions are about the server as a whole."""
    table = tuple(endpoints)

    def open_context(request: Request, endpoint: ServerEndpoint, target: Target) -> RequestContext:
        if target.repository is not None:
            raise NotFound("there is nothing here; see /ui/ for what is")
        context = RequestContext(request, endpoint.action)
        if endpoint.action == "admin":  # also when it is refused
            context.audit("admin", endpoint.path)
        return context

    return Router(
        table,
        split=Paths(one.path for one in table).split,
        open_context=open_context,
        authorize=authorizer.authorize,
        otherwise="/ui/",
    )
