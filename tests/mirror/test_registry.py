"""The client of a NORA: patient, never fooled, and within the registry."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from nora.errors import Denied, DigestMismatch, NoraError, NotFound
from nora.formats.mirroring import Document, Unusable
from nora.mirror import NoraRegistry
from nora.mirror.registry import ATTEMPTS, LONGEST_WAIT
from nora.outbound import Outbound
from tests.support.answers import Answer, document, redirect
from tests.support.tables import each
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def outbound() -> AsyncIterator[Outbound]:
    found = Outbound(None)
    yield found
    await found.close()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def registry(outbound: Outbound, upstream: Upstream, slept: list[float]) -> NoraRegistry:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    return NoraRegistry(outbound, upstream.url, ("/toys/",), {}, sleep=sleep)


async def test_it_waits_as_it_is_told_and_asks_again(
    registry: NoraRegistry, upstream: Upstream, slept: list[float]
) -> None:
    upstream.serve("/toys/a", document(b"{}"))
    limited = Answer(status=429, headers={"retry-after": "7"})
    upstream.once("/toys/a", limited, Answer(status=503), Answer(status=504, headers={"retry-after": "9999"}))
    assert (await registry.document("/toys/a")).body == b"{}"
    assert slept == [7.0, 2.0, LONGEST_WAIT]


async def test_it_gives_up_at_last_and_says_why(
    registry: NoraRegistry, upstream: Upstream, slept: list[float]
) -> None:
    upstream.serve("/toys/a", Answer(status=502, body=b"the upstream\n is\x1b[1m ill"))
    with pytest.raises(Unusable, match=f"502: the upstream is.{{1,2}}1m ill .{ATTEMPTS} attempts"):
        await registry.document("/toys/a")
    assert len(slept) == ATTEMPTS - 1


async def test_a_cut_is_asked_for_again(registry: NoraRegistry, upstream: Upstream) -> None:
    upstream.serve("/toys/a", document(b"whole"))
    upstream.once("/toys/a", document(b"whole", cut=2))
    await registry.file("/toys/a", {"sha256": [hashlib.sha256(b"whole").hexdigest()]})


async def test_a_refusal_is_final(registry: NoraRegistry, upstream: Upstream, slept: list[float]) -> None:
    refusals: list[tuple[int, type[NoraError]]] = [
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (500, Unusable),
    ]
    for status, kind in refusals:
        upstream.serve("/toys/a", Answer(status=status, body=b"because"))
        with pytest.raises(kind, match=f"{status}: because"):
            await registry.file("/toys/a", {})
    assert slept == []


async def test_other_bytes_are_found(registry: NoraRegistry, upstream: Upstream) -> None:
    upstream.serve("/toys/a", document(b"other"))
    wanted = hashlib.sha512(b"whole").hexdigest()
    with pytest.raises(DigestMismatch, match=f"its sha512 is {hashlib.sha512(b'other').hexdigest()}"):
        await registry.file("/toys/a", {"sha256": [hashlib.sha256(b"other").hexdigest()], "sha512": [wanted]})


async def test_a_redirect_to_a_bucket_is_followed_without_the_token(
    outbound: Outbound, upstream: Upstream
) -> None:
    registry = NoraRegistry(outbound, upstream.url, ("/toys/",), {"authorization": "Bearer secret"})
    other = upstream.url.replace("127.0.0.1", "localhost")
    upstream.serve("/toys/a", redirect(f"{other}/bucket"))
    upstream.serve("/bucket", document(b"whole"))
    await registry.file("/toys/a", {"sha256": [hashlib.sha256(b"whole").hexdigest()]})
    assert "authorization" not in upstream.log.of("GET", "/bucket")[0].headers


@each(
    ("registry_url", "prefix", "url"),
    [
        ("http://localhost:4000", "", "http://localhost:4000/toys/a%2Fb"),
        ("http://localhost:4000", "", "https://nora.example.com/toys/a%2Fb"),
        ("http://localhost:4000", "", "https://example.com/behind/nora/toys/a%2Fb"),
        ("https://example.com/behind", "", "../a%2Fb"),
        ("http://localhost:4000", "/r/mine", "https://nora.example.com/r/mine/toys/a%2Fb"),
        ("https://example.com/toys", "", "https://example.com/toys/toys/a%2Fb"),
    ],
)
def test_what_a_document_names_is_asked_of_the_registry(registry_url: str, prefix: str, url: str) -> None:
    registry = NoraRegistry(Outbound(None), registry_url, ("/toys/",), {}, prefix=prefix)
    found = registry.path_of(url, Document(f"{registry_url}{prefix}/toys/dir/list", {}, b""))
    assert found == "/toys/a%2Fb"


def test_what_is_elsewhere_is_not_asked_for() -> None:
    registry = NoraRegistry(Outbound(None), "http://localhost:4000", ("/toys/",), {})
    listed = Document("http://localhost:4000/toys/list", {}, b"")
    with pytest.raises(Unusable, match="which is not in this registry"):
        registry.path_of("https://files.example.com/a", listed)


def test_a_document_is_an_object() -> None:
    for body in (b"", b"[]", b"{", b"<html>"):
        with pytest.raises(Unusable, match="http://x/a"):
            _ = Document("http://x/a", {}, body).json
