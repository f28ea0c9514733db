"""`nora user`: the accounts of the htpasswd file."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from nora.auth.htpasswd import Htpasswd, remove_account, set_account
from nora.auth.passwords import hash_password
from nora.auth.tokens import Tokens, parse_user
from nora.auth.users import COST
from nora.blobs.layout import Layout
from nora.cli._changing import Changing
from nora.commands import open_catalog
from nora.config import Config
from nora.errors import NoraError, quoted
from nora.formats import load_config

_from_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
_cost = click.option(
    "--cost",
    type=click.IntRange(4, 17),
    default=COST,
    show_default=True,
    help="Of bcrypt; one more doubles it.",
)


class _Command(click.Command):
    """An error of ours ends it with 1."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except (NoraError, ValueError) as error:
            click.echo(str(error), err=True)
            sys.exit(1)


class _Changing(Changing, _Command):
    """As well as recorded."""


@click.group("user")
def command() -> None:
    """Users with a password: add, passwd, list, remove.

    They are in the file auth.htpasswd_file, which is replaced as a whole; a running server takes it over
    within a second.
    """


@command.command("add", cls=_Changing)
@click.argument("name")
@_from_stdin
@_cost
def add(name: str, password_stdin: bool, cost: int) -> None:
    """Add a user. Roles are in the configuration: see auth.admin_users and auth.roles."""
    set_account(_path(), parse_user(name), hash_password(_password(password_stdin), cost), exists=False)


@command.command("passwd", cls=_Changing)
@click.argument("name")
@_from_stdin
@_cost
def passwd(name: str, password_stdin: bool, cost: int) -> None:
    """Change the password of a user. Sessions that were opened with the old one end; tokens stay."""
    set_account(_path(), parse_user(name), hash_password(_password(password_stdin), cost), exists=True)


@command.command("list", cls=_Command)
def show() -> None:
    """Print the users and their roles."""
    config = _config()
    for name in Htpasswd(config.auth.htpasswd_file).accounts:
        click.echo(f"{name}\t{config.auth.role_of(name)}")


@command.command("remove", cls=_Changing)
@click.argument("name")
def remove(name: str) -> None:
    """Remove a user and revoke the user's API tokens."""
    config = _config()
    found = remove_account(config.auth.htpasswd_file, name)
    has_store = Layout(config.storage.path).catalog.exists()
    revoked = asyncio.run(_revoke_all(config, name)) if has_store else 0
    if not found and not revoked:
        raise ValueError(f"there is no user {quoted(name)}")
    click.echo(f"{name}: {'removed' if found else 'had no password'}, tokens revoked: {revoked}", err=True)


async def _revoke_all(config: Config, name: str) -> int:
    async with open_catalog(config) as catalog:
        return await Tokens(catalog).revoke_all(name)


def _config() -> Config:
    return load_config(os.environ, Path.cwd())


def _path() -> Path:
    return _config().auth.htpasswd_file


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return password
