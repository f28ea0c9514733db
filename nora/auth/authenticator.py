"""Who is asking: from the headers of a request to a Principal, once.

    Bearer, or a password that is a token    an API token of the catalog; a session of the token service;
                                             a workload's identity token (OIDC)
    Basic                                    an account of the htpasswd file, else as above

The way of a token that was seen before is short, since every request of a CI job takes it: one keyed hash of
the header, one look whether the catalog still has the token, nothing to wait for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import blake2b
from typing import Any, Protocol, TypeVar, cast

from blacksheep import Request

from nora.auth.credentials import Basic, Credentials, find_header, parse_credentials
from nora.auth.grounds import Grounds, covers
from nora.auth.htpasswd import Account
from nora.auth.passwords import Passwords, Proof
from nora.auth.sessions import Session, Sessions
from nora.auth.tokens import Tokens, is_token, secret_hash
from nora.errors import Denied, TooManyRequests, Unauthenticated
from nora.http.limits import admit_stranger
from nora.model import ANONYMOUS, Principal, Role

T = TypeVar("T")

REMEMBERED = 4096
"""Headers of tokens, and of sessions."""


class IdentityVerifier(Protocol):
    """Reads workload identity tokens."""

    async def verify(self, text: str) -> Principal:
        """The principal of a token. Raises Unauthenticated; StorageFailed when its issuer cannot be asked."""
        ...


class Attempts(Protocol):
    """Counts wrong passwords by the address of a client and the name of a user; see nora.http.limits."""

    def check(self, address: str, user: str) -> float:
        """How many seconds to wait before a password is looked at. Raises TooManyRequests. As all of them,
        for any thread."""
        ...

    def on_failure(self, address: str, user: str) -> None:
        """The password was wrong. Not when a store failed."""

    def on_success(self, address: str, user: str) -> None:
        """The password was checked, and right."""


class _Turn:
    """One password of a name from an address: see nora.auth.passwords.Turn."""

    def __init__(self, attempts: Attempts, address: str, user: str) -> None:
        self.address = address
        self._attempts = attempts
        self._user = user

    def admit(self) -> None:
        self._attempts.check(self.address, self._user)

    def settle(self, right: bool) -> None:
        told = self._attempts.on_success if right else self._attempts.on_failure
        told(self.address, self._user)


class Authenticator:
    """Knows who is asking. One per worker process.

    What was found is left in the scope of the request as `nora.principal`, and the name of a user whose
    secret was wrong, or not looked at because others were, as `nora.claimed`.
    """

    def __init__(
        self,
        *,
        enabled: bool,
        tokens: Tokens,
        passwords: Passwords,
        role_of: Callable[[str], Role],
        sessions: Sessions,
        grounds: Grounds,
        identities: IdentityVerifier | None = None,
        attempts: Attempts | None = None,
    ) -> None:
        """`role_of` says the role of a user of the file."""
        self.enabled = enabled
        self._tokens = tokens
        self._passwords = passwords
        self._role_of = role_of
        self.sessions = sessions
        self._grounds = grounds
        self._identities = identities
        self._attempts = attempts
        self._key = os.urandom(32)
        self._known: dict[bytes, tuple[str, Principal]] = {}
        """By the keyed hash of a header: the hash of its token, and who that is. A token never changes."""
        self._in_session: dict[bytes, Session] = {}
        """The same of sessions."""
        self._in_password: dict[bytes, tuple[Proof, Principal]] = {}
        """The same of passwords."""

    async def identify(self, request: Request, *, allow_foreign: bool = False) -> Principal:
        """Who sent a request; ANONYMOUS when nobody says so, and while authentication is off.

        `allow_foreign`: where everybody may read, credentials that mean nothing here are no credentials,
        since clients send those of one registry to its mirrors; they lift no limit. Raises Unauthenticated,
        TooManyRequests, Denied (a workload that no rule is for) and - never Unauthenticated - StorageFailed
        when a store cannot be asked.
        """
        if not self.enabled:
            return ANONYMOUS
        try:
            header = find_header(request.scope["headers"])
            if header is None:
                return ANONYMOUS
            key = self._key_of(header)
            principal = await self._cached(request, key) or await self._read(request, header, key)
            _scope(request)["nora.principal"] = principal
            return principal
        except (Unauthenticated, TooManyRequests, Denied):  # the last one: a workload that no rule is for
            if allow_foreign:
                admit_stranger(_scope(request))
                return ANONYMOUS
            raise

    async def recognize(self, header: bytes, address: str) -> Principal | None:
        """Who showed the same credentials before, if they still hold, and need not wait: others have tried
        no passwords of theirs. It is asked in front of `identify`, for answers that are kept. Raises
        TooManyRequests, StorageFailed."""
        if not self.enabled:
            return None
        key = self._key_of(header)
        principal = await self._by_token(key)
        if principal is None:
            proven = self._in_password.get(key)
            if proven is None or not self._passwords.holds(proven[0]):
                return None
            principal = proven[1]
            if self._attempts is not None and self._attempts.check(address, principal.name):
                return None
        return principal

    def _key_of(self, header: bytes) -> bytes:
        return blake2b(header, key=self._key, digest_size=16).digest()

    async def _cached(self, request: Request, key: bytes) -> Principal | None:
        """Who sent the same header before, if that still holds."""
        principal = await self._by_token(key)
        if principal is not None:
            return principal
        proven = self._in_password.get(key)
        if proven is not None:
            proof, principal = proven
            if self._passwords.holds(proof):
                await self._admit_attempt(request, principal.name)
                return principal
            self._in_password.pop(key, None)  # and is admitted where it is looked at
        return None

    async def _by_token(self, key: bytes) -> Principal | None:
        """Of a token or a session, if that still holds."""
        known = self._known.get(key)
        if known is not None:
            hashed, principal = known
            if await self._tokens.find(hashed) is not None:
                return principal
            self._known.pop(key, None)
        session = self._in_session.get(key)
        if session is not None:
            if session.expires_at > time.time() and await self._holds(session):
                return session.principal
            self._in_session.pop(key, None)
        return None

    async def verify(self, request: Request, user: str, password: str) -> Principal:
        """Who has this password, or this token as password, sent in the body of a request.

        Raises as `identify` does.
        """
        credentials = Basic(user, password)
        if self._is_password(password):
            principal = self._principal_of(await self._check_password(request, credentials))
        else:
            principal = await self._check(credentials)
        _scope(request)["nora.principal"] = principal
        return principal

    async def still_valid(self, holder: Principal) -> bool:
        """Whether what a session was made from (`Principal.parent`) still holds, and gives as much as it gave
        then. Raises StorageFailed."""
        kind, _, rest = holder.parent.partition(":")
        if kind == "token":
            return await self._tokens.is_valid(rest)
        if kind == "user":
            name, _, fingerprint = rest.rpartition(":")
            current = self._passwords.is_current(name, fingerprint)
            return current and covers(self._role_of(name), holder.role)
        return not kind or self._grounds.hold(holder.parent)

    async def end_session(self, request: Request) -> None:
        """End the session that a request shows, which an identity token was exchanged for. Raises
        Unauthenticated where it shows none, or one that has ended."""
        header = find_header(request.scope["headers"])
        credentials = parse_credentials(header) if header is not None else None
        session = self.sessions.read(_secret_of(credentials)) if credentials is not None else None
        if session is None or not _may_be_ended(session) or not await self._holds(session):
            raise Unauthenticated("the credentials are no session that an identity token was exchanged for")
        _scope(request)["nora.principal"] = session.principal
        await self._tokens.end_session(session)

    async def _holds(self, session: Session) -> bool:
        if _may_be_ended(session) and await self._tokens.has_ended(session):
            return False
        return await self.still_valid(session.principal)

    async def renew(self, holder: Principal) -> Principal | None:
        """Who a session was made for, with the role that they have today; None when that no longer holds.

        The rights of a token never change, the role of a user does. Raises StorageFailed.
        """
        if holder.method == "password":
            holder = replace(holder, role=self._role_of(holder.name))
        if holder.method == "login":
            rights = self._grounds.logins.of_ground(holder.parent)
            if self._grounds.has_account(holder.name):  # since they logged in
                return None
            return None if rights is None else replace(holder, role=rights.role, scopes=rights.scopes)
        return holder if await self.still_valid(holder) else None

    async def _read(self, request: Request, header: bytes, key: bytes) -> Principal:
        credentials = parse_credentials(header)
        if credentials is None:
            return ANONYMOUS
        text = _secret_of(credentials)
        session = self.sessions.read(text) if _is_jwt(text) else None
        if session is not None:
            if not await self._holds(session):
                raise Unauthenticated("the session, or what it was made from, has been revoked")
            _remember(self._in_session, key, session)
            return session.principal
        if isinstance(credentials, Basic) and self._is_password(text):
            account = await self._check_password(request, credentials)
            principal = self._principal_of(account)
            _remember(self._in_password, key, (self._passwords.proof(account, text), principal))
            return principal
        principal = await self._check(credentials)
        if is_token(text):
            _remember(self._known, key, (secret_hash(text), principal))
        return principal

    def _is_password(self, text: str) -> bool:
        """Whether a secret is one that can be guessed: else it says nothing about the name beside it."""
        return not is_token(text) and not (_is_jwt(text) and self._identities is not None)

    async def _check_password(self, request: Request, credentials: Basic) -> Account:
        """Of all secrets only passwords can be guessed, so only with them failures count.

        They count before what is remembered is looked at: else a right guess could be told from others.
        """
        user = credentials.user
        await self._admit_attempt(request, user)
        known = self._passwords.cached(user, credentials.password)
        if isinstance(known, Account):
            return known
        scope, account = _scope(request), None
        turn = None
        if self._attempts is not None:
            turn = _Turn(self._attempts, scope.get("nora.client", ""), user)
        try:
            account = await self._passwords.check(user, credentials.password, turn)
        finally:
            if account is None:
                scope["nora.claimed"] = user
        if account is None:
            raise Unauthenticated("the user or the password is wrong")
        return account

    async def _admit_attempt(self, request: Request, user: str) -> None:
        """Raises TooManyRequests when this client has failed too often to try this name."""
        if self._attempts is None:
            return
        try:
            delay = self._attempts.check(_scope(request).get("nora.client", ""), user)
        except TooManyRequests:
            _scope(request)["nora.claimed"] = user
            raise
        if delay:
            await asyncio.sleep(delay)

    async def _check(self, credentials: Credentials) -> Principal:
        text = _secret_of(credentials)
        if is_token(text):
            token = await self._tokens.verify(text)
            if token is None:
                raise Unauthenticated("the token is unknown, revoked or expired: log in with another one")
            return Principal(token.user, "token", token.role, token.scopes, f"token:{token.id}")
        if _is_jwt(text) and self._identities is not None:
            return await self._identities.verify(text)
        raise Unauthenticated("the token is none that NORA has made")

    def _principal_of(self, account: Account) -> Principal:
        role = self._role_of(account.name)
        parent = f"user:{account.name}:{account.fingerprint}"
        return Principal(account.name, "password", role, parent=parent)


def _remember(known: dict[bytes, T], key: bytes, value: T) -> None:
    if len(known) >= REMEMBERED:
        del known[next(iter(known))]
    known[key] = value


def _scope(request: Request) -> dict[str, Any]:
    return cast("dict[str, Any]", request.scope)


def _may_be_ended(session: Session) -> bool:
    """Others end with the token or the password that they were made from, and need not be looked for."""
    return session.holder.method == "oidc"


def _secret_of(credentials: Credentials) -> str:
    return credentials.password if isinstance(credentials, Basic) else credentials.token


def _is_jwt(text: str) -> bool:
    """Whether a text is a signed token in compact form (RFC 7515, 3.1): its header begins with `{"`."""
    return text.startswith("eyJ") and text.count(".") == 2
