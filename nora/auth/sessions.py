"""Session tokens: what a client is given for the credentials that it has shown, for a few minutes.

A JWT (RFC 7519) in compact form, signed by HS256 with a key that all processes of a catalog share: valid on
every worker and after a restart, kept nowhere. The header is a constant and compared as such, so that no
token chooses its own algorithm (RFC 8725, 3.1). It names what it was made from; whoever accepts one asks
whether that is still valid.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as NotBase64
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from nora.errors import Unauthenticated
from nora.model import ANONYMOUS, Principal, Scope

SECRET: Final = "session-key"  # noqa: S105 - the name of it
"""The name of the key among the secrets of the catalog."""
LIFETIME_SECONDS: Final = 300
"""Of a session; clients take less than 60 for 60 (distribution's token specification)."""
REFRESH_SECONDS: Final = 365 * 24 * 3600
"""Of a refresh token, which ends earlier with what it was made from."""
MAX_LENGTH: Final = 16 * 1024
"""Of a token, in characters; a longer one is not one of ours."""

NOTHING: Final = (Scope("", "", frozenset()),)
"""Scopes that allow nothing; no scopes at all would mean no limits."""

_ACCESS, _REFRESH, _BROWSER = "nora", "nora-refresh", "nora-browser"
_RECENT = 4096
_ALPHABET = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


@dataclass(frozen=True, slots=True)
class Session:
    """What a token says, its signature and its time checked."""

    principal: Principal
    """Who asks, with the rights of this session as scopes."""
    holder: Principal
    """Who it was made for, with the rights that they had then."""
    audience: str
    expires_at: float
    """Seconds since the epoch."""
    id: str
    """What tells it from all others: its signature."""


class Sessions:
    """Makes and reads the session tokens of one catalog."""

    def __init__(self, key: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = key
        self._clock = clock
        self._recent: OrderedDict[str, Session] = OrderedDict()

    def mint(self, holder: Principal, access: tuple[Scope, ...], seconds: int = LIFETIME_SECONDS) -> str:
        """A session of `holder`, for `seconds` at most (`lifetime`), that may do no more than `access`.

        The caller has decided that the holder may do all of `access`.
        """
        return self._sign(holder, access, _ACCESS, self.lifetime(holder, seconds))

    def lifetime(self, holder: Principal, seconds: int = LIFETIME_SECONDS) -> int:
        """How many seconds a session of `holder` lives: no longer than the one that opens it."""
        return seconds if holder.ends_at is None else min(seconds, int(holder.ends_at - self._clock()))

    def mint_refresh(self, holder: Principal) -> str:
        """A token that opens nothing but new sessions of `holder`."""
        return self._sign(holder, (), _REFRESH, REFRESH_SECONDS)

    def read(self, text: str) -> Session | None:
        """The session of a token, None when it is not one of ours.

        The caller asks whether `principal.parent` is still valid. Raises Unauthenticated for one of ours
        that has expired or is for another use.
        """
        return self._read(text, _ACCESS)

    def read_refresh(self, text: str) -> Principal | None:
        """The holder of a refresh token, None when it is not one of ours. Otherwise as `read`."""
        session = self._read(text, _REFRESH)
        return None if session is None else session.holder

    def mint_browser(self, holder: Principal, seconds: int) -> str:
        """A token that opens web pages, and nothing else, with all that its holder may do."""
        return self._sign(holder, (), _BROWSER, self.lifetime(holder, seconds))

    def read_browser(self, text: str) -> Session | None:
        """The session of such a token. Otherwise as `read`."""
        return self._read(text, _BROWSER)

    def _read(self, text: str, audience: str) -> Session | None:
        session = self._recent.get(text)
        if session is None:
            session = self._verify(text)
            if session is None:
                return None
            if len(self._recent) >= _RECENT:
                self._recent.popitem(last=False)
            self._recent[text] = session
        if session.expires_at <= self._clock():
            self._recent.pop(text, None)
            raise Unauthenticated("the session has expired")
        if session.audience != audience:
            raise Unauthenticated("the token is for another use")
        return session

    def _sign(self, holder: Principal, access: tuple[Scope, ...], audience: str, seconds: int) -> str:
        now = int(self._clock())
        claims = {
            "iss": "nora",
            "aud": audience,
            "sub": holder.name,
            "iat": now,
            "jti": _encode(os.urandom(12)),  # who ends one of two that begin at once ends only that
            "exp": now + seconds,
            "method": holder.method,
            "role": holder.role,
            "parent": holder.parent,
            "scopes": _dump(holder.scopes),
            "access": _dump(access),
        }
        signed = f"{_HEADER}.{_encode(orjson.dumps(claims))}"
        return f"{signed}.{self._signature(signed)}"

    def _verify(self, text: str) -> Session | None:
        if len(text) > MAX_LENGTH or not text.startswith(_HEADER) or not _ALPHABET.issuperset(text):
            return None
        signed, _, signature = text.rpartition(".")
        if not hmac.compare_digest(signature, self._signature(signed)):
            return None
        try:
            return _load(orjson.loads(_decode(signed[len(_HEADER) + 1 :])), signature)
        except (ValueError, KeyError, TypeError, NotBase64):
            return None  # signed by a version that said it otherwise

    def _signature(self, signed: str) -> str:
        return _encode(hmac.digest(self._key, signed.encode(), hashlib.sha256))


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


_HEADER: Final = _encode(b'{"alg":"HS256","typ":"JWT"}')


_Dumped = tuple[str, str, list[Any], bool]


def _dump(scopes: Iterable[Scope]) -> list[_Dumped]:
    return [(scope.repository, scope.name, sorted(scope.actions), scope.enforced) for scope in scopes]


def _scopes(dumped: list[_Dumped]) -> tuple[Scope, ...]:
    return tuple(
        Scope(repository, name, frozenset(actions), enforced)
        for repository, name, actions, enforced in dumped
    )


def _load(claims: dict[str, Any], signature: str) -> Session:
    name, role, parent = claims["sub"], claims["role"], claims["parent"]
    ends_at = float(claims["exp"])
    holder = Principal(name, claims["method"], role, _scopes(claims["scopes"]), parent)
    principal = Principal(name, "session", role, _scopes(claims["access"]) or NOTHING, parent, ends_at)
    if holder.is_anonymous:  # whose rights are everybody's, and who might be let in by saying who they are
        principal = ANONYMOUS
    return Session(principal, holder, claims["aud"], ends_at, signature)
