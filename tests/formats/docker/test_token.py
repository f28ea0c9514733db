"""The token service below the wire: scopes, challenges and forms, and that no text makes it fail."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from blacksheep import Request, Response
from hypothesis import given
from hypothesis import strategies as st

from nora.auth.access import Access, AccessRules
from nora.auth.sessions import Sessions
from nora.errors import BadRequest, NoraError, Unauthenticated
from nora.formats.docker.challenge import Challenges
from nora.formats.docker.errors import render_error
from nora.formats.docker.names import Images
from nora.formats.docker.resource import Resource
from nora.formats.docker.scopes import Asked, grant, needed_scope, parse_scopes, render_scope
from nora.formats.docker.token import TokenService
from nora.http import errors
from nora.http.body import SCOPE_KEY, RequestBody
from nora.http.errors import BASIC
from nora.model import ANONYMOUS, Action, Principal, Repository, Scope
from tests.support.tables import each

HOSTED = Repository(1, "docker-hosted", "docker", "hosted")
DEFAULT = Repository(2, "docker", "docker", "group", (HOSTED,), HOSTED)
PUBLIC = Repository(3, "public", "docker", "hosted")
IMAGES = Images(DEFAULT, {"public": PUBLIC})
ACCESS = Access(AccessRules(enabled=True, open_administration=False, anonymous_read=frozenset({"public"})))
WRITER = Principal("ci", "token", "write", parent="token:0123456789abcdef")
ADMIN = replace(WRITER, role="admin")
SCOPED = replace(WRITER, scopes=(Scope("docker", "team/**", frozenset({"read", "delete"})),))
EVERYTHING: frozenset[Action] = frozenset({"read", "write", "untag", "delete"})


class Knows:
    """An authenticator to whom everybody is `holder`."""

    def __init__(self, holder: Principal | None) -> None:
        self.sessions = Sessions(bytes(32))
        self.holder = holder
        self.asked = 0

    async def identify(self, request: Request, *, allow_foreign: bool = False) -> Principal:
        self.asked += 1
        if self.holder is None and not allow_foreign:
            raise Unauthenticated("the user or the password is wrong")
        return self.holder or ANONYMOUS

    async def verify(self, request: Request, user: str, password: str) -> Principal:
        return await self.identify(request)

    async def renew(self, holder: Principal) -> Principal | None:
        return None if holder.parent == "token:revoked" else holder


def ask(knows: Knows, method: str, query: bytes = b"", form: bytes = b"", **headers: str) -> Response:
    """What the application answers to a request to the service."""
    pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": form, "more_body": False}

    async def answer() -> Response:
        services: Any = SimpleNamespace(
            authenticator=knows,
            access=ACCESS,
            config=SimpleNamespace(server=SimpleNamespace(idle_timeout=5)),
        )
        request = Request.incoming(method, b"/v2/token", query, pairs)
        request.scope = {"query_string": query, "headers": pairs, SCOPE_KEY: RequestBody(receive)}  # type: ignore[assignment, typeddict-item]
        try:
            resource = Resource(request, None, IMAGES.none, "")
            service = TokenService(services, IMAGES)
            return await (service.post(resource) if method == "POST" else service.get(resource))
        except NoraError as error:
            return errors.answer(error, render_error, request)

    return asyncio.run(answer())


def body_of(answer: Response) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(answer.content.body)  # type: ignore[union-attr]
    return found


def access_of(knows: Knows, answer: Response) -> tuple[Scope, ...]:
    session = knows.sessions.read(body_of(answer)["token"])
    assert session is not None
    return session.principal.scopes


# -- scopes ------------------------------------------------------------------------------------------------


@each(
    ("text", "wanted"),
    [
        ("repository:a/b:pull", [Asked("repository", "a/b", frozenset({"read"}))]),
        ("repository:a:push,pull", [Asked("repository", "a", frozenset({"read", "write"}))]),
        ("repository:a:*", [Asked("repository", "a", EVERYTHING)]),
        ("repository:a:delete", [Asked("repository", "a", frozenset({"delete", "untag"}))]),
        ("repository(plugin):a:pull", [Asked("repository", "a", frozenset({"read"}))]),
        ("repository:host:5000/a:pull", [Asked("repository", "host:5000/a", frozenset({"read"}))]),
        ("repository:a:pull,bake", [Asked("repository", "a", frozenset({"read"}))]),
        ("registry:catalog:*", [Asked("registry", "catalog", EVERYTHING)]),
        ("repository:a:bake", []),
        ("repository:a", []),
        ("pull", []),
        ("", []),
        (":::", []),
        (
            "repository:a:pull  repository:b:push",
            [Asked("repository", "a", frozenset({"read"})), Asked("repository", "b", frozenset({"write"}))],
        ),
    ],
)
def test_scopes_are_read(text: str, wanted: list[Asked]) -> None:
    assert parse_scopes([text]) == wanted


@pytest.mark.parametrize("texts", [["repository:a:pull"] * 65, ["repository:" + "a" * 5000 + ":pull"]])
def test_too_many_scopes_are_refused(texts: list[str]) -> None:
    with pytest.raises(BadRequest):
        parse_scopes(texts)


@given(st.lists(st.text() | st.from_regex(r"[a-z()]{0,12}:[a-z/:]{0,20}:[a-z,*]{0,20}"), max_size=5))
def test_no_scope_fails_otherwise(texts: list[str]) -> None:
    try:
        asked = parse_scopes(texts)
    except BadRequest:
        return
    assert all(one.actions for one in asked)
    granted = grant(asked, ADMIN, ACCESS, IMAGES)
    assert all(scope.actions for scope in granted.access)
    assert not grant(
        asked, replace(ADMIN, scopes=(Scope("", "", frozenset()),)), ACCESS, IMAGES
    ).whole or all(scope.repository == "public" for scope in granted.access)


def test_what_is_needed_can_be_asked_for() -> None:
    assert needed_scope("a/b", "read") == "repository:a/b:pull"
    assert needed_scope("a/b", "write") == "repository:a/b:pull,push"
    assert needed_scope("a/b", "untag") == "repository:a/b:pull,push,delete"
    assert needed_scope("a/b", "delete") == "repository:a/b:pull,push,delete"
    assert parse_scopes([render_scope("a", {"write"})]) == [Asked("repository", "a", frozenset({"write"}))]


@each(
    ("holder", "asked", "granted", "whole"),
    [
        (WRITER, "repository:a:pull,push", "repository:a:pull,push", True),
        (WRITER, "repository:a:*", "repository:a:pull,push", False),
        (ADMIN, "repository:a:*", "repository:a:pull,push,delete", True),
        (replace(WRITER, role="read"), "repository:a:pull,push", "repository:a:pull", False),
        (SCOPED, "repository:team/x:*", "repository:team/x:pull,delete", False),
        (SCOPED, "repository:other:pull", "", False),
        (SCOPED, "repository:team/x:pull repository:other:pull", "repository:team/x:pull", False),
        (SCOPED, "repository:public/a:pull,push", "repository:public/a:pull", False),
        (ANONYMOUS, "repository:public/a:pull", "repository:public/a:pull", True),
        (ANONYMOUS, "repository:public:pull", "", False),
        (ANONYMOUS, "repository:a:pull", "", False),
        (WRITER, "repository:NOT/valid:pull", "", False),
        (WRITER, "planet:earth:pull", "", False),
    ],
)
def test_a_part_is_granted(holder: Principal, asked: str, granted: str, whole: bool) -> None:
    found = grant(parse_scopes([asked]), holder, ACCESS, IMAGES)
    assert (found.text, found.whole) == (granted, whole)


def test_a_listing_reads_what_its_holder_may_read() -> None:
    asked = parse_scopes(["registry:catalog:*"])
    read = frozenset({"read"})
    everything = (Scope("docker", actions=read), Scope("public", actions=read))
    assert grant(asked, WRITER, ACCESS, IMAGES).access == everything
    assert grant(asked, SCOPED, ACCESS, IMAGES).access == (Scope("docker", "team/**", read),)
    nobody = grant(asked, ANONYMOUS, ACCESS, IMAGES)
    assert (nobody.access, nobody.text, nobody.whole) == ((), "", False)
    open_to_all = Access(AccessRules(True, False, frozenset({"docker", "public"})))
    assert grant(asked, ANONYMOUS, open_to_all, IMAGES).access == everything


# -- the service -------------------------------------------------------------------------------------------


def test_a_get_gives_both_names_of_the_token() -> None:
    knows = Knows(WRITER)
    answer = ask(knows, "GET", b"service=x&scope=repository:a:pull&scope=repository:b:push,pull&account=ci")
    body = body_of(answer)
    assert answer.status == 200
    assert answer.headers.get_first(b"cache-control") == b"no-store"
    assert body["token"] == body["access_token"]
    assert (body["expires_in"], body["scope"]) == (300, "repository:a:pull repository:b:pull,push")
    assert body["issued_at"].endswith("Z")
    assert "refresh_token" not in body
    assert access_of(knows, answer) == (
        Scope("docker", "a", frozenset({"read"})),
        Scope("docker", "b", frozenset({"read", "write"})),
    )


def test_a_login_asks_for_no_scope_and_is_checked() -> None:
    assert ask(Knows(WRITER), "GET", b"offline_token=true&client_id=docker").status == 200
    answer = ask(Knows(None), "GET", b"offline_token=true", authorization="Basic eDp5")
    assert answer.status == 401
    assert answer.headers.get(b"www-authenticate") == (BASIC.encode(),)
    assert body_of(answer)["errors"][0]["code"] == "UNAUTHORIZED"
    assert ask(Knows(ANONYMOUS), "GET").status == 401


def test_a_password_is_not_looked_at_where_it_opens_nothing_more() -> None:
    knows = Knows(None)
    answer = ask(knows, "GET", b"scope=repository:public/a:pull", authorization="Basic eDp5")
    assert (answer.status, knows.asked) == (200, 0)
    assert knows.sessions.read(body_of(answer)["token"]).principal == ANONYMOUS  # type: ignore[union-attr]
    assert ask(knows, "GET", b"scope=repository:public/a:pull,push", authorization="Basic eDp5").status == 401
    assert ask(knows, "GET", b"scope=repository:a:pull", authorization="Basic eDp5").status == 401


def test_a_session_opens_one_that_ends_with_it() -> None:
    """docker logs in with what a job was given for its identity."""
    knows = Knows(None)
    given = knows.sessions.mint(SCOPED, SCOPED.scopes, seconds=100)
    session = knows.sessions.read(given)
    assert session is not None
    knows.holder = session.principal
    answer = ask(knows, "GET", b"scope=repository:team/a:pull,push&offline_token=1", authorization="Basic e")
    body = body_of(answer)
    assert 90 <= body["expires_in"] <= 100
    assert "refresh_token" not in body
    assert access_of(knows, answer) == (Scope("docker", "team/a", frozenset({"read"})),)
    opened = knows.sessions.read(body["token"])
    assert opened is not None
    assert opened.expires_at <= session.expires_at
    assert opened.principal.parent == SCOPED.parent


@pytest.mark.parametrize("query", [b"offline_token=true", b"offline_token=1"])
def test_a_refresh_token_where_it_is_asked_for(query: bytes) -> None:
    knows = Knows(WRITER)
    refresh = body_of(ask(knows, "GET", query))["refresh_token"]
    form = urlencode({"grant_type": "refresh_token", "refresh_token": refresh, "scope": "repository:a:pull"})
    answer = ask(knows, "POST", form=form.encode())
    body = body_of(answer)
    assert (answer.status, body["refresh_token"], body["scope"]) == (200, refresh, "repository:a:pull")
    assert access_of(knows, answer) == (Scope("docker", "a", frozenset({"read"})),)


def test_no_refresh_token_for_whom_nobody_can_revoke() -> None:
    workload = replace(WRITER, method="oidc", parent="")
    assert "refresh_token" not in body_of(ask(Knows(workload), "GET", b"offline_token=true"))


def test_a_refresh_token_ends_with_its_parent() -> None:
    knows = Knows(WRITER)
    refresh = knows.sessions.mint_refresh(replace(WRITER, parent="token:revoked"))
    answer = ask(knows, "POST", form=b"grant_type=refresh_token&refresh_token=" + refresh.encode())
    assert (answer.status, body_of(answer)["error"]) == (401, "invalid_grant")


@each(
    ("form", "status", "error"),
    [
        (b"", 400, "unsupported_grant_type"),
        (b"grant_type=client_credentials", 400, "unsupported_grant_type"),
        (b"grant_type=password&username=u&password=p", 401, "invalid_grant"),
        (b"grant_type=password", 401, "invalid_grant"),
        (b"grant_type=refresh_token&refresh_token=x", 401, "invalid_grant"),
        (b"grant_type=refresh_token", 401, "invalid_grant"),
        (b"&".join([b"a=b"] * 101), 400, "invalid_request"),
        (b"scope=" + b"a" * 5000 + b":b:c&grant_type=password", 400, "invalid_request"),
    ],
)
def test_a_post_fails_as_oauth2_does(form: bytes, status: int, error: str) -> None:
    answer = ask(Knows(None), "POST", form=form)
    assert (answer.status, body_of(answer)["error"]) == (status, error)
    assert body_of(answer)["errors"][0]["code"]


def test_a_form_has_an_end() -> None:
    assert ask(Knows(WRITER), "POST", form=b"x" * 70_000).status == 413


parameter = st.sampled_from(
    ("scope", "service", "account", "client_id", "offline_token", "grant_type", "refresh_token", "username")
) | st.text(max_size=8)
value = st.sampled_from(
    ("password", "refresh_token", "true", "offline", "repository:a:pull", "repository:public/a:*")
) | st.text(max_size=30)
encoded = st.lists(st.tuples(parameter, value), max_size=6).map(
    lambda pairs: "&".join(f"{quote(name)}={quote(text)}" for name, text in pairs).encode()
) | st.binary(max_size=60)


@given(data=encoded, holder=st.sampled_from((WRITER, SCOPED, ANONYMOUS, None)), header=st.text(max_size=30))
def test_no_request_is_answered_by_a_5xx(data: bytes, holder: Principal | None, header: str) -> None:
    for method in ("GET", "POST"):
        answer = ask(Knows(holder), method, data, data, authorization=header)
        assert answer.status in {200, 400, 401}
        assert body_of(answer)


# -- challenges --------------------------------------------------------------------------------------------


def challenge(
    *, public: str | None = None, host: str = "127.0.0.1", proxies: tuple[str, ...] = (), **scope: Any
) -> str:
    config: Any = SimpleNamespace(
        server=SimpleNamespace(public_url=public, host=host),
        auth=SimpleNamespace(trusted_proxies=proxies),
    )
    headers = [(b"host", scope.pop("asked", "localhost:4000").encode("latin-1", "replace"))]
    headers += [
        (f"x-forwarded-{name}".encode(), text.encode()) for name, text in scope.pop("forwarded", {}).items()
    ]
    request = Request.incoming("GET", b"/v2/", b"", headers)
    request.scope = {"headers": headers, "scheme": "http", "client": ("10.0.0.9", 5), **scope}  # type: ignore[assignment, typeddict-item]
    return Challenges(config).render(request, "repository:a:pull")


def bearer(base: str, service: str) -> str:
    return f'Bearer realm="{base}/v2/token",service="{service}",scope="repository:a:pull"'


def test_the_realm_is_the_public_url() -> None:
    wanted = bearer("https://r.example/base", "r.example")
    assert challenge(public="https://r.example/base", asked="evil.example") == wanted
    assert challenge(public="http://r.example:5000/", host="0.0.0.0") == bearer(
        "http://r.example:5000", "r.example:5000"
    )


def test_on_the_loopback_it_is_the_host_that_was_asked() -> None:
    assert challenge() == bearer("http://localhost:4000", "localhost:4000")
    assert challenge(asked="127.0.0.1:4000") == bearer("http://127.0.0.1:4000", "127.0.0.1:4000")


def test_a_host_that_anybody_can_write_is_not_believed() -> None:
    assert challenge(host="0.0.0.0") == BASIC
    assert challenge(host="0.0.0.0", forwarded={"proto": "https", "host": "evil.example"}) == BASIC


def test_a_password_is_not_sent_over_plain_http_to_another_machine() -> None:
    """A proxy with TLS that does not say so leaves the scheme of its own connection."""
    assert challenge(asked="registry.example") == BASIC
    assert challenge(asked="registry.example", host="0.0.0.0", proxies=("10.0.0.0/8",)) == BASIC


def test_a_trusted_proxy_says_where_it_is() -> None:
    forwarded = {"proto": "https", "host": "r.example"}
    found = challenge(host="0.0.0.0", proxies=("10.0.0.0/8",), forwarded=forwarded)
    assert found == bearer("https://r.example", "r.example")


@given(
    asked=st.text(max_size=40)
    | st.from_regex(r"[a-z.:\[\]0-9]{0,30}")
    | st.from_regex(r"\A\[[0-9a-f:.]{2,20}\](:[0-9]{1,5})?\Z"),
    proto=st.sampled_from(("https", "http", "HTTPS, https", "")) | st.text("htps:/\"',; ", max_size=10),
    bound=st.sampled_from(("127.0.0.1", "0.0.0.0")),
)
def test_no_host_breaks_a_challenge(asked: str, proto: str, bound: str) -> None:
    found = challenge(
        asked=asked,
        host=bound,
        proxies=("10.0.0.9",),
        forwarded={"proto": proto, "host": asked.encode("ascii", "replace").decode()},
    )
    assert found == BASIC or (found.startswith('Bearer realm="http') and found.count('"') == 6)
    assert found.isprintable()
