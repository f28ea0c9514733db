"""The usual way to ask an upstream for a document."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.catalog.records import Cached
from nora.errors import UpstreamFailed, UpstreamTimeout
from nora.outbound import Headers, Method, Reply
from nora.proxy.base import UNCHANGED, Fetched, Unchanged
from nora.proxy.upstreams import document_fetch
from tests.proxy.asking import World
from tests.support.answers import document
from tests.support.upstream import Upstream

Found = Fetched | Unchanged | None


@dataclass
class Scripted:
    """An upstream that gives what a test says."""

    url: str
    gives: Reply | UpstreamFailed | None
    asked: list[Headers] = field(default_factory=list)

    async def ask(
        self, method: Method, url: str, headers: Headers | None = None, *, max_bytes: int
    ) -> Reply | None:
        assert (method, url, max_bytes) == ("GET", f"{self.url}/doc", 77)
        self.asked.append(headers or {})
        if isinstance(self.gives, UpstreamFailed):
            raise self.gives
        return self.gives

    def stream(self, url: str, headers: Headers | None = None, *, max_bytes: int) -> Any:
        raise AssertionError

    def naming(self, document: Cached) -> Any:
        raise AssertionError


def reply(status: int = 200, body: bytes = b"doc", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, named, body, "http://elsewhere.example.com/after/redirects")


def one(number: int, gives: Reply | UpstreamFailed | None) -> Scripted:
    return Scripted(f"http://{number}.example.com", gives)


def cached(number: int, validators: Mapping[str, str]) -> Cached:
    return Cached(
        id=1,
        path="doc",
        package=None,
        media_type="text/plain",
        blob=cast("Any", None),
        upstream_url=f"http://{number}.example.com/doc",
        validators=validators,
        document=b"{}",
        fetched_at=0.0,
        fresh_until=0.0,
    )


async def parse(answer: Reply) -> Fetched:
    return Fetched(
        body=answer.body, media_type="text/plain", upstream_url=answer.url, validators={"own": "1"}
    )


def fetch(asked: Scripted, known: Cached | None = None) -> Found:
    ask = document_fetch(asked, f"{asked.url}/doc", {"accept": "text/plain"}, parse, max_bytes=77)
    return cast("Found", asyncio.run(ask(known)))  # type: ignore[arg-type]


def test_a_document_has_its_address_and_validators() -> None:
    asked = one(2, reply(etag='"2"', last_modified="then", other="x"))
    found = fetch(asked)
    assert isinstance(found, Fetched)
    assert found.upstream_url == "http://2.example.com/doc"
    assert found.validators == {"etag": '"2"', "last-modified": "then", "own": "1"}
    assert asked.asked == [{"accept": "text/plain"}]


def test_absence_is_an_answer_failure_is_none() -> None:
    assert fetch(one(1, None)) is None
    assert fetch(one(1, None), cached(1, {"etag": '"1"'})) is None
    with pytest.raises(UpstreamTimeout):
        fetch(one(1, UpstreamTimeout("1")))


def test_what_is_cached_is_revalidated_where_it_came_from() -> None:
    known = cached(2, {"etag": '"2"', "last-modified": "then", "own": "1"})
    there, elsewhere = one(2, reply(304)), one(1, reply())
    assert fetch(there, known) is UNCHANGED
    assert there.asked == [{"accept": "text/plain", "if-none-match": '"2"', "if-modified-since": "then"}]
    assert isinstance(fetch(elsewhere, known), Fetched)
    assert elsewhere.asked == [{"accept": "text/plain"}]


@pytest.mark.parametrize("known", [None, cached(1, {}), cached(2, {"etag": '"2"'})])
def test_unchanged_is_no_answer_to_what_was_not_asked(known: Cached | None) -> None:
    with pytest.raises(UpstreamFailed, match="304"):
        fetch(one(1, reply(304)), known)


@pytest.mark.hypothesis
def test_whatever_an_upstream_calls_its_document_comes_back(upstream: Upstream) -> None:
    """A validator that cannot be sent would be a document that is never revalidated."""
    url = f"{upstream.url}/doc"
    world = World()

    async def twice() -> None:
        asked = world.upstream(upstream.url)
        first = await asked.ask("GET", url, max_bytes=77)
        assert first is not None
        headers = {"if-none-match": first.headers["etag"]}
        assert await asked.ask("GET", url, headers, max_bytes=77) is not None

    @given(
        st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF, exclude_characters="\x7f"), min_size=1)
    )
    def comes_back(etag: str) -> None:
        upstream.serve("/doc", document(b"doc", etag=etag, conditions=False))
        world.run(twice)
        assert upstream.log.requests[-1].headers["if-none-match"] == etag.strip()

    comes_back()
