"""Tokens and secrets: what requests are authenticated by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from nora.catalog.records import Token, TokenOwner


class Tokens(Protocol):
    """The tokens of a catalog, and its secrets. See nora.catalog.base for what holds for all methods."""

    async def add_token(self, token: Token) -> None:
        """Store a token."""
        ...

    async def find_token(self, secret_hash: str) -> Token | None:
        """The token with this secret, expired or not. Point lookup; revocation is seen at once by all
        processes, `last_used_at` is not."""
        ...

    async def find_token_by_id(self, token_id: str) -> Token | None:
        """A token by its public id. Point lookup, as fresh as `find_token`."""
        ...

    async def list_tokens(self, user: str | None, after: str, limit: int) -> list[Token]:
        """Tokens of a user, or of all, by id after `after`."""
        ...

    async def token_owners(self, limit: int) -> list[TokenOwner]:
        """Who has tokens, by name: at most so many."""
        ...

    async def ending_tokens(self, user: str | None, since: float, until: float, limit: int) -> list[Token]:
        """Tokens of a user, or of all, that end after `since` and not after `until`, the first to end first;
        at most so many."""
        ...

    async def revoke_token(self, token_id: str, user: str | None) -> bool:
        """Remove a token, if it is of this user when one is given; whether there was one."""
        ...

    async def replace_token(self, token_id: str, token: Token, ends_at: float | None) -> bool:
        """Store a token in the place of another one, which expires at `ends_at`, or is removed where that is
        None; whether there was that other one. Else nothing is stored."""
        ...

    async def note_token_uses(self, uses: Mapping[str, float]) -> None:
        """Record when tokens (by id) were last used. Not durable by itself."""
        ...

    async def spend(self, hashed: str, expires_at: float, now: float) -> bool:
        """Note that what has this hash, and ends by itself at `expires_at`, was used; whether it is the first
        time, for all processes. Durable. What ended before `now` is forgotten."""
        ...

    async def is_spent(self, hashed: str) -> bool:
        """Whether `spend` has noted a hash. Point lookup."""
        ...

    async def secret(self, name: str) -> bytes:
        """32 random bytes under a name, made when first asked for: the same for all processes, for good."""
        ...
