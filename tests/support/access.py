"""Servers that ask who is asking: users, tokens, and how to get at them, as an administrator does it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from tests.support.command import run
from tests.support.server import Server

USER, PASSWORD = "alice", "correct horse"
_TOKEN = re.compile(r"\bnra_[0-9A-Za-z]{49}\b")


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
    """`nora token create` with `words`."""
    output = run(
        sys.executable,
        "-m",
        "nora",
        "token",
        "create",
        "--user",
        user,
        *words,
        env=server.environment(),
        cwd=server.data,
    )
    found = _TOKEN.search(output)
    assert found is not None, output
    return Credentials(user, found[0])
