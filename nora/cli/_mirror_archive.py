"""`nora mirror export` and `nora mirror import`: what was mirrored goes in one archive to another site."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from nora.cli._administration import parsed, require_store
from nora.cli._changing import Changing, change_nothing, tell_result
from nora.cli._progress import run_long
from nora.commands import open_catalog, open_services
from nora.config import Config, repository_specs
from nora.config.kinds import parse_duration
from nora.errors import BadRequest, quoted
from nora.formats import load_config
from nora.upkeep.backups.backup import Cached, Made
from nora.upkeep.backups.importing import Imported
from nora.upkeep.backups.running import export_cached, import_cached
from nora.upkeep.progress import Progress

if TYPE_CHECKING:
    from nora.catalog.base import Catalog


@click.command("export", cls=Changing)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The archive to write, its name ends in .tar, .tar.gz or .tar.zst.",
)
@click.option(
    "--repository",
    "repositories",
    multiple=True,
    help="What was fetched by these proxies, or by those of these groups.  [default: all]",
)
@click.option(
    "--used-within",
    default="0",
    callback=parsed(parse_duration),
    help="What was fetched or asked for in so long a time, as 2h; uses are noted once an hour.  "
    "[default: all]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def export_command(output: Path, repositories: tuple[str, ...], used_within: int, as_json: bool) -> None:
    """Write what was fetched from upstreams here to one archive, to be imported elsewhere.

    Run it with the configuration of the NORA that has collected, while it runs or not. What is published
    here, users and tokens are not in it. An archive that is not finished never has its name.

    Ends with 1 when anything of it is lost in the store, naming it: the archive has the rest.
    """
    change_nothing()

    async def work(progress: Progress) -> Made:
        config = load_config(os.environ, Path.cwd())
        require_store(config)
        async with open_services(config) as services:
            chosen = await _proxies(config, services.catalog, repositories) if repositories else None
            since = time.time() - used_within if used_within else 0.0
            return await export_cached(config, services.blobs, output, Cached(chosen, since), progress)

    made = run_long(work, "there is no archive of that name, or the one before")
    if as_json:
        found = {"blobs": made.blobs, "bytes": made.size, "lost": made.lost}
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    click.echo(f"{output}: {made.blobs} blobs, {made.size} bytes", err=True)
    for name in made.lost:
        click.echo(f"lost: {name}", err=True)
    if made.lost:
        sys.exit(1)


async def _proxies(config: Config, catalog: Catalog, names: tuple[str, ...]) -> list[int]:
    """The ids of the proxies that these repositories read. Raises BadRequest."""
    known = await catalog.sync_repositories(repository_specs(config))
    found: list[int] = []
    for name in names:
        one = known.get(name)
        proxies = [] if one is None else [member for member in one.readable if member.kind == "proxy"]
        if not proxies:
            having = sorted(other for other, value in known.items() if value.proxied)
            raise BadRequest(
                f"--repository {quoted(name)} reads from no upstream; these do: {', '.join(having)}"
            )
        found += [row.id for proxy in proxies for row in (proxy, *proxy.sources)]
    return found


@click.command("import", cls=Changing)
@click.option(
    "-i",
    "--input",
    "source",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The archive of nora mirror export.",
)
@click.option("--keep-going", is_flag=True, help="Also when bytes in it are damaged: without these.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_command(source: Path, keep_going: bool, as_json: bool) -> None:
    """Put what another NORA has fetched into the caches of this one, and compare all of it.

    Run it with the configuration of the NORA that is to have it, while it runs or not; it needs the same
    sources. What is there stays: of a document the newer one, of a file the one that is here. Run it again
    after an interruption: it goes on.

    Ends with 1 when anything is not here then, each thing named with its reason.
    """

    async def work(progress: Progress) -> Imported:
        config = load_config(os.environ, Path.cwd())
        async with open_catalog(config) as catalog:
            return await import_cached(config, catalog, source, progress, keep_going=keep_going)

    done = run_long(work, "what came is kept; run it again, and it goes on")
    told = (
        f"{done.files} files and documents imported, {done.known} were here; {done.checked.blobs} blobs, "
        f"{done.checked.size} bytes compared, {done.written} of them new"
    )
    tell_result(told)
    wrong = [*done.checked.problems, *(f"lost before the export: {one}" for one in done.checked.lost)]
    if as_json:
        found = {
            "imported": done.files,
            "known": done.known,
            "blobs": done.checked.blobs,
            "bytes": done.checked.size,
            "written": done.written,
            "missing": done.missing,
            "left_out": done.left_out,
            "problems": wrong,
        }
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    for line in (*wrong, *(f"missing: {one}" for one in done.left_out)):
        click.echo(line, err=True)
    click.echo(told, err=True)
    if wrong or done.missing:
        sys.exit(1)
