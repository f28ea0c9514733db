"""`nora token`: API tokens of the data directory, while a server runs or not."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TypeVar

import click
import orjson

from nora.auth.grounds import Grounds
from nora.auth.scopes import describe_token, write_scope
from nora.auth.tokens import DEFAULT_TTL_DAYS, Tokens
from nora.catalog.records import Token
from nora.cli._administration import require_store
from nora.cli._changing import Changing, tell_result
from nora.commands import open_catalog
from nora.config import Config
from nora.errors import NoraError
from nora.formats import load_config, scope_rules
from nora.model import ROLES, Role

T = TypeVar("T")

DAY = 24 * 3600.0
HOUR = 3600.0
HEADER = ("ID", "USER", "ROLE", "SCOPES", "CREATED", "EXPIRES", "LAST USED", "DESCRIPTION")

_days = click.FloatRange(0, min_open=True)


@click.group("token")
def command() -> None:
    """API tokens: create, list, rotate, revoke.

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
@click.option("--ttl-days", type=_days, help=f"How long it lives.  [default: {DEFAULT_TTL_DAYS}]")
@click.option("--no-expiry", is_flag=True, help="It lives until it is revoked.")
@click.option("--description", default="", help="What it is for.")
@click.option("--create", "new_store", is_flag=True, help="Make a new store, where no server has run yet.")
def create(
    user: str,
    role: Role,
    scopes: tuple[str, ...],
    ttl_days: float | None,
    no_expiry: bool,
    description: str,
    new_store: bool,
) -> None:
    """Print a new token, which is shown only this once."""
    config = _config()
    if no_expiry and ttl_days is not None:
        fail("say --ttl-days or --no-expiry, not both")

    async def work(tokens: Tokens) -> tuple[str, Token]:
        rules = scope_rules(config)
        return await tokens.create(
            user,
            role,
            scopes=tuple(rules.parse(scope, role) for scope in scopes),
            description=description,
            ttl_seconds=None if no_expiry else (ttl_days or DEFAULT_TTL_DAYS) * DAY,
        )

    _print_new(*run(config, work, creates=new_store))
    if not config.auth.enabled:
        click.echo("note: nobody asks for it while authentication is off; see NORA_AUTH_ENABLED", err=True)


@command.command("list")
@click.option("--user", help="Only those of one user.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(user: str | None, as_json: bool) -> None:
    """Print all tokens, without their secrets."""

    async def work(tokens: Tokens) -> list[Token]:
        return [token async for token in tokens.all(user)]

    found = run(_config(), work)
    if as_json:
        click.echo(orjson.dumps([_row(token) for token in found], option=orjson.OPT_INDENT_2))
    elif found:
        click.echo(_table([HEADER, *(_cells(token) for token in found)]))
    else:
        click.echo("there are no tokens", err=True)


@command.command("rotate", cls=Changing)
@click.argument("token_id", metavar="ID")
@click.option("--ttl-days", type=_days, help="How long the new one lives; without it: as long as the old.")
@click.option(
    "--keep-hours",
    type=click.FloatRange(0),
    default=0.0,
    help="The old one goes on for so long; without it, it ends at once.",
)
def rotate(token_id: str, ttl_days: float | None, keep_hours: float) -> None:
    """Print a new token with the user, role, scopes and life of the token of an ID, and end that one."""

    async def work(tokens: Tokens) -> tuple[str, Token]:
        ttl_seconds = None if ttl_days is None else ttl_days * DAY
        return await tokens.rotate(token_id, ttl_seconds=ttl_seconds, keep_seconds=keep_hours * HOUR)

    _print_new(*run(_config(), work))


@command.command("revoke", cls=Changing)
@click.argument("token_id", metavar="ID")
def revoke(token_id: str) -> None:
    """Make the token of an ID (see `list`) worthless, at once."""
    if not run(_config(), lambda tokens: tokens.revoke(token_id)):
        fail(f"there is no token {token_id}")
    click.echo(f"revoked: {token_id}", err=True)


def run(config: Config, work: Callable[[Tokens], Awaitable[T]], *, creates: bool | None = None) -> T:
    """What `work` gives; an error of ours ends the command with 1, and so does a store that is not there:
    this is the wrong directory then, or the wrong configuration. Who may ask for a new one says whether."""

    async def with_catalog() -> T:
        if not creates:
            require_store(config, "" if creates is None else "; --create makes a new one")
        async with open_catalog(config) as catalog:
            return await work(Tokens(catalog, grounds=Grounds.build(config)))

    try:
        return asyncio.run(with_catalog())
    except NoraError as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """End the command with 1."""
    click.echo(message, err=True)
    sys.exit(1)


def _config() -> Config:
    try:
        return load_config(os.environ, Path.cwd())
    except NoraError as error:
        fail(str(error))


def _print_new(text: str, token: Token) -> None:
    tell_result(describe_token(token))
    click.echo(text)
    click.echo(describe_token(token), err=True)


def _row(token: Token) -> dict[str, str]:
    return {
        "id": token.id,
        "user": token.user,
        "role": token.role,
        "scopes": _scopes(token),
        "created": _second(token.created_at),
        "expires": "-" if token.expires_at is None else _second(token.expires_at),
        "last_used": "-" if token.last_used_at is None else _second(token.last_used_at),
        "description": token.description,
    }


def _cells(token: Token) -> tuple[str, ...]:
    ends, used = token.expires_at, token.last_used_at
    expires = "-" if ends is None else f"{_day(ends)}{' (expired)' if ends <= time.time() else ''}"
    last = "never" if used is None else _day(used)
    created = _day(token.created_at)
    return token.id, token.user, token.role, _scopes(token), created, expires, last, token.description


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "\n".join(padded)


def _scopes(token: Token) -> str:
    return " ".join(map(write_scope, token.scopes)) or "-"


def _second(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _day(when: float) -> str:
    return _second(when)[:10]
