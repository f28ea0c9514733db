"""Tokens and secrets."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from nora.catalog.records import TokenOwner
from nora.catalog.sqlite import token_queries
from nora.catalog.sqlite.executor import Executor
from nora.catalog.sqlite.read_cache import RECENT_ANSWERS, ReadCache
from nora.catalog.sqlite.rows import row_of, token_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nora.catalog.records import Token
    from nora.catalog.sqlite.engine import Connection

SECRET_BYTES = 32
FORGOTTEN_AT_ONCE = 100

_ALL_TOKENS = (0, "")
"""What a revocation touches, in the place of a package: no repository has the id 0."""


class Tokens(Executor):
    """The methods of nora.catalog.tokens.Tokens."""

    async def add_token(self, token: Token) -> None:
        await self._write(lambda db: add_token(db, token))

    async def find_token(self, secret_hash: str) -> Token | None:
        return self._token(token_queries.FIND_TOKEN, secret_hash)

    async def find_token_by_id(self, token_id: str) -> Token | None:
        return self._token(token_queries.FIND_TOKEN_BY_ID, token_id)

    def _token(self, query: str, value: str) -> Token | None:
        return self._cached_read(self._recent_tokens, (*_ALL_TOKENS, query, value), query, (value,), token_of)

    async def list_tokens(self, user: str | None, after: str, limit: int) -> list[Token]:
        if user is None:
            rows = self._rows(token_queries.LIST_TOKENS, (after, limit))
        else:
            rows = self._rows(token_queries.LIST_TOKENS_OF_OWNER, (user, after, limit))
        return [token_of(*row) for row in rows]

    async def token_owners(self, limit: int) -> list[TokenOwner]:
        return [TokenOwner(*row) for row in self._rows(token_queries.LIST_OWNERS, (limit,))]

    async def ending_tokens(self, user: str | None, since: float, until: float, limit: int) -> list[Token]:
        rows = self._rows(token_queries.LIST_ENDING, (since, until, user, limit))
        return [token_of(*row) for row in rows]

    async def revoke_token(self, token_id: str, user: str | None) -> bool:
        return await self._write(lambda db: revoke_token(db, token_id, user), _ALL_TOKENS)

    async def replace_token(self, token_id: str, token: Token, ends_at: float | None) -> bool:
        return await self._write(lambda db: replace_token(db, token_id, token, ends_at), _ALL_TOKENS)

    async def note_token_uses(self, uses: Mapping[str, float]) -> None:
        if uses:  # no epoch moves: when a token was last used is no reason to read it again
            batch = dict(uses)
            await self._write(lambda db: note_token_uses(db, batch), durable=False)

    async def spend(self, hashed: str, expires_at: float, now: float) -> bool:
        return await self._write(lambda db: spend(db, hashed, expires_at, now))

    async def is_spent(self, hashed: str) -> bool:
        return self._row(token_queries.FIND_SPENT, (hashed,)) is not None

    async def secret(self, name: str) -> bytes:
        row = self._row(token_queries.FIND_SECRET, (name,))
        if row is None:
            return await self._write(lambda db: make_secret(db, name))
        value: bytes = row[0]
        return value

    @cached_property
    def _recent_tokens(self) -> ReadCache[Token]:
        # What is no token is not kept: whoever guesses would push out those that are
        return ReadCache(self._epochs, RECENT_ANSWERS, keeps_absence=False)


# -- inside of a transaction -------------------------------------------------------------------------------


def add_token(db: Connection, token: Token) -> None:
    """See Catalog.add_token."""
    db.execute(token_queries.INSERT_TOKEN, row_of(token))


def revoke_token(db: Connection, token_id: str, user: str | None) -> bool:
    """See Catalog.revoke_token."""
    if user is None:
        return db.execute(token_queries.DELETE_TOKEN, (token_id,)).rowcount > 0
    return db.execute(token_queries.DELETE_TOKEN_OF_OWNER, (token_id, user)).rowcount > 0


def replace_token(db: Connection, token_id: str, token: Token, ends_at: float | None) -> bool:
    """See Catalog.replace_token."""
    if ends_at is None:
        found = db.execute(token_queries.DELETE_TOKEN, (token_id,)).rowcount
    else:
        found = db.execute(token_queries.END_TOKEN, (ends_at, token_id)).rowcount
    if found:
        add_token(db, token)
    return found > 0


def note_token_uses(db: Connection, uses: Mapping[str, float]) -> None:
    """See Catalog.note_token_uses: of two times the later one stays."""
    db.executemany(token_queries.NOTE_TOKEN_USE, [(when, token_id, when) for token_id, when in uses.items()])


def spend(db: Connection, hashed: str, expires_at: float, now: float) -> bool:
    """See Catalog.spend. A few are forgotten each time: more than are added, and never many."""
    db.execute(token_queries.FORGET_SPENT, (now, FORGOTTEN_AT_ONCE))
    return db.execute(token_queries.INSERT_SPENT, (hashed, expires_at)).rowcount > 0


def make_secret(db: Connection, name: str) -> bytes:
    """The secret of this name, made if there is none: under the write lock, so that there is one only."""
    db.execute(token_queries.INSERT_SECRET, (name, os.urandom(SECRET_BYTES)))
    value: bytes = db.execute(token_queries.FIND_SECRET, (name,)).fetchone()[0]
    return value
