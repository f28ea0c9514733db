"""The endpoints that belong to no format."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from blacksheep import Request, Response

from nora.auth.access import Access, AccessRules
from nora.auth.authorizer import Authorizer
from nora.auth.endpoints import package_router, server_router
from nora.errors import Denied, NotFound, Unauthenticated
from nora.http.context import PathContext, RequestContext
from nora.http.paths import Repositories
from nora.http.router import Endpoint
from nora.model import ANONYMOUS, Principal, Repository, Scope

ACCESS = Access(AccessRules(enabled=True, open_administration=False))


class Knows:
    """An authenticator to whom everybody is `principal`."""

    def __init__(self, principal: Principal) -> None:
        self.principal = principal

    async def identify(self, request: Request, *, allow_foreign: bool = False) -> Principal:
        return self.principal


async def answer(context: RequestContext) -> Response:
    return Response(200, [(b"x-name", context.principal.name.encode())])


def ask(path: str, principal: Principal) -> tuple[Request, Any]:
    request = Request.incoming("GET", path.encode(), b"", [])
    scope: Any = {"method": "GET", "raw_path": path.encode(), "query_string": b"", "headers": []}
    request.scope = scope
    endpoints = (Endpoint("GET", "/health", None, answer), Endpoint("GET", "/admin", "admin", answer))
    router = server_router(endpoints, Authorizer(Knows(principal), ACCESS))  # type: ignore[arg-type]
    return request, router(request)


def test_administration_is_for_administrators_and_refusals_are_audited() -> None:
    for principal, error in ((ANONYMOUS, Unauthenticated), (Principal("w", "token", "write"), Denied)):
        request, answering = ask("/admin", principal)
        with pytest.raises(error):
            asyncio.run(answering)
        assert request.scope["nora.audit"][:3] == ("admin", "", "/admin")  # type: ignore[typeddict-item]
    _, answering = ask("/admin", Principal("root", "token", "admin"))
    assert asyncio.run(answering).headers.get_first(b"x-name") == b"root"


def test_what_asks_for_nothing_is_for_anybody() -> None:
    _, answering = ask("/health", ANONYMOUS)
    assert asyncio.run(answering).status == 200


def test_the_server_itself_is_in_no_repository() -> None:
    for path in ("/r/team/health", "/maven/com/acme"):
        _, answering = ask(path, ANONYMOUS)
        with pytest.raises(NotFound, match="nothing here; see /ui/"):
            asyncio.run(answering)


def test_a_path_names_a_package_in_a_repository_and_the_format_says_how_it_is_spelled() -> None:
    seen: list[tuple[str, str | None, str]] = []

    async def look(context: PathContext) -> Response:
        seen.append((context.repository.name, context.package, context.target.get("file")))
        return Response(204)

    toys, lab = (Repository(number, name, "toy", "hosted") for number, name in enumerate(("toys", "lab")))
    router = package_router(
        (Endpoint("GET", "/toys/", "read", look), Endpoint("GET", "/toys/{toy}/{file}", "read", look)),
        Repositories(toys, {"lab": lab}),
        Authorizer(Knows(Principal("r", "token", "read")), ACCESS),  # type: ignore[arg-type]
        PathContext,
        package="toy",
        parse=str.lower,
    )
    for path in ("/toys/", "/toys/Bear/X", "/r/lab/toys/bear/x"):
        request, answering = ask(path, ANONYMOUS)
        answering.close()
        assert asyncio.run(router(request)).status == 204  # type: ignore[arg-type]
    assert seen == [("toys", None, ""), ("toys", "bear", "X"), ("lab", "bear", "x")]


def test_a_scope_of_a_group_has_what_is_in_it_and_below() -> None:
    """As in `proxy.reserved`; and nothing else than a group has colons in its names."""
    scopes = (Scope("*", "com.corp.**", frozenset({"read"})),)
    holder = Principal("r", "token", "read", scopes)
    repository = Repository(1, "toys", "toy", "hosted")
    for name, expected in (
        ("com.corp:lib", True),
        ("com.corp.team:lib", True),
        ("com.corp", False),
        ("com.corp/lib", False),
        ("com.corporate:lib", False),
        ("com.co:lib", False),
    ):
        assert ACCESS.decide(holder, "read", repository, name) is expected, name
