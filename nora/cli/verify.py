"""`nora verify`: whether what is stored is what was stored, while a server runs or not."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from nora.cli._administration import parsed, require_store
from nora.cli._changing import Changing, change_nothing, tell_result
from nora.cli._progress import run_long
from nora.commands import open_services
from nora.config import repository_specs
from nora.config.kinds import parse_duration, parse_size
from nora.formats import load_config
from nora.formats.administration import open_purging
from nora.http.jobs import VERIFICATION
from nora.upkeep.progress import Progress
from nora.upkeep.records import noted
from nora.upkeep.verification import Pace, Verified, Verifier


@click.command("verify", cls=Changing)
@click.option(
    "--repair", is_flag=True, help="Put damaged objects aside, and forget what can be fetched anew."
)
@click.option(
    "--rate", default="0", callback=parsed(parse_size), help="Read at most so many bytes a second, as 50MiB."
)
@click.option(
    "--skip-recent",
    default="0",
    callback=parsed(parse_duration),
    help="Pass over what was found right less than so long ago, as 24h: to go on after an interruption.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(repair: bool, rate: int, skip_recent: int, as_json: bool) -> None:
    """Read every stored object and compare it with its digest, and look whether the catalog is in order.

    Works while a server runs or not. Ends with 1 when something is wrong, and names what it is and whose.
    With --repair an object with other bytes than were written is put aside, and what came from an upstream
    is fetched anew when somebody asks for it; what was published is to be put again, and is whole then.
    """
    if not repair:
        change_nothing()

    async def work(progress: Progress) -> Verified:
        config = load_config(os.environ, Path.cwd())
        require_store(config)
        pace, since = Pace(rate), time.time() - skip_recent
        with noted(config.storage.path, VERIFICATION) as tell:
            async with open_services(config) as services:
                repositories = await services.catalog.sync_repositories(repository_specs(config))
                purging = await open_purging(config, services.catalog) if repair else None
                verifier = Verifier(services.catalog, services.blobs, repositories, purging, pace, progress)
                found = await verifier.run(verified_before=since)
            tell(found.summary, "" if found.is_right else found.summary)
        return found

    found = run_long(work, "what was compared is noted: --skip-recent 24h goes on from there")
    tell_result(found.summary)
    if as_json:
        click.echo(orjson.dumps(asdict(found), option=orjson.OPT_INDENT_2))
    else:
        _tell(found)
    click.echo(found.summary, err=True)
    if not found.is_right:
        sys.exit(1)


def _tell(found: Verified) -> None:
    for problem in found.row_problems:
        click.echo(problem)
    for one in found.damages:
        click.echo(f"{one.problem}: {one.digest} ({one.size} bytes)")
        for use in one.uses:
            click.echo(f"    {use}")
        if one.outcome:
            click.echo(f"    {one.outcome}")
