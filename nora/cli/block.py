"""`nora block`: say what is neither served, fetched nor pushed, while a server runs or not."""

from __future__ import annotations

import click

from nora.catalog.base import Catalog
from nora.catalog.blocks import Block
from nora.cli._administration import given, run
from nora.cli._changing import Changing
from nora.config import Config
from nora.errors import BadRequest
from nora.formats.administration import open_blocking
from nora.model import Digest
from nora.observability.audit import user_of_this_process


@click.command("block", cls=Changing)
@click.argument("repository", required=False, callback=given)
@click.argument("name", required=False, callback=given)
@click.argument("version", required=False, callback=given)
@click.option("--digest", callback=given, help="These bytes, in REPOSITORY or, without it, everywhere.")
@click.option("--everywhere", is_flag=True, help="NAME in all repositories of the format of REPOSITORY.")
@click.option("--reason", required=True, help="Told to everybody who is refused.")
def command(repository: str, name: str, version: str, digest: str, everywhere: bool, reason: str) -> None:
    """Block NAME, or one VERSION of it, in REPOSITORY and all that is read through it.

    What is blocked is neither served nor fetched, may not be pushed, and is left out of pages and lists. It
    stays where it is, and is served again once `nora unblock` lifts the block. Works while a server runs or
    not; a server sees it at once.
    """

    async def work(config: Config, catalog: Catalog) -> Block:
        blocking, by = await open_blocking(config, catalog), user_of_this_process()
        if not digest:
            return await blocking.block_name(
                repository, name, version, everywhere=everywhere, reason=reason, by=by
            )
        if name or everywhere:
            raise BadRequest("a digest is blocked whatever its name is, in REPOSITORY or in all of them")
        return await blocking.block_digest(Digest(digest), repository, reason=reason, by=by)

    block = run(work)
    click.echo(block.id)
    click.echo(f"blocked {block.what} in {block.repository or 'all repositories'}", err=True)
