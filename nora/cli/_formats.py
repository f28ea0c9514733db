"""`nora <format> <command>`: what a format offers to do to the packages that are hosted here.

Works on the data directory of this configuration, while a server runs or not; a server sees a change at once.
What a client does needs the address of a server instead.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from nora.cli._administration import require_store
from nora.cli._changing import Changing
from nora.cli._remote import HttpRemote
from nora.commands import open_ownership, open_services
from nora.errors import NoraError
from nora.formats import load_config
from nora.formats.base import ClientCommand, Command, Format

URL = "http://localhost:4000"


def group_of(one: Format) -> click.Group:
    """The commands of a format."""
    group = click.Group(one.name, help=f"Hosted packages of {one.title}, while a server runs or not.")
    for command in one.commands:
        group.add_command(_command(one, command))
    for client_command in one.client_commands:
        group.add_command(_client_command(client_command))
    return group


def _command(one: Format, command: Command) -> click.Command:
    def run(repository: str, **given: str | None) -> None:
        words = {name: value for name, value in given.items() if value is not None}
        try:
            click.echo(asyncio.run(_run(command, repository, words)), err=True)
        except NoraError as error:
            click.echo(str(error), err=True)
            sys.exit(1)

    where = "The repository; a group stands for its member that takes writes."
    return Changing(
        command.name,
        callback=run,
        help=command.help,
        params=[
            *(click.Argument([name]) for name in command.arguments),
            *(click.Option([f"--{name}"], help=text) for name, text in command.options.items()),
            click.Option(["--repository"], default=one.name, show_default=True, help=where),
        ],
    )


def _client_command(command: ClientCommand) -> click.Command:
    def run(url: str, repository: str | None, token_file: str | None, **given: str | None) -> None:
        words = {name: value for name, value in given.items() if value is not None}
        try:
            remote = HttpRemote(url.rstrip("/") + (f"/r/{repository}" if repository else ""), token_file)
            click.echo(command.run(remote, words))
        except NoraError as error:
            click.echo(str(error), err=True)
            sys.exit(1)

    return click.Command(
        command.name,
        callback=run,
        help=command.help,
        params=[
            *(click.Argument([name]) for name in command.arguments),
            *(click.Option([f"--{name}"], help=text) for name, text in command.options.items()),
            click.Option(
                ["--url"], default=URL, show_default=True, help="The server, without the path of the format."
            ),
            click.Option(["--repository"], help="A named repository of it."),
            click.Option(
                ["--token-file"],
                help="A file with the token of who asks; without it, as the netrc of the user says.",
            ),
        ],
    )


async def _run(command: Command, repository: str, words: dict[str, str]) -> str:
    config = load_config(os.environ, Path.cwd())
    require_store(config)
    async with open_services(config) as services:
        hosted = (await open_ownership(config, services.catalog)).hosted(repository)
        return await command.run(services, hosted, words)
