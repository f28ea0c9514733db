"""The way of a request from the table of endpoints to a handler."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from blacksheep import Request, Response

from nora.errors import BadRequest, Denied, MethodNotAllowed, NotFound
from nora.http.clients import CLIENTS_KEY, Clients
from nora.http.context import MOST_PARAMETERS, PackageContext, PathContext, RequestContext
from nora.http.paths import Paths, Target
from nora.http.router import Endpoint, Router
from nora.model import ANONYMOUS, Principal, Repository

HOSTED = Repository(1, "toys", "toy", "hosted")
SOMEBODY = Principal("somebody", "token", "write", (), "")


def request(method: str, path: str, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Request:
    path, _, query = path.partition("?")
    made = Request.incoming(method, path.encode(), query.encode(), list(headers))
    scope: Any = {
        "method": method,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": list(headers),
    }
    made.scope = scope
    return made


class Toy:
    """Endpoints that tell what they were given."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, RequestContext]] = []
        self.asked: list[str | None] = []
        endpoints = (
            Endpoint("GET HEAD", "/toys/", "read", self.answer("list")),
            Endpoint("POST", "/toys/", "write", self.answer("add")),
            Endpoint("DELETE", "/toys/{name}", "delete", self.answer("delete")),
            Endpoint("GET", "/open", None, self.answer("open")),
            Endpoint("", "/closed", None, self.answer("closed")),
        )
        self.router: Router[Target, PackageContext] = Router(
            endpoints,
            split=Paths(one.path for one in endpoints).split,
            open_context=lambda request, endpoint, target: PackageContext(
                request, endpoint.action, HOSTED, target.get("name") or None
            ),
            authorize=self.authorize,
            otherwise="the manual",
        )

    def answer(self, name: str) -> Any:
        async def answer(context: RequestContext) -> Response:
            self.seen.append((name, context))
            return Response(204)

        return answer

    async def authorize(self, context: RequestContext) -> Principal:
        self.asked.append(context.package)
        if context.action == "delete":
            raise Denied("never")
        return SOMEBODY

    def ask(self, method: str, path: str) -> Response:
        return asyncio.run(self.router(request(method, path)))  # type: ignore[arg-type]


def test_an_endpoint_is_found_by_path_and_method_and_knows_who_asks() -> None:
    toy = Toy()
    for method, path in (("GET", "/toys/"), ("HEAD", "/toys/"), ("POST", "/toys")):
        assert toy.ask(method, path).status == 204
    assert [name for name, _ in toy.seen] == ["list", "list", "add"]
    assert all(context.principal is SOMEBODY for _, context in toy.seen)
    assert [context.action for _, context in toy.seen] == ["read", "read", "write"]


def test_who_may_not_reaches_no_handler() -> None:
    toy = Toy()
    with pytest.raises(Denied):
        toy.ask("DELETE", "/toys/bear")
    assert (toy.seen, toy.asked) == ([], ["bear"])


def test_an_endpoint_without_an_action_is_not_asked_about() -> None:
    toy = Toy()
    assert toy.ask("GET", "/open").status == 204
    assert toy.asked == []
    assert toy.seen[0][1].principal is ANONYMOUS


def test_a_wrong_method_names_the_right_ones_in_their_order() -> None:
    for path, allow in (("/toys/", ("GET", "HEAD", "POST")), ("/toys/bear", ("DELETE",)), ("/closed", ())):
        with pytest.raises(MethodNotAllowed) as raised:
            Toy().ask("OPTIONS", path)
        assert raised.value.allow == allow


def test_what_is_not_in_the_table_is_not_found_and_says_where_to_read() -> None:
    with pytest.raises(NotFound, match="there is nothing here; see the manual for what is"):
        Toy().ask("GET", "/elsewhere")


def test_the_table_lists_what_is_answered() -> None:
    assert [route for one in Toy().router.endpoints for route in one.routes()] == [
        ("GET", "/toys/"),
        ("HEAD", "/toys/"),
        ("POST", "/toys/"),
        ("DELETE", "/toys/{name}"),
        ("GET", "/open"),
    ]


def test_parameters_and_headers_are_read_as_they_were_sent() -> None:
    context = RequestContext(request("GET", "/?a=1&a=%C3%A9&empty=&b+c=d", ((b"accept", b"x/\xe9"),)), None)
    assert (context.parameter("a"), context.parameter("empty"), context.parameter("none")) == ("1", "", None)
    assert context.query == {"a": ["1", "é"], "empty": [""], "b c": ["d"]}
    assert (context.header(b"accept"), context.header(b"none")) == ("x/é", None)


def test_too_many_parameters_are_refused() -> None:
    query = "&".join(f"p{number}=" for number in range(MOST_PARAMETERS + 1))
    with pytest.raises(BadRequest, match="at most 100 parameters"):
        RequestContext(request("GET", f"/?{query}"), None).parameter("p0")


def test_a_repository_that_takes_no_writes_says_what_it_takes() -> None:
    assert PackageContext(request("GET", "/"), "write", HOSTED, "a").writable is HOSTED
    proxy = Repository(2, "cache", "toy", "proxy")
    with pytest.raises(MethodNotAllowed, match="proxy cache takes no writes") as raised:
        PackageContext(request("PUT", "/"), "write", proxy, "a").writable  # noqa: B018
    assert raised.value.allow == ("GET", "HEAD")


def test_what_is_done_is_told_to_metrics_and_audit() -> None:
    asked = request("PUT", "/")
    context = PackageContext(asked, "write", HOSTED, "bear")
    context.count_as("upload")
    context.audit("write", "bear 1.0", "sha256:0")
    assert asked.scope["nora.event"] == "upload"  # type: ignore[typeddict-item]
    assert asked.scope["nora.audit"] == ("write", "toys", "bear 1.0", "sha256:0")  # type: ignore[typeddict-item]


def test_links_begin_with_what_the_client_has_used_as_far_as_that_is_to_be_believed() -> None:
    asked = request("GET", "/", ((b"host", b"registry.example"),))
    asked.scope |= {"scheme": "http", "client": ("127.0.0.1", 1)}  # type: ignore[misc, typeddict-unknown-key]
    for clients, base in (
        (Clients(public_url="https://public.example/"), "https://public.example"),
        (Clients(host="127.0.0.1"), "http://registry.example"),
        (Clients(host="0.0.0.0"), ""),
    ):
        asked.scope[CLIENTS_KEY] = clients  # type: ignore[literal-required]
        assert RequestContext(asked, "read").base_url == base
        for repository, end in ((None, ""), ("team", "/r/team")):
            context = PathContext(asked, "read", HOSTED, None, Target("/toys/", repository))
            assert context.base_url == base + end
