"""Who is asking: every way to say it, what it may not be mistaken for, and how soon it ends."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from blacksheep import Request
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nora.auth import passwords as passwords_module
from nora.auth.authenticator import Authenticator
from nora.auth.grounds import Grounds
from nora.auth.htpasswd import Htpasswd, set_account
from nora.auth.passwords import Passwords, hash_password
from nora.auth.sessions import Sessions
from nora.auth.tokens import Tokens, new_token
from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import Denied, StorageFailed, TooManyRequests, Unauthenticated
from nora.model import ANONYMOUS, Principal, Scope
from tests.support.catalogs import prepare_catalog

pytestmark = pytest.mark.anyio

FOREIGN = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ4In0.c2ln"
RULELESS = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJ5In0.c2ln"
WORKLOAD = Principal("repo:acme/app", "oidc", "write")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Workloads:
    """Knows one identity token."""

    async def verify(self, text: str) -> Principal:
        if text == RULELESS:
            raise Denied("no rule")
        if text != FOREIGN:
            raise Unauthenticated("unknown issuer")
        return WORKLOAD


@dataclass
class Attempts:
    """Remembers what it was told; locked when asked to be."""

    told: list[tuple[str, str, str]] = field(default_factory=list)
    locked: bool = False

    def check(self, address: str, user: str) -> float:
        if self.locked:
            raise TooManyRequests("locked", 7)
        return 0.0

    def on_failure(self, address: str, user: str) -> None:
        self.told.append(("failure", address, user))

    def on_success(self, address: str, user: str) -> None:
        self.told.append(("success", address, user))


@dataclass
class House:
    """An authenticator and what is behind it."""

    authenticator: Authenticator
    tokens: Tokens
    sessions: Sessions
    catalog: SQLiteCatalog
    attempts: Attempts
    users: Path
    clock: Clock
    roles: dict[str, str]

    async def who(self, value: bytes | str, **options: bool) -> Principal:
        header = value.encode() if isinstance(value, str) else value
        return await self.authenticator.identify(request(header), **options)


def request(*values: bytes, name: bytes = b"authorization") -> Request:
    headers = [(b"host", b"localhost"), *((name, value) for value in values)]
    scope = {"headers": headers, "nora.client": "192.0.2.7"}
    return cast("Request", SimpleNamespace(scope=scope))


def basic(user: str, password: str) -> bytes:
    return b"Basic " + b64encode(f"{user}:{password}".encode())


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    path = tmp_path / "catalog.sqlite3"
    prepare_catalog(path)
    catalog, clock, attempts, users = SQLiteCatalog.open(path), Clock(), Attempts(), tmp_path / "users"
    users.write_text(f"alice:{hash_password('right', 4)}\nroot:{hash_password('toor', 4)}\n")
    accounts, roles = Htpasswd(users, clock), {"root": "admin"}
    role_of = cast("Any", lambda name: roles.get(name, "write"))
    grounds = Grounds(accounts, role_of, ["ci"])
    tokens, sessions = Tokens(catalog, clock, grounds), Sessions(b"k" * 32, clock)
    passwords = Passwords(accounts, tmp_path / "lock", 60, clock)
    authenticator = Authenticator(
        enabled=True,
        tokens=tokens,
        passwords=passwords,
        role_of=role_of,
        sessions=sessions,
        grounds=grounds,
        identities=Workloads(),
        attempts=attempts,
    )
    yield House(authenticator, tokens, sessions, catalog, attempts, users, clock, roles)
    passwords.close()
    await catalog.close()


async def test_nobody(house: House) -> None:
    assert await house.authenticator.identify(request()) is ANONYMOUS
    assert await house.who(b"") is ANONYMOUS
    assert await house.who(basic("", "")) is ANONYMOUS


async def test_a_password(house: House) -> None:
    alice, root = await house.who(basic("alice", "right")), await house.who(basic("root", "toor"))
    assert (alice.name, alice.method, alice.role, alice.scopes) == ("alice", "password", "write", ())
    assert alice.parent.startswith("user:alice:")
    assert root.role == "admin"
    assert await house.who(basic("alice", "right")) == alice


async def test_a_remembered_password_is_looked_at_again(house: House) -> None:
    header = basic("alice", "right")
    for _ in range(2):
        await house.who(header)
    house.clock.now += 61  # longer than it is remembered
    await house.who(header)
    assert house.attempts.told == [("success", "192.0.2.7", "alice")] * 2
    set_account(house.users, "alice", hash_password("new", 4), exists=True)
    house.clock.now += 1
    with pytest.raises(Unauthenticated):
        await house.who(header)
    await house.who(basic("alice", "new"))


async def test_a_token_in_every_header(house: House) -> None:
    scopes = (Scope("docker", "team/*", frozenset({"read"})),)
    text, made = await house.tokens.create("ci", "write", scopes=scopes)
    expected = Principal("ci", "token", "write", scopes, f"token:{made.id}")
    for value in (f"Bearer {text}", text, basic("anything", text), basic("", text), basic("root", text)):
        for _ in range(2):  # looked up, then cached
            assert await house.who(value) == expected
    assert await house.authenticator.identify(request(text.encode(), name=b"x-nuget-apikey")) == expected


async def test_a_token_is_never_checked_as_a_password(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(password: bytes, hashed: bytes) -> bool:
        raise AssertionError("bcrypt was asked about a token")

    monkeypatch.setattr(passwords_module.bcrypt, "checkpw", never)
    text, _ = await house.tokens.create("ci", "read")
    assert (await house.who(basic("alice", text))).name == "ci"
    with pytest.raises(Unauthenticated):
        await house.who(basic("alice", new_token()))


async def test_a_revoked_token_is_refused_at_once(house: House, tmp_path: Path) -> None:
    text, made = await house.tokens.create("ci", "read")
    for value in (f"Bearer {text}", basic("x", text)):
        await house.who(value)
    other = SQLiteCatalog.open(tmp_path / "catalog.sqlite3")  # as another worker, or a command
    assert await Tokens(other).revoke(made.id)
    for value in (f"Bearer {text}", basic("x", text)):
        with pytest.raises(Unauthenticated, match="revoked"):
            await house.who(value)
    await other.close()


async def test_a_token_expires_though_it_is_remembered(house: House) -> None:
    text, _ = await house.tokens.create("ci", "read", ttl_seconds=10)
    await house.who(text)
    house.clock.now += 9.9
    await house.who(text)
    house.clock.now += 0.1
    with pytest.raises(Unauthenticated, match="expired"):
        await house.who(text)


async def test_a_session_ends_with_what_it_was_made_from(house: House) -> None:
    text, made = await house.tokens.create("ci", "write")
    access = (Scope("docker", "app", frozenset({"read"})),)
    session = house.sessions.mint(await house.who(text), access)
    found = await house.who(f"Bearer {session}")
    assert (found.name, found.method, found.scopes, found.parent) == (
        "ci",
        "session",
        access,
        f"token:{made.id}",
    )
    await house.tokens.revoke(made.id)
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.who(f"Bearer {session}")


async def test_a_session_of_a_user_ends_with_the_password(house: House) -> None:
    alice = await house.who(basic("alice", "right"))
    session = house.sessions.mint(alice, (Scope(),))
    assert (await house.who(f"Bearer {session}")).name == "alice"
    set_account(house.users, "alice", hash_password("new", 4), exists=True)
    house.clock.now += 1
    assert not await house.authenticator.still_valid(alice)
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.who(f"Bearer {session}")


async def test_who_is_no_administrator_any_more_renews_no_administration(house: House) -> None:
    was = replace(await house.who(basic("alice", "right")), role="admin")
    renewed = await house.authenticator.renew(was)
    assert renewed is not None
    assert renewed.role == "write"
    _, token = await house.tokens.create("ci", "admin", scopes=(Scope("docker", "team/*"),))
    holder = Principal("ci", "token", "admin", token.scopes, f"token:{token.id}")
    assert await house.authenticator.renew(holder) == holder
    await house.tokens.revoke(token.id)
    assert await house.authenticator.renew(holder) is None


async def test_what_a_parent_may_be(house: House) -> None:
    valid, one = house.authenticator.still_valid, Principal("ci", "session", "read")
    for parent in ("", "oidc:ci"):
        assert await valid(replace(one, parent=parent)), parent
    for parent in (
        "token:",
        "token:../x",
        "user:",
        "user:alice",
        "user:alice:",
        "user:nobody:0",
        "oidc:x",
        "x",
    ):
        assert not await valid(replace(one, parent=parent)), parent


async def test_a_session_ends_with_the_role_that_it_was_made_from(house: House) -> None:
    root = await house.who(basic("root", "toor"))
    session = house.sessions.mint(root, (Scope(),))
    assert (await house.who(f"Bearer {session}")).role == "admin"
    house.roles.clear()
    with pytest.raises(Unauthenticated, match="revoked"):
        await house.who(f"Bearer {session}")


async def test_identity_tokens_are_asked_about_elsewhere(house: House) -> None:
    assert await house.who(f"Bearer {FOREIGN}") is WORKLOAD
    assert await house.who(basic("oidc", FOREIGN)) is WORKLOAD
    with pytest.raises(Unauthenticated, match="unknown issuer"):
        await house.who(f"Bearer {FOREIGN}x")


@pytest.mark.parametrize(
    "value",
    [
        b"Bearer nra_StrangerStrangerStrangerStrangerStrangerabc0ghSQi",
        b"Bearer nra_" + b"0" * 49,
        b"Bearer nra_0123456789abcdef0123456789abcdef",
        b"Bearer gho_of-somebody-else",
        b"Negotiate abc",
        basic("alice", "wrong"),
        basic("nobody", "right"),
        basic("alice", ""),
        b"Basic ?",
    ],
)
async def test_bad_credentials_are_refused_or_foreign(house: House, value: bytes) -> None:
    with pytest.raises(Unauthenticated):
        await house.who(value)
    assert await house.who(value, allow_foreign=True) is ANONYMOUS


async def test_two_headers_are_refused(house: House) -> None:
    with pytest.raises(Unauthenticated, match="more than one"):
        await house.authenticator.identify(request(basic("alice", "right"), basic("root", "toor")))


async def test_only_wrong_passwords_are_failures(house: House) -> None:
    for value in (basic("alice", "wrong"), b"Bearer " + new_token().encode(), b"Basic ?", b"Bearer x"):
        with pytest.raises(Unauthenticated):
            await house.who(value)
    await house.who(basic("alice", "right"))
    await house.who(basic("alice", "right"))
    assert house.attempts.told == [("failure", "192.0.2.7", "alice"), ("success", "192.0.2.7", "alice")]


async def test_an_identity_token_says_nothing_about_the_name_beside_it(house: House) -> None:
    """Else whoever has one could end the lock of any name, and go on guessing its password."""
    house.attempts.locked = True
    assert await house.who(basic("alice", FOREIGN)) is WORKLOAD
    assert await house.authenticator.verify(request(), "alice", FOREIGN) is WORKLOAD
    with pytest.raises(Unauthenticated):
        await house.who(basic("alice", f"{FOREIGN}x"))
    assert house.attempts.told == []


async def test_a_workload_without_a_rule_is_denied_or_foreign(house: House) -> None:
    with pytest.raises(Denied):
        await house.who(f"Bearer {RULELESS}")
    for value in (f"Bearer {RULELESS}", basic("oidc", RULELESS)):
        assert await house.who(value, allow_foreign=True) is ANONYMOUS


async def test_who_is_locked_out_learns_nothing_and_tokens_go_on(house: House) -> None:
    text, _ = await house.tokens.create("ci", "read")
    await house.who(basic("alice", "right"))
    house.attempts.locked = True
    for password in ("right", "wrong"):  # though one of them is remembered as right
        locked = request(basic("alice", password))
        with pytest.raises(TooManyRequests):
            await house.authenticator.identify(locked)
        assert cast("dict[str, Any]", locked.scope)["nora.claimed"] == "alice"
        assert await house.who(basic("alice", password), allow_foreign=True) is ANONYMOUS
    assert (await house.who(text)).name == "ci"


async def test_a_failing_store_is_never_a_wrong_token(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise StorageFailed("the disk is gone")

    text, _ = await house.tokens.create("ci", "read")
    other, _ = await house.tokens.create("ci", "read")
    await house.who(text)
    monkeypatch.setattr(house.catalog, "find_token", broken)
    for value in (text, other, basic("x", other)):
        for foreign in (False, True):
            with pytest.raises(StorageFailed):
                await house.who(value, allow_foreign=foreign)
    assert house.attempts.told == []


async def test_nobody_is_asked_while_authentication_is_off(house: House) -> None:
    house.authenticator.enabled = False
    assert await house.who(b"Basic ?") is ANONYMOUS


async def test_the_principal_is_left_in_the_scope(house: House) -> None:
    text, _ = await house.tokens.create("ci", "read")
    for _ in range(2):
        asked = request(text.encode())
        principal = await house.authenticator.identify(asked)
        assert cast("dict[str, Any]", asked.scope)["nora.principal"] == principal


values = st.binary(max_size=40)


@given(
    values
    | values.map(lambda rest: b"Basic " + b64encode(rest))
    | st.sampled_from([b"Bearer ", b"nra_", b"Bearer eyJ"]).flatmap(lambda head: values.map(head.__add__))
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(b"Bearer eyJ..")
async def test_no_header_raises_anything_else(house: House, value: bytes) -> None:
    with contextlib.suppress(Unauthenticated):
        principal = await house.who(value)
        assert principal is ANONYMOUS
