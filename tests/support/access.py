"""Servers that ask who is asking: users, tokens, and how to get at them, as an administrator does it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from nora.auth.scopes import parse_scope
from nora.auth.tokens import Tokens
from nora.cli.token import DAY
from nora.cli.token import create as token_command
from nora.commands import open_catalog
from nora.formats import load_config
from tests.support.server import Server

USER, PASSWORD = "alice", "correct horse"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client is given to log in with."""

    user: str
    secret: str

    @property
    def basic(self) -> tuple[str, str]:
        return self.user, self.secret

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"}


def wrong_credentials() -> Credentials:
    """Of somebody nobody knows, another one each time: wrong passwords of a name lock it for all tests."""
    return Credentials(f"stranger-{os.urandom(4).hex()}", "wrong")


def write_users(path: Path, **users: str) -> Path:
    """An htpasswd file of names and passwords, of the lowest cost that bcrypt has."""
    lines = [
        f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"
        for name, password in users.items()
    ]
    path.write_text("".join(lines))
    return path


def make_token(server: Server, *words: str, user: str = "ci") -> Credentials:
    """A new token, as `nora token create` makes it with `words`; without a process of its own."""
    wanted = token_command.make_context("create", ["--user", user, *words]).params
    config = load_config(server.environment(), server.data)

    async def make() -> str:
        async with open_catalog(config) as catalog:
            days = wanted["ttl_days"]
            text, _ = await Tokens(catalog).create(
                user,
                wanted["role"],
                scopes=tuple(map(parse_scope, wanted["scopes"])),
                description=wanted["description"],
                ttl_seconds=None if days is None else days * DAY,
            )
            return text

    return Credentials(user, asyncio.run(make()))


def revoke_tokens(server: Server, user: str) -> None:
    """All tokens of a user, as `nora token revoke` does it."""
    config = load_config(server.environment(), server.data)

    async def revoke() -> None:
        async with open_catalog(config) as catalog:
            assert await Tokens(catalog).revoke_all(user)

    asyncio.run(revoke())
