"""Challenges of upstream registries, and the tokens that are asked for because of them."""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Awaitable, Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.config import Upstream
from nora.errors import UpstreamFailed, UpstreamRefused, UpstreamUnavailable
from nora.formats.docker import upstream_auth
from nora.formats.docker.upstream_auth import (
    MAX_CHALLENGE,
    Challenge,
    RegistryAuthorization,
    parse_challenges,
    parse_token,
)
from nora.outbound import Headers, Reply, Terms
from tests.support.tables import each

URL = "https://registry.example.com"
MANIFEST = f"{URL}/v2/library/alpine/manifests/3"
SCOPE = "repository:library/alpine:pull"
CHALLENGE = f'Bearer realm="https://auth.example.com/token",service="registry",scope="{SCOPE}"'

WORDS = st.text("abcdefghijklmnopqrstuvwxyzABC019-_.!", min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="latin-1", exclude_categories=("Cc",)), max_size=40)
CHALLENGES = st.lists(
    st.builds(
        lambda scheme, parameters: Challenge(
            scheme.lower(), {name.lower(): value for name, value in parameters.items()}
        ),
        WORDS,
        st.dictionaries(WORDS, TEXTS, max_size=4),
    ),
    max_size=4,
)


def quoted(text: str) -> str:
    escaped = re.sub(r'(["\\])', r"\\\1", text)
    return f'"{escaped}"'


def render(challenge: Challenge) -> str:
    parameters = ", ".join(f"{name}={quoted(value)}" for name, value in challenge.parameters.items())
    return f"{challenge.scheme} {parameters}".strip()


@given(CHALLENGES)
def test_what_is_rendered_is_parsed(challenges: list[Challenge]) -> None:
    assert parse_challenges(", ".join(map(render, challenges))) == challenges


@given(st.text(max_size=300))
def test_anything_can_be_parsed(text: str) -> None:
    for challenge in parse_challenges(text):
        assert challenge.scheme == challenge.scheme.lower() != ""


@given(st.text('"\\=, aB/:', max_size=200))
def test_anything_that_looks_like_one_can_be_parsed(text: str) -> None:
    parse_challenges(text)


@pytest.mark.parametrize("part", ['a="', "a=", "a ", ",", "\\"])
def test_long_ones_take_no_time(part: str) -> None:
    assert len(parse_challenges(part * 100_000)) <= MAX_CHALLENGE


@each(
    ("text", "expected"),
    [
        ("Basic", [Challenge("basic", {})]),
        ('Basic realm="a, b", charset=UTF-8', [Challenge("basic", {"realm": "a, b", "charset": "UTF-8"})]),
        ('NTLM YWJj==, Basic realm="x"', [Challenge("ntlm", {}), Challenge("basic", {"realm": "x"})]),
        (
            'Bearer realm="https://a/t",scope="repository:a/b:pull,push"',
            [Challenge("bearer", {"realm": "https://a/t", "scope": "repository:a/b:pull,push"})],
        ),
        ('bearer realm=https://a/t , Basic realm = "x"', [
            Challenge("bearer", {"realm": "https://a/t"}), Challenge("basic", {"realm": "x"}),
        ]),
        ('realm="nobody\'s", Basic', [Challenge("basic", {})]),
        ('Bearer realm="first", realm="second"', [Challenge("bearer", {"realm": "first"})]),
        ('Bearer realm="open', [Challenge("bearer", {})]),
        ("", []),
    ],
)  # fmt: skip
def test_challenges(text: str, expected: list[Challenge]) -> None:
    assert parse_challenges(text) == expected


@each(
    "body",
    [b"", b"[]", b"{}", b'{"token": 1}', b'{"token": ""}', b'{"token": "a\\nb"}', '{"token": "ü"}'.encode()],
)
def test_what_is_no_token(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - orjson's error is one too
        parse_token(body, 0.0)


@pytest.mark.parametrize(
    ("fields", "until"),
    [({}, 54), ({"expires_in": 300}, 270), ({"expires_in": "x"}, 54), ({"expires_in": -1}, 54)],
)
def test_how_long_a_token_is_used(fields: dict[str, object], until: float) -> None:
    token = parse_token(orjson.dumps({"access_token": "t", **fields}), 0.0)
    assert (token.text, token.until) == ("t", until)


class TokenServer:
    """Gives `token-1`, `token-2`, … and remembers who asked for what."""

    def __init__(self, status: int = 200, seconds: float = 300) -> None:
        self.status = status
        self.seconds = seconds
        self.asked: list[tuple[str, Headers]] = []
        self.terms: list[Terms] = []
        self.authorizer: asyncio.Event | None = None
        self.error: UpstreamFailed | None = None

    async def __call__(self, url: str, terms: Terms, headers: Headers) -> Reply:
        self.asked.append((url, headers))
        self.terms.append(terms)
        number = len(self.asked)
        if self.authorizer is not None:
            await self.authorizer.wait()
        if self.error is not None:
            raise self.error
        body = {"token": f"token-{number}", "expires_in": self.seconds}
        return Reply(self.status, {}, orjson.dumps(body), url)


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await work()

    asyncio.run(main())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(upstream_auth.time, "monotonic", lambda: now[0])
    return now


def test_an_anonymous_token(clock: list[float]) -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        assert await one.headers("GET", MANIFEST) == {}
        assert not one.is_known
        assert await one.challenged("GET", MANIFEST, [CHALLENGE])
        assert one.is_known
        assert await one.headers("GET", MANIFEST) == {"authorization": "Bearer token-1"}
        assert await one.headers("HEAD", f"{URL}/v2/library/alpine/blobs/sha256:0") == {
            "authorization": "Bearer token-1"
        }
        url, headers = server.asked[0]
        assert (
            url
            == "https://auth.example.com/token?service=registry&scope=repository%3Alibrary%2Falpine%3Apull"
        )
        assert headers == {}

    run(work)


def test_another_image_has_another_token_without_being_refused_first(clock: list[float]) -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL, auth="user:pässword"), server)

    async def work() -> None:
        await one.challenged("GET", MANIFEST, [CHALLENGE])
        got = await one.headers("GET", f"{URL}/v2/team/app/tags/list?n=1")
        assert got == {"authorization": "Bearer token-2"}
        assert server.asked[1][0].endswith("scope=repository%3Ateam%2Fapp%3Apull")
        basic = b64encode("user:pässword".encode()).decode()
        assert [headers for _, headers in server.asked] == [{"authorization": f"Basic {basic}"}] * 2

    run(work)


def test_a_token_is_renewed_before_it_ends_and_when_it_is_refused(clock: list[float]) -> None:
    server = TokenServer(seconds=100)
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        await one.challenged("GET", MANIFEST, [CHALLENGE])
        clock[0] += 89
        assert await one.headers("GET", MANIFEST) == {"authorization": "Bearer token-1"}
        clock[0] += 2
        assert await one.headers("GET", MANIFEST) == {"authorization": "Bearer token-2"}
        clock[0] += 10
        assert await one.challenged("GET", MANIFEST, [CHALLENGE])
        assert await one.headers("GET", MANIFEST) == {"authorization": "Bearer token-3"}
        assert await one.challenged("GET", MANIFEST, [CHALLENGE]), "who was refused with the one before"
        assert len(server.asked) == 3

    run(work)


def test_many_who_wait_ask_once_whoever_leaves(clock: list[float]) -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        server.authorizer = asyncio.Event()
        waiting = [asyncio.ensure_future(one.challenged("GET", MANIFEST, [CHALLENGE])) for _ in range(64)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        server.authorizer.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [True] * 63
        assert len(server.asked) == 1

    run(work)


def test_a_failure_is_not_kept(clock: list[float]) -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        server.error = UpstreamUnavailable("down", 7)
        with pytest.raises(UpstreamUnavailable):
            await one.challenged("GET", MANIFEST, [CHALLENGE])
        server.error = None
        assert await one.headers("GET", MANIFEST) == {"authorization": "Bearer token-2"}

    run(work)


@pytest.mark.parametrize(
    ("status", "auth", "error"),
    [
        (401, None, UpstreamRefused),
        (403, None, UpstreamRefused),
        (403, "a:b", UpstreamRefused),
        (401, "a:b", UpstreamFailed),
        (404, None, UpstreamFailed),
    ],
)
def test_no_token(status: int, auth: str | None, error: type[UpstreamFailed]) -> None:
    one = RegistryAuthorization(Upstream(URL, auth=auth), TokenServer(status))

    async def work() -> None:
        with pytest.raises(UpstreamFailed) as raised:
            await one.challenged("GET", MANIFEST, [CHALLENGE])
        assert type(raised.value) is error
        assert "a:b" not in str(raised.value)

    run(work)


@each(
    "realm",
    [
        "http://auth.example.com/token",
        "http://registry.example.com/token",
        "ftp://auth.example.com/token",
        "https://user:secret@auth.example.com/token",
        "https:///token",
        "/token",
        "https://auth.example.com/a b",
        "https://[auth/token",
    ],
)
def test_realms_that_get_no_credentials(realm: str) -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL, auth="a:b"), server)

    async def work() -> None:
        with pytest.raises(UpstreamFailed):
            await one.challenged("GET", MANIFEST, [f'Bearer realm="{realm}"'])
        assert server.asked == []

    run(work)


@each(
    ("host", "other", "same"),
    [
        ("registry.example.com", "registry.example.com", True),
        ("registry.example.com", "auth.example.com", True),
        ("registry.example.com", "a.b.example.com", True),
        ("registry.example.com", "example.com", True),
        ("example.com", "auth.example.com", True),
        ("registry-1.docker.io", "auth.docker.io", True),
        ("registry.example.com", "example.org", False),
        ("registry.example.com", "evilexample.com", False),
        ("registry.example.com", "com", False),
        ("example.com", "other.com", False),
        ("example.com", "evil-example.com", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "11.0.0.1", False),
        ("registry", "auth", False),
        ("::1", "::2", False),
    ],
)
def test_the_site_of_an_upstream(host: str, other: str, same: bool) -> None:
    assert upstream_auth.is_same_site(host, other) is same


def test_credentials_go_to_no_foreign_token_service() -> None:
    foreign = 'Bearer realm="https://auth.example.net:8443/token"'

    async def work() -> None:
        server = TokenServer()
        one = RegistryAuthorization(Upstream(URL, auth="a:b"), server)
        with pytest.raises(UpstreamFailed, match=r'token_hosts = \["auth.example.net"\]'):
            await one.challenged("GET", MANIFEST, [foreign])
        assert server.asked == []
        named = RegistryAuthorization(Upstream(URL, auth="a:b", token_hosts=("*.example.net",)), server)
        assert await named.challenged("GET", MANIFEST, [foreign])
        assert "authorization" in server.asked[0][1]

    run(work)


def test_who_has_no_credentials_asks_any_token_service() -> None:
    async def work() -> None:
        server = TokenServer()
        one = RegistryAuthorization(Upstream(URL), server)
        assert await one.challenged("GET", MANIFEST, ['Bearer realm="https://auth.example.net/token"'])
        assert "authorization" not in server.asked[0][1]

    run(work)


def test_the_upstream_itself_may_be_asked_without_tls() -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream("http://10.0.0.1:5000", auth="a:b"), server)

    async def work() -> None:
        assert await one.challenged(
            "GET",
            "http://10.0.0.1:5000/v2/a/manifests/1",
            ['Bearer realm="http://10.0.0.1:5000/token?a=b#c"'],
        )
        assert server.asked[0][0] == "http://10.0.0.1:5000/token?a=b&scope=repository%3Aa%3Apull"
        assert server.terms[0].given == {"http://10.0.0.1:5000"}

    run(work)


@pytest.mark.parametrize("is_inside", [True, False])
def test_a_token_service_may_be_where_the_upstream_is(is_inside: bool) -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        assert await one.challenged("GET", MANIFEST, [CHALLENGE], is_inside=is_inside)
        assert server.terms[0].inside is is_inside

    run(work)


def test_credentials_are_for_the_upstream_only() -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL, auth="a:b"), server)

    async def work() -> None:
        await one.challenged("GET", MANIFEST, [CHALLENGE])
        for other in ("https://cdn.example.com/blob", "http://registry.example.com/v2/", f"{URL}:444/"):
            assert await one.headers("GET", other) == {}
            assert not await one.challenged("GET", other, ['Bearer realm="https://evil.example.com/"'])
        assert len(server.asked) == 1

    run(work)


def test_basic() -> None:
    one = RegistryAuthorization(Upstream(URL, auth="a:b"), TokenServer())

    async def work() -> None:
        assert await one.headers("GET", MANIFEST) == {}
        assert await one.challenged("GET", MANIFEST, ['Basic realm="x"'])
        assert await one.headers("GET", MANIFEST) == {"authorization": "Basic YTpi"}
        assert not await one.challenged("GET", MANIFEST, ['Basic realm="x"']), "they are wrong"
        assert not one.is_known
        nobody = RegistryAuthorization(Upstream(URL), TokenServer())
        assert not await nobody.challenged("GET", MANIFEST, ['Basic realm="x"'])
        assert not await nobody.challenged("GET", MANIFEST, ["Digest", "Bearer"])

    run(work)


def test_a_scope_that_the_upstream_calls_otherwise_is_remembered(clock: list[float]) -> None:
    server = TokenServer(seconds=100)
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        await one.challenged("GET", MANIFEST, ['Bearer realm="https://auth.example.com/",scope="*"'])
        clock[0] += 200
        await one.headers("GET", MANIFEST)
        assert [url for url, _ in server.asked] == ["https://auth.example.com/?scope=%2A"] * 2

    run(work)


def test_tokens_are_bounded(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_auth, "MAX_TOKENS", 3)
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        await one.challenged("GET", MANIFEST, [CHALLENGE])
        for name in "abcd":
            await one.headers("GET", f"{URL}/v2/{name}/manifests/1")
        assert len(server.asked) == 5
        await one.headers("GET", f"{URL}/v2/d/manifests/1")
        assert len(server.asked) == 5
        await one.headers("GET", MANIFEST)
        assert len(server.asked) == 6

    run(work)


LOCAL = 'Bearer realm="https://auth.example.com/",scope="repository:local/library/alpine:pull"'


def test_a_young_token_of_another_scope_is_not_kept(clock: list[float]) -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        await one.challenged(
            "GET", f"{URL}/v2/other/manifests/1", ['Bearer realm="https://auth.example.com/"']
        )
        assert await one.headers("GET", MANIFEST) == {"authorization": "Bearer token-2"}
        for _ in range(2):
            assert await one.challenged("GET", MANIFEST, [LOCAL])
            assert await one.headers("GET", MANIFEST) == {"authorization": "Bearer token-3"}
        assert server.asked[2][0].endswith("scope=repository%3Alocal%2Flibrary%2Falpine%3Apull")

    run(work)


def test_who_needs_another_scope_does_not_wait_for_the_old_one(clock: list[float]) -> None:
    server = TokenServer()
    one = RegistryAuthorization(Upstream(URL), server)

    async def work() -> None:
        await one.challenged(
            "GET", f"{URL}/v2/other/manifests/1", ['Bearer realm="https://auth.example.com/"']
        )
        old = server.authorizer = asyncio.Event()
        early = asyncio.ensure_future(one.headers("GET", MANIFEST))
        while len(server.asked) < 2:
            await asyncio.sleep(0)
        server.authorizer = None
        refused = asyncio.ensure_future(one.challenged("GET", MANIFEST, [LOCAL]))
        for _ in range(8):
            await asyncio.sleep(0)
        assert refused.done()
        old.set()
        await asyncio.gather(early, refused)
        await asyncio.sleep(0)
        assert await one.headers("GET", MANIFEST) == {"authorization": "Bearer token-3"}, (
            "the newer one stays"
        )
        assert len(server.asked) == 3

    run(work)
