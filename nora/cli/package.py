"""`nora package`: the names that hosted repositories own, while a server runs or not."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from nora.auth.packages import MOST_LISTED
from nora.cli._administration import require_store
from nora.cli._changing import Changing
from nora.commands import open_catalog, open_ownership
from nora.errors import NoraError
from nora.formats import load_config
from nora.resolve.ownership import Origin, Ownership

T = TypeVar("T")


@click.group("package")
def command() -> None:
    """Names of packages, and whose they are: list, claim, release, source.

    A name is owned by its hosted repository from the first upload on, and no upstream is asked for it. Works
    on the data directory of this configuration, while a server runs or not; a server sees a change at once.
    """


@command.command("list")
@click.argument("repository")
def show(repository: str) -> None:
    """Print the names that REPOSITORY owns, one a line; a group stands for its member that takes writes."""

    async def work(ownership: Ownership) -> list[str]:
        hosted = ownership.hosted(repository)
        found: list[str] = []
        while page := await ownership.list(hosted, found[-1] if found else "", MOST_LISTED):
            found += page
        return found

    for name in run(work):
        click.echo(name)


@command.command("claim", cls=Changing)
@click.argument("repository")
@click.argument("name")
def claim(repository: str, name: str) -> None:
    """Make NAME a name of REPOSITORY: no upstream is asked for it from now on, whatever it has served."""

    async def work(ownership: Ownership) -> str:
        return await ownership.claim(ownership.hosted(repository), name)

    click.echo(f"claimed {run(work)}")


@command.command("source")
@click.argument("repository")
@click.argument("name")
def source(repository: str, name: str) -> None:
    """Tell where NAME comes from in REPOSITORY: whose it is, and who may be asked for it."""

    async def work(ownership: Ownership) -> Origin:
        return await ownership.origin(ownership.repository(repository), name)

    found = run(work)
    if found.is_owned:
        click.echo(f"{found.name} is a name of {found.owner or 'this registry'}")
    if found.is_reserved:
        click.echo(f"{found.name} is reserved (proxy.reserved)")
    for url, pinned in found.sources:
        click.echo(f"{url}{' has it' if pinned else ' may be asked'}")
    for url in found.passed:
        click.echo(f"{url} is not asked: the name is that of a source before it")
    if not (found.is_owned or found.is_reserved or found.sources):
        click.echo(f"nobody is asked for {found.name}")


@command.command("release", cls=Changing)
@click.argument("repository")
@click.argument("name")
def release(repository: str, name: str) -> None:
    """Give NAME back to the upstreams: what they have under it is served from now on, unless it is reserved.

    What REPOSITORY has of it stays, and is served as before, until it is deleted.
    """

    async def work(ownership: Ownership) -> str:
        return await ownership.release(ownership.hosted(repository), name)

    click.echo(f"released {run(work)}")


def run(work: Callable[[Ownership], Awaitable[T]]) -> T:
    """What `work` gives; an error of ours ends the command with 1."""

    async def with_ownership() -> T:
        config = load_config(os.environ, Path.cwd())
        require_store(config)
        async with open_catalog(config) as catalog:
            return await work(await open_ownership(config, catalog))

    try:
        return asyncio.run(with_ownership())
    except NoraError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
