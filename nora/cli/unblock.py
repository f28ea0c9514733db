"""`nora unblock`: lift a block, while a server runs or not."""

from __future__ import annotations

import click

from nora.catalog.base import Catalog
from nora.catalog.blocks import Block
from nora.cli._administration import run
from nora.cli._changing import Changing
from nora.config import Config
from nora.formats.administration import open_blocking


@click.command("unblock", cls=Changing)
@click.argument("block", type=click.IntRange(min=1, max=2**63 - 1))
def command(block: int) -> None:
    """Lift BLOCK, by its number in `nora blocks`: what it was about is served again."""

    async def work(config: Config, catalog: Catalog) -> Block:
        return await (await open_blocking(config, catalog)).lift(block)

    click.echo(f"unblocked {run(work).what}", err=True)
