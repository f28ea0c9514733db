"""`nora token`: API tokens of the data directory, while a server runs or not."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import click
import orjson

from nora.app import open_catalog
from nora.auth.tokens import Tokens, parse_scope
from nora.catalog.records import Token
from nora.cli._changing import Changing
from nora.errors import NoraError
from nora.formats import load_config
from nora.model import ROLES, Role

T = TypeVar("T")

DAY = 24 * 3600.0
PAGE = 1000


@click.group("token")
def command() -> None:
    """API tokens: create, list, revoke.

    Works on the data directory of this configuration, while a server runs or not; a server sees a change at
    once.
    """


@command.command("create", cls=Changing)
@click.option("--user", required=True, help="Whose token it is; need not be in the htpasswd file.")
@click.option("--role", type=click.Choice([*ROLES]), default="read", show_default=True)
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    metavar="REPOSITORY:NAME:ACTIONS",
    help="Limit it to a part, as in internal:team/*:read,write; may be given several times. "
    "delete lets the role write delete there, untag only remove tags.",
)
@click.option("--ttl-days", type=click.FloatRange(0, min_open=True), help="Without it: until it is revoked.")
@click.option("--description", default="", help="What it is for.")
def create(user: str, role: Role, scopes: tuple[str, ...], ttl_days: float | None, description: str) -> None:
    """Print a new token, which is shown only this once."""

    async def work(tokens: Tokens) -> tuple[str, Token]:
        return await tokens.create(
            user,
            role,
            scopes=tuple(map(parse_scope, scopes)),
            description=description,
            ttl_seconds=None if ttl_days is None else ttl_days * DAY,
        )

    text, token = run(work)
    click.echo(text)
    until = "it is revoked" if token.expires_at is None else _day(token.expires_at)
    click.echo(f"id {token.id}, user {token.user}, role {token.role}, valid until {until}", err=True)


@command.command("list")
@click.option("--user", help="Only those of one user.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(user: str | None, as_json: bool) -> None:
    """Print all tokens, without their secrets."""

    async def work(tokens: Tokens) -> list[Token]:
        found: list[Token] = []
        while page := await tokens.list(user, found[-1].id if found else "", PAGE):
            found += page
        return found

    rows = [_row(token) for token in run(work)]
    if as_json:
        click.echo(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
        return
    for row in rows:
        click.echo("\t".join(str(value) for value in row.values()))


@command.command("revoke", cls=Changing)
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Make the token of an ID (see `list`) worthless, at once."""
    if not run(lambda tokens: tokens.revoke(token_id)):
        click.echo(f"there is no token {token_id}", err=True)
        sys.exit(1)


def run(work: Callable[[Tokens], Awaitable[T]]) -> T:
    """What `work` gives; an error of ours ends the command with 1."""

    async def with_catalog() -> T:
        async with open_catalog(load_config(os.environ, Path.cwd())) as catalog:
            return await work(Tokens(catalog))

    try:
        return asyncio.run(with_catalog())
    except NoraError as error:
        click.echo(str(error), err=True)
        sys.exit(1)


def _row(token: Token) -> dict[str, str]:
    scopes = [f"{one.repository}:{one.name}:{','.join(sorted(one.actions))}" for one in token.scopes]
    return {
        "id": token.id,
        "user": token.user,
        "role": token.role,
        "scopes": " ".join(scopes) or "-",
        "expires": "-" if token.expires_at is None else _day(token.expires_at),
        "last_used": "-" if token.last_used_at is None else _day(token.last_used_at),
        "description": token.description,
    }


def _day(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
