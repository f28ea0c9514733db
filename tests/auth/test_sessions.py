"""Session tokens: what comes back is what went in, and nothing else comes back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.auth.sessions import LIFETIME_SECONDS, MAX_LENGTH, NOTHING, REFRESH_SECONDS, Sessions
from nora.errors import Unauthenticated
from nora.model import ACTIONS, ANONYMOUS, Principal, Scope

KEY = bytes(range(32))
NOW = 1_800_000_000.0
HOLDER = Principal("ci", "token", "write", (Scope("docker", "team/**"),), "token:0123456789abcdef")
ACCESS = (
    Scope("docker", "team/app", frozenset({"read", "write"})),
    Scope("docker", "b", frozenset({"read"})),
)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(KEY, clock)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def forge(header: object, claims: object, key: bytes = KEY) -> str:
    signed = (
        f"{encode(json.dumps(header, separators=(',', ':')).encode())}.{encode(json.dumps(claims).encode())}"
    )
    return f"{signed}.{encode(hmac.digest(key, signed.encode(), hashlib.sha256))}"


def test_a_session_may_do_what_was_granted_and_knows_its_parent(sessions: Sessions) -> None:
    session = sessions.read(sessions.mint(HOLDER, ACCESS))
    assert session is not None
    assert session.principal == Principal("ci", "session", "write", ACCESS, "token:0123456789abcdef")
    assert session.holder == HOLDER
    assert session.expires_at == NOW + LIFETIME_SECONDS


def test_it_is_valid_in_another_process(sessions: Sessions, clock: Clock) -> None:
    assert Sessions(KEY, clock).read(sessions.mint(HOLDER, ACCESS)) is not None


def test_a_session_of_nothing_is_not_one_without_limits(sessions: Sessions) -> None:
    unlimited = Principal("root", "password", "admin", parent="user:root:1")
    session = sessions.read(sessions.mint(unlimited, ()))
    assert session is not None
    assert session.principal.scopes == NOTHING
    assert not any(scope.actions for scope in session.principal.scopes)


def test_an_anonymous_session_is_anonymous(sessions: Sessions) -> None:
    session = sessions.read(sessions.mint(ANONYMOUS, ACCESS))
    assert session is not None
    assert session.principal == ANONYMOUS


@pytest.mark.parametrize("seen_before", [True, False])
def test_it_ends(sessions: Sessions, clock: Clock, seen_before: bool) -> None:
    token = sessions.mint(HOLDER, ACCESS)
    clock.now += LIFETIME_SECONDS - 1
    if seen_before:
        assert sessions.read(token) is not None
    clock.now += 1
    with pytest.raises(Unauthenticated, match="expired"):
        sessions.read(token)


def test_a_refresh_token_opens_nothing_but_sessions(sessions: Sessions, clock: Clock) -> None:
    refresh = sessions.mint_refresh(HOLDER)
    assert sessions.read_refresh(refresh) == HOLDER
    with pytest.raises(Unauthenticated, match="another use"):
        sessions.read(refresh)
    with pytest.raises(Unauthenticated, match="another use"):
        sessions.read_refresh(sessions.mint(HOLDER, ACCESS))
    clock.now += REFRESH_SECONDS
    with pytest.raises(Unauthenticated, match="expired"):
        sessions.read_refresh(refresh)


def test_no_other_key_and_no_other_algorithm(sessions: Sessions) -> None:
    token = sessions.mint(HOLDER, ACCESS)
    claims = claims_of(token)
    assert forge({"alg": "HS256", "typ": "JWT"}, claims)  # our own header, and below a key that is not ours
    assert sessions.read(forge({"alg": "HS256", "typ": "JWT"}, claims, bytes(32))) is None
    for header in ({"alg": "none"}, {"alg": "none", "typ": "JWT"}, {"typ": "JWT", "alg": "HS256"}, {}):
        assert sessions.read(forge(header, claims)) is None
    head, payload, _ = token.split(".")
    assert sessions.read(f"{head}.{payload}.") is None
    assert sessions.read(f"{head}.{payload}") is None
    assert sessions.read(token + "=") is None


@pytest.mark.parametrize("claims", [[], {}, None, {"sub": 1}, {"exp": "x", "aud": "nora"}])
def test_what_it_does_not_understand_is_not_its_own(sessions: Sessions, claims: object) -> None:
    assert sessions.read(forge({"alg": "HS256", "typ": "JWT"}, claims)) is None


def test_too_long_is_not_looked_at(sessions: Sessions) -> None:
    wide = tuple(Scope("docker", f"{n}/{'x' * 200}") for n in range(100))
    token = sessions.mint(HOLDER, wide)
    assert len(token) > MAX_LENGTH
    assert sessions.read(token) is None


@given(text=st.text() | st.from_regex(r"[A-Za-z0-9_-]{0,40}(\.[A-Za-z0-9_-]{0,40}){0,4}"))
def test_no_text_is_a_session(text: str) -> None:
    sessions = Sessions(KEY, lambda: NOW)
    assert sessions.read(text) is None
    assert sessions.read_refresh(text) is None


@given(at=st.integers(0, 10_000), character=st.sampled_from("AZaz09-_. \n\u00e9="))
def test_no_changed_character_goes_unseen(at: int, character: str) -> None:
    sessions = Sessions(KEY, lambda: NOW)
    token = sessions.mint(HOLDER, ACCESS)
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]
    assert (sessions.read(changed) is None) == (changed != token)


scopes = st.builds(
    Scope,
    st.text(max_size=20),
    st.text(max_size=20),
    st.frozensets(st.sampled_from(sorted(ACTIONS))),
    st.booleans(),
)


@given(
    holder=st.builds(
        Principal,
        st.text(max_size=40),
        st.sampled_from(("password", "token", "oidc")),
        st.sampled_from(("read", "write", "admin")),
        st.lists(scopes, max_size=3).map(tuple),
        st.text(max_size=40),
    ),
    access=st.lists(scopes, max_size=3).map(tuple),
)
def test_whatever_was_put_in_comes_out(holder: Principal, access: tuple[Scope, ...]) -> None:
    session = Sessions(KEY, lambda: NOW).read(Sessions(KEY, lambda: NOW).mint(holder, access))
    assert session is not None
    assert session.holder == holder
    assert session.principal == Principal(
        holder.name, "session", holder.role, access or NOTHING, holder.parent
    )
