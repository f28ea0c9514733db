"""`nora purge`: remove what is cached, while a server runs or not."""

from __future__ import annotations

import click

from nora.catalog.base import Catalog
from nora.catalog.records import Purged
from nora.cli._administration import given, run
from nora.cli._changing import Changing
from nora.config import Config
from nora.formats.administration import open_purging
from nora.model import Digest
from nora.resolve.purging import Wanted


@click.command("purge", cls=Changing)
@click.argument("repository")
@click.argument("name", required=False, callback=given)
@click.argument("version", required=False, callback=given)
@click.option("--file", callback=given, help="A file of NAME, or without NAME the path of one in REPOSITORY.")
@click.option("--digest", callback=given, help="These bytes, of NAME or, without it, wherever they are.")
@click.option("--source", callback=given, help="Only what came from the upstream with this address.")
def command(repository: str, name: str, version: str, file: str, digest: str, source: str) -> None:
    """Remove what REPOSITORY has cached of NAME, or of one VERSION of it.

    A group stands for the proxies in it. What was published here is never purged. A NAME that is purged as a
    whole is open again: it belongs to no upstream until the next one has it. Works while a server runs or
    not; a server sees it at once. What may not come back is blocked as well: see `nora block`.
    """

    async def work(config: Config, catalog: Catalog) -> Purged:
        bytes_ = Digest(digest) if digest else None
        wanted = Wanted(name=name, version=version, file=file, digest=bytes_, source=source)
        return await (await open_purging(config, catalog)).purge(repository, wanted)

    purged = run(work)
    for path in purged.paths:
        click.echo(path)
    click.echo(f"purged {len(purged.paths)} files and {purged.blobs} other blobs", err=True)
