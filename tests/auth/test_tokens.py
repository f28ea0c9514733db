"""Tokens: their form, their life, and who may end it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nora.auth.scopes import parse_scope
from nora.auth.tokens import (
    Tokens,
    is_token,
    new_token,
    parse_token_id,
    parse_user,
    secret_hash,
)
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import BadRequest, StorageFailed
from nora.model import Scope
from tests.support.catalogs import prepare_catalog
from tests.support.tables import each


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[SQLiteCatalog]:
    path = tmp_path / "catalog.sqlite3"
    prepare_catalog(path)
    catalog = SQLiteCatalog.open(path)
    yield catalog
    await catalog.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tokens(catalog: SQLiteCatalog, clock: Clock) -> Tokens:
    return Tokens(catalog, clock)


def test_a_token_is_known_by_its_form_and_checksum() -> None:
    text = new_token()
    assert re.fullmatch(r"nra_[0-9A-Za-z]{49}", text)
    assert is_token(text)
    for position in range(len(text)):
        other = "a" if text[position] != "a" else "b"
        assert not is_token(text[:position] + other + text[position + 1 :])
    assert not is_token(text + "a")
    assert len({new_token() for _ in range(100)}) == 100


@given(st.text(max_size=60) | st.text(max_size=60).map(lambda rest: "nra_" + rest))
@example("nra_" + "é" * 49)
def test_no_text_is_taken_for_a_token(text: str) -> None:
    assert not is_token(text)


@given(st.text(max_size=40))
@example("docker:team/*:read,write")
def test_no_scope_raises_anything_else(text: str) -> None:
    with contextlib.suppress(BadRequest):
        assert parse_scope(text).actions <= {"read", "write", "delete"}


def test_scopes_are_read() -> None:
    assert parse_scope("docker:team/*:read,write") == Scope("docker", "team/*", frozenset({"read", "write"}))
    assert parse_scope("::delete") == Scope("**", "**", frozenset({"delete"}))
    assert parse_scope("maven:com.acme:lib:read") == Scope("maven", "com.acme:lib", frozenset({"read"}))
    for text in ("docker", "docker:read", "docker:x:admin", "docker:x:", "docker:x:read,"):
        with pytest.raises(BadRequest):
            parse_scope(text)


@each("text", ["", "../../etc/passwd", "..%2f", "A" * 16, "0" * 15, "0" * 17, "0" * 16 + "\n"])
def test_an_id_is_sixteen_hexadecimal_digits(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_token_id(text)


@each("text", ["", "a:b", "a\nb", " a", "#a", "a" * 129, "\0"])
def test_a_user_fits_a_line_of_the_file(text: str) -> None:
    with pytest.raises(BadRequest):
        parse_user(text)


@pytest.mark.anyio
async def test_a_token_is_verified_and_revoked(tokens: Tokens) -> None:
    text, made = await tokens.create("alice", "write", scopes=(Scope("docker"),), description="CI")
    assert made.secret_hash == secret_hash(text)
    assert text not in repr(made)
    assert await tokens.verify(text) == made
    assert await tokens.is_valid(made.id)
    assert await tokens.verify(new_token()) is None
    assert not await tokens.revoke(made.id, "mallory")
    assert await tokens.revoke(made.id, "alice")
    assert await tokens.verify(text) is None
    assert not await tokens.is_valid(made.id)


@pytest.mark.anyio
async def test_a_token_expires_exactly(tokens: Tokens, clock: Clock) -> None:
    text, made = await tokens.create("alice", "read", ttl_seconds=60)
    clock.now += 59.9
    assert await tokens.verify(text) == made
    assert await tokens.is_valid(made.id)
    clock.now += 0.1
    assert await tokens.verify(text) is None
    assert not await tokens.is_valid(made.id)
    assert [one.id for one in await tokens.list("alice")] == [made.id], "it is still listed"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("user", "description", "seconds"),
    [
        *[("", "", None), ("a:b", "", None), ("a", "x" * 257, None), ("a", "\x1b[31m", None)],
        *[("a", "", seconds) for seconds in (0.0, -1.0, float("nan"), float("inf"), 1e12)],
    ],
)
async def test_what_cannot_be_is_refused(
    tokens: Tokens, user: str, description: str, seconds: float | None
) -> None:
    with pytest.raises(BadRequest):
        await tokens.create(user, "read", description=description, ttl_seconds=seconds)


@pytest.mark.anyio
async def test_uses_are_noted_in_batches(tokens: Tokens, catalog: SQLiteCatalog, clock: Clock) -> None:
    text, made = await tokens.create("alice", "read")
    await tokens.verify(text)
    assert (await tokens.list(None))[0].last_used_at is None
    clock.now += 5
    await tokens.verify(text)
    await tokens.flush()
    assert [(one.id, one.last_used_at) for one in await tokens.list(None)] == [(made.id, 1005.0)]
    await tokens.flush()


@pytest.mark.anyio
async def test_uses_that_could_not_be_noted_are_kept(
    tokens: Tokens, catalog: SQLiteCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(uses: object) -> None:
        raise StorageFailed("no")

    text, _ = await tokens.create("alice", "read")
    await tokens.verify(text)
    with monkeypatch.context() as patch:
        patch.setattr(catalog, "note_token_uses", full)
        with pytest.raises(StorageFailed):
            await tokens.flush()
    await tokens.flush()
    assert (await tokens.list(None))[0].last_used_at == 1000.0


@pytest.mark.anyio
async def test_all_tokens_of_a_user_are_revoked(tokens: Tokens) -> None:
    mine = [(await tokens.create("alice", "read"))[0] for _ in range(3)]
    other, _ = await tokens.create("bob", "read")
    assert await tokens.revoke_all("alice") == 3
    assert [await tokens.verify(text) for text in mine] == [None] * 3
    assert await tokens.verify(other) is not None


@pytest.mark.anyio
async def test_the_log_warns_once_a_day_before_a_token_ends(
    tokens: Tokens, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    day = 24 * 3600.0
    _, soon = await tokens.create("ci", "read", description="night build", ttl_seconds=7 * day)
    await tokens.create("ci", "read", ttl_seconds=90 * day)
    await tokens.create("ci", "read")
    for hours in (0, 1, 23, 24):
        clock.now = 1000.0 + hours * 3600
        await tokens.warn_of_ends()
    warnings = [record.getMessage() for record in caplog.records]
    assert len(warnings) == 2, warnings
    for text in (soon.id, "ci", "night build", "nora token rotate", "1970-01-08"):
        assert text in warnings[0]
    caplog.clear()
    clock.now = 1000.0 + 8 * day
    await tokens.warn_of_ends()
    assert not caplog.records, "it has ended"
