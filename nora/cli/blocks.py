"""`nora blocks`: what is blocked."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from nora.catalog.base import Catalog
from nora.catalog.blocks import Block
from nora.cli._administration import run
from nora.config import Config

PAGE = 1000


@click.command("blocks")
def command() -> None:
    """List what is blocked, one a line: number, since when, by whom, where, what, why."""

    async def work(config: Config, catalog: Catalog) -> list[Block]:
        found: list[Block] = []
        while page := await catalog.list_blocks(found[-1].id if found else 0, PAGE):
            found += page
        return found

    for one in run(work):
        where = one.repository or (f"all {one.format}" if one.format else "everywhere")
        since = datetime.fromtimestamp(one.created_at, UTC).strftime("%Y-%m-%d")
        click.echo(f"{one.id}\t{since}\t{one.by}\t{where}\t{one.what}\t{one.reason}")
