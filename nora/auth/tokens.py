"""API tokens: `nra_`, 43 random characters (256 bits) and 6 of a checksum.

The checksum lets secret scanners (`nra_[0-9A-Za-z]{49}`) know a token when they see one, and refuses a typing
error before anything is looked up. What is stored is the sha256 of the whole text: a secret of 256 random
bits needs no slow hash.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from zlib import crc32

from nora.auth.grounds import Grounds
from nora.auth.sessions import Session
from nora.catalog.base import Catalog
from nora.catalog.records import Token, TokenOwner
from nora.config.kinds import render_duration
from nora.errors import BadRequest, NotFound
from nora.model import REMOVALS, Role, Scope

_log = logging.getLogger(__name__)

PREFIX: Final = "nra_"
WARNED_SECONDS: Final = 14 * 24 * 3600.0
"""How long before a token ends the log begins to say so."""
WARN_SECONDS: Final = 900.0
"""How often it is looked for."""
FLUSH_SECONDS: Final = 30.0
"""How old `last_used_at` may be."""
LONGEST_DESCRIPTION: Final = 256
LONGEST_USER: Final = 128
LONGEST_TTL: Final = 100 * 366 * 24 * 3600.0
"""Seconds; a time far beyond cannot be written as a date."""
DEFAULT_TTL_DAYS: Final = 90
"""How long a token lives unless who makes it says otherwise: until then its secret is a risk."""
MOST_OWNERS: Final = 10_000
"""Users with tokens that are listed."""
LONGEST_CHAIN: Final = 16
"""Of tokens that administrators' tokens made, each with the one before."""
SCOPED_ACTIONS: Final = frozenset({"read", "write", "untag", "delete"})
"""What a scope may allow; administration is of no part."""

_DAY: Final = 24 * 3600.0
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS: Final = 43
_RANDOM_BYTES: Final = 48
"""Of which a token is made: so many more than it shows that no character is likelier than another."""
_CHECKSUM_CHARACTERS: Final = 6
_LENGTH: Final = len(PREFIX) + _RANDOM_CHARACTERS + _CHECKSUM_CHARACTERS
_ID = re.compile(r"[0-9a-f]{16}")


def is_token(text: str) -> bool:
    """Whether a text is a token: of the right form, and with its checksum."""
    return (
        len(text) == _LENGTH
        and text.startswith(PREFIX)
        and text.isascii()
        and text[-_CHECKSUM_CHARACTERS:] == _checksum(text[:-_CHECKSUM_CHARACTERS])
    )


def secret_hash(text: str) -> str:
    """Under what the catalog knows a token."""
    return sha256(text.encode()).hexdigest()


def _hash_of(session: Session) -> str:
    return secret_hash(f"session\0{session.id}")


def parse_token_id(text: str) -> str:
    """The public id of a token, 16 hexadecimal digits. Raises BadRequest for anything else."""
    if not _ID.fullmatch(text):
        raise BadRequest("the id of a token is 16 hexadecimal digits, in lower case")
    return text


def parse_user(text: str) -> str:
    """The name of a user, fit for a line of the htpasswd file and for Basic (RFC 7617). Raises BadRequest."""
    fits = 0 < len(text) <= LONGEST_USER and text.isprintable() and text == text.strip()
    if not fits or ":" in text or text.startswith("#"):
        raise BadRequest(
            f"the name of a user has 1 to {LONGEST_USER} printable characters, no colon, no space around it, "
            "no # in front"
        )
    return text


def needed_role(role: Role, scopes: tuple[Scope, ...]) -> Role:
    """The least role of a user who may make such a token for themselves."""
    return "admin" if any(one.actions & REMOVALS for one in scopes) else role


def new_token() -> str:
    """A token that nobody has had before."""
    return token_of(secrets.token_bytes(_RANDOM_BYTES))


def token_of(random: bytes) -> str:
    """The token that is made of random bytes, 33 at least: always the same."""
    number, body = int.from_bytes(random, "big"), PREFIX
    for _ in range(_RANDOM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        body += _ALPHABET[digit]
    return body + _checksum(body)


def _checksum(body: str) -> str:
    number = crc32(body.encode())
    digits = ""
    for _ in range(_CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits


class Tokens:
    """The tokens of a catalog."""

    def __init__(
        self, catalog: Catalog, clock: Callable[[], float] = time.time, grounds: Grounds | None = None
    ) -> None:
        """Without `grounds` a token rests on no account."""
        self._catalog = catalog
        self._clock = clock
        self._grounds = grounds
        self._uses: dict[str, float] = {}
        self._warned: dict[str, float] = {}
        """When the log was told last that a token ends, by id."""

    async def create(
        self,
        user: str,
        role: Role,
        *,
        scopes: tuple[Scope, ...] = (),
        description: str = "",
        ttl_seconds: float | None = None,
        grounds: tuple[str, ...] = (),
        hashed: str | None = None,
    ) -> tuple[str, Token]:
        """Make a token that lives for `ttl_seconds` (None: until it is revoked); its text is shown only here.

        It ends with its `grounds`, and with the account of the user, if there is one now. `hashed` is the
        `secret_hash` of a text that somebody else has: there is none to be shown then. Raises BadRequest for
        a user, a description or a time that cannot be.
        """
        if self._grounds is not None:
            grounds += self._grounds.of_owner(user, needed_role(role, scopes))
        text, token = self._made(user, role, scopes, description, ttl_seconds, grounds)
        if hashed is not None:
            text, token = "", replace(token, id=hashed[:16], secret_hash=hashed)
        await self._catalog.add_token(token)
        return text, token

    def longest_seconds(self, grounds: tuple[str, ...]) -> int | None:
        """How long a token with these grounds lives at most; None: as long as any."""
        return None if self._grounds is None else self._grounds.longest(grounds)

    def _made(
        self,
        user: str,
        role: Role,
        scopes: tuple[Scope, ...],
        description: str,
        ttl_seconds: float | None,
        grounds: tuple[str, ...],
    ) -> tuple[str, Token]:
        parse_user(user)
        if len(description) > LONGEST_DESCRIPTION or (description and not description.isprintable()):
            raise BadRequest(f"a description has at most {LONGEST_DESCRIPTION} printable characters")
        if ttl_seconds is not None and not 0 < ttl_seconds <= LONGEST_TTL:  # nor NaN
            raise BadRequest("a token lives for more than no time, and for a hundred years at most")
        longest = self.longest_seconds(grounds)
        if longest is not None and (ttl_seconds is None or ttl_seconds > longest):
            raise BadRequest(
                "a token of somebody who logs in by an issuer lives for at most "
                f"{render_duration(longest)} (auth.oidc.login.token_ttl)"
            )
        text, now = new_token(), self._clock()
        hashed = secret_hash(text)
        expires_at = None if ttl_seconds is None else now + ttl_seconds
        return text, Token(
            hashed[:16],
            hashed,
            user,
            role,
            scopes,
            description,
            now,
            expires_at,
            grounds=tuple(dict.fromkeys(grounds)),
        )

    async def by_id(self, token_id: str) -> Token | None:
        """The token of a public id, also one that has ended. Raises BadRequest."""
        return await self._catalog.find_token_by_id(parse_token_id(token_id))

    async def rotate(
        self,
        token_id: str,
        *,
        ttl_seconds: float | None = None,
        keep_seconds: float = 0.0,
        grounds: tuple[str, ...] = (),
    ) -> tuple[str, Token]:
        """Make a token with the rights of another one, which ends after `keep_seconds`, at once if that is 0.

        It lives for `ttl_seconds`; None: for as long as the other one was made for. It ends with the grounds
        of the other one, and with these. Raises NotFound, BadRequest.
        """
        old = await self.by_id(token_id)
        if old is None:
            raise NotFound(f"there is no token {token_id}")
        if ttl_seconds is None and old.expires_at is not None:
            ttl_seconds = old.expires_at - old.created_at
        text, token = self._made(
            old.user, old.role, old.scopes, old.description, ttl_seconds, old.grounds + grounds
        )
        ends_at = self._clock() + keep_seconds if keep_seconds else None
        if ends_at is not None and old.expires_at is not None:
            ends_at = min(ends_at, old.expires_at)
        if not await self._catalog.replace_token(old.id, token, ends_at):
            raise NotFound(f"there is no token {token_id}")
        return text, token

    async def find(self, hashed: str) -> Token | None:
        """The token with this `secret_hash`; None when there is none, or it has ended. Counts as a use."""
        token = await self._catalog.find_token(hashed)
        if token is None:
            return None
        now = self._clock()
        if token.expires_at is not None and token.expires_at <= now:
            return None
        if token.grounds and not await self._hold(token.grounds):
            return None
        self._uses[token.id] = now
        return token

    async def verify(self, text: str) -> Token | None:
        """The token of this text; None when it is none, or has ended."""
        return await self.find(secret_hash(text)) if is_token(text) else None

    async def is_valid(self, token_id: str, depth: int = 0) -> bool:
        """Whether the token of a public id is neither revoked nor expired, and its grounds hold."""
        token = await self._catalog.find_token_by_id(token_id)
        if token is None or (token.expires_at is not None and token.expires_at <= self._clock()):
            return False
        return not token.grounds or await self._hold(token.grounds, depth)

    async def _hold(self, grounds: tuple[str, ...], depth: int = 0) -> bool:
        """Whether all grounds do. `depth`: of tokens that were made by tokens."""
        for ground in grounds:
            kind, _, rest = ground.partition(":")
            if kind == "token":
                if depth >= LONGEST_CHAIN or not await self.is_valid(rest, depth + 1):
                    return False
            elif self._grounds is not None and not self._grounds.hold(ground):
                return False
        return True

    async def revoke(self, token_id: str, user: str | None = None) -> bool:
        """Remove a token, of this user when one is given; seen at once by every worker. Raises BadRequest."""
        return await self._catalog.revoke_token(parse_token_id(token_id), user)

    async def end_session(self, session: Session) -> None:
        """Let a session be good for nothing any more; seen at once by every worker."""
        await self._catalog.spend(_hash_of(session), session.expires_at, self._clock())

    async def has_ended(self, session: Session) -> bool:
        """Whether somebody has ended a session before its time."""
        return await self._catalog.is_spent(_hash_of(session))

    async def revoke_all(self, user: str) -> int:
        """Remove every token of a user; how many there were."""
        return sum([await self._catalog.revoke_token(token.id, None) async for token in self.all(user)])

    async def list(self, user: str | None, after: str = "", limit: int = 1000) -> list[Token]:
        """Tokens of a user, or of all, by id."""
        return await self._catalog.list_tokens(user, after, limit)

    async def owners(self) -> Sequence[TokenOwner]:
        """Who has tokens, and how many."""
        return await self._catalog.token_owners(MOST_OWNERS)

    async def ending(self, user: str | None, limit: int) -> Sequence[Token]:
        """Tokens of a user, or of all, that end soon (WARNED_SECONDS), the first to end first."""
        now = self._clock()
        return await self._catalog.ending_tokens(user, now, now + WARNED_SECONDS, limit)

    async def all(self, user: str | None = None) -> AsyncIterator[Token]:
        """All tokens of a user, or of everybody, by id."""
        after = ""
        while page := await self._catalog.list_tokens(user, after, 100):
            for token in page:
                yield token
            after = page[-1].id

    async def warn_of_ends(self) -> None:
        """Tell the log which tokens end soon, once a day each."""
        now = self._clock()
        async for token in self.all():
            ends_at = token.expires_at
            if ends_at is None or not now < ends_at <= now + WARNED_SECONDS:
                continue
            if now >= self._warned.get(token.id, float("-inf")) + _DAY:
                self._warned[token.id] = now
                what = f" ({token.description})" if token.description else ""
                end = datetime.fromtimestamp(ends_at, UTC)
                _log.warning(
                    "the token %s of %s%s ends on %s: `nora token rotate %s` makes the next one",
                    token.id, token.user, what, f"{end:%Y-%m-%d %H:%M} UTC", token.id,
                )  # fmt: skip

    async def flush(self) -> None:
        """Record what was used since the last time; what could not be recorded is kept for the next."""
        uses, self._uses = self._uses, {}
        try:
            await self._catalog.note_token_uses(uses)
        except BaseException:
            self._uses = uses | self._uses
            raise
