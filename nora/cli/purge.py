"""`nora purge`: remove what is cached, while a server runs or not."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import click

from nora.app import open_catalog
from nora.catalog.records import Purged
from nora.cli._changing import Changing
from nora.errors import NoraError
from nora.formats import load_config
from nora.formats.administration import open_purging
from nora.model import Digest
from nora.resolve.purging import Wanted


def _given(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """What was said. An empty text is the variable of a script that was not set: more would be purged."""
    if value == "":
        raise click.BadParameter("it is empty; leave it out where nothing is meant", ctx, param)
    return value or ""


class _Purging(Changing):
    told = ("file", "digest", "source")


@click.command("purge", cls=_Purging)
@click.argument("repository")
@click.argument("name", required=False, callback=_given)
@click.argument("version", required=False, callback=_given)
@click.option(
    "--file", callback=_given, help="A file of NAME, or without NAME the path of one in REPOSITORY."
)
@click.option("--digest", callback=_given, help="These bytes, of NAME or, without it, wherever they are.")
@click.option("--source", callback=_given, help="Only what came from the upstream with this address.")
def command(
    repository: str,
    name: str,
    version: str,
    file: str,
    digest: str,
    source: str,
) -> None:
    """Remove what REPOSITORY has cached of NAME, or of one VERSION of it.

    A group stands for the proxies in it. What was published here is never purged. A NAME that is purged as a
    whole is open again: it belongs to no upstream until the next one has it. Works while a server runs or
    not; a server sees it at once.
    """

    async def work() -> Purged:
        wanted = Wanted(
            name=name,
            version=version,
            file=file,
            digest=Digest(digest) if digest else None,
            source=source,
        )
        config = load_config(os.environ, Path.cwd())
        async with open_catalog(config) as catalog:
            return await (await open_purging(config, catalog)).purge(repository, wanted)

    try:
        purged = asyncio.run(work())
    except NoraError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    for path in purged.paths:
        click.echo(path)
    click.echo(f"purged {len(purged.paths)} files and {purged.blobs} other blobs", err=True)
