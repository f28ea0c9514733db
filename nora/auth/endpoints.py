"""The endpoints that belong to no format: those of the server itself, and of its administration."""

from __future__ import annotations

from collections.abc import Iterable

from blacksheep import Request

from nora.auth.authorizer import Authorizer
from nora.errors import NotFound
from nora.http.context import RequestContext
from nora.http.paths import Paths, Target
from nora.http.router import Endpoint, Router

ServerEndpoint = Endpoint[RequestContext]


def server_router(
    endpoints: Iterable[ServerEndpoint], authorizer: Authorizer
) -> Router[Target, RequestContext]:
    """A handler of such endpoints. Their actions are about the server as a whole."""
    table = tuple(endpoints)

    def open_context(request: Request, endpoint: ServerEndpoint, target: Target) -> RequestContext:
        if target.repository is not None:
            raise NotFound("there is nothing here")
        context = RequestContext(request, endpoint.action)
        if endpoint.action == "admin":  # also when it is refused
            context.audit("admin", endpoint.path)
        return context

    return Router(
        table,
        split=Paths(one.path for one in table).split,
        open_context=open_context,
        authorize=authorizer.authorize,
    )
