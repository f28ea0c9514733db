"""`nora gc`: collect garbage, while a server runs or not."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nora.blobs.layout import Layout
from nora.blobs.opening import open_store
from nora.cli._administration import require_store
from nora.cli._changing import Changing, tell_result
from nora.cli._progress import Progress
from nora.commands import open_catalog
from nora.config import repository_specs
from nora.errors import NoraError
from nora.formats import load_config
from nora.locks import FileLock
from nora.serving import make_collector, make_evictor

if TYPE_CHECKING:
    from nora.blobs.collection import Collected, Garbage, Sum
    from nora.config import Config

_PHASES = {
    "blobs": "looking at blobs",
    "objects": "looking at objects",
    "dooming": "collecting",
    "removing": "removing",
}


class _Collecting(Changing):
    """Is recorded when something may have changed."""

    def _record(self, ctx: click.Context, *, succeeded: bool) -> None:
        if ctx.params.get("apply"):
            super()._record(ctx, succeeded=succeeded)


@click.command("gc", cls=_Collecting)
@click.option("--apply", is_flag=True, help="Collect it. Without this only what there is is told.")
@click.option(
    "--allow-strays",
    is_flag=True,
    help="Remove objects that the catalog does not know even when they are most of all.",
)
def command(apply: bool, allow_strays: bool) -> None:
    """Collect garbage: blobs that nothing needs any more, and files of crashes.

    Works while a server runs or not. What came less than `gc.grace` ago stays. While a server runs, what is
    collected stays on the disk for `gc.unlink_delay`, until nobody can be about to read it; the server
    removes it then. It may be stopped at any moment, and goes on the next time.
    """
    try:
        config = load_config(os.environ, Path.cwd())
        require_store(config)
        asyncio.run(_work(config, apply=apply, allow_strays=allow_strays))
    except NoraError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("stopped: what is collected stays so, and the next run goes on", err=True)
        sys.exit(130)


async def _work(config: Config, *, apply: bool, allow_strays: bool) -> None:
    layout = Layout(config.storage.path)
    async with open_catalog(config) as catalog:
        with closing(open_store(config, layout, catalog)) as store:
            collector = make_collector(config, catalog, store, pace=float(_is_served(config)))
            evictor = make_evictor(config, catalog, await catalog.sync_repositories(repository_specs(config)))
            with Progress(_PHASES) as progress:
                if not apply:
                    unused = await evictor.plan()
                    garbage = await collector.plan(progress.report)
                else:
                    unused = await evictor.evict()
                    collected = await collector.collect(progress.report, allow_strays=allow_strays)
                    if not _is_served(config):
                        # Nobody is about to read what was found before; whoever comes does not find it
                        collected = collected.and_removed(await collector.remove_doomed(delay=0.0))
    if apply:
        tell_result(unused.plus(collected.doomed).blobs)
        _tell_collected(config, unused, collected)
    else:
        _tell_garbage(unused, garbage)


def _is_served(config: Config) -> bool:
    """Whether a server runs now."""
    with closing(FileLock(config.storage.path / "nora.lock")) as lock:
        return not lock.acquire(block=False)


def _tell_garbage(unused: Sum, garbage: Garbage) -> None:
    if unused.count:
        click.echo(f"nobody used {unused.blobs} of upstreams")
    click.echo(f"nothing needs {garbage.unneeded.blobs}")
    click.echo(f"no row names {garbage.strays.objects}")
    if garbage.doomed.count:
        click.echo(f"{garbage.doomed.blobs} collected before, not removed yet")
    if garbage.is_suspicious:
        click.echo("the catalog knows little of what is stored: are these blobs its own?", err=True)
    elif unused.count or garbage.unneeded.count or garbage.strays.count:
        click.echo("nothing was changed: nora gc --apply collects it", err=True)


def _tell_collected(config: Config, unused: Sum, collected: Collected) -> None:
    if unused.count:
        click.echo(f"dropped {unused.blobs} of upstreams")
    click.echo(f"collected {collected.doomed.blobs}")
    click.echo(f"removed {collected.removed.objects}")
    if collected.kept.count:
        click.echo(
            f"{collected.kept.objects} that no row names are kept: a catalog that a restore has replaced "
            f"(*.replaced in {config.storage.path}) may name them; remove it when you are sure",
            err=True,
        )
    if collected.waiting.count:
        minutes = config.gc.unlink_delay // 60 + 1
        click.echo(f"the server removes {collected.waiting.objects} within {minutes} minutes", err=True)
