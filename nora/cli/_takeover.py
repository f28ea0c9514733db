"""`nora migrate --from-nora`: what the NORA written in Rust has, published in a running one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import orjson

from nora.cli._progress import run_long
from nora.cli._sending import HttpSender
from nora.formats import discover
from nora.formats.legacy import LegacyTree, Patterns, Publication
from nora.mirror.legacy import TakenOver, Takeover
from nora.upkeep.progress import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was said."""

    directory: Path
    registry: str
    token: str | None
    token_file: str | None
    ca_cert: Path | None
    own: Sequence[str]
    skip: Sequence[str]
    is_dry: bool
    as_json: bool


def take_over(wanted: Wanted) -> None:
    """Do it, say what has come of it, and end with 1 where something is refused."""

    def told(one: Publication) -> None:
        if wanted.is_dry and not wanted.as_json:
            click.echo(f"would publish: {one.title} ({one.size} bytes)")

    async def work(progress: Progress) -> TakenOver:
        tree = LegacyTree(wanted.directory)
        formats = discover()
        names = [*(one.name for one in formats), *tree.folders()]
        own, skipped = Patterns(wanted.own, names, "--own"), Patterns(wanted.skip, names, "--skip")
        if wanted.is_dry:
            return await Takeover(tree, None, progress, told=told).run(formats, own, skipped)
        sender = HttpSender(wanted.registry, wanted.token, wanted.token_file, wanted.ca_cert)
        with closing(sender):
            return await Takeover(tree, sender, progress).run(formats, own, skipped)

    done = run_long(work, "what was published stays; run it again, and it goes on")
    if wanted.as_json:
        click.echo(orjson.dumps(asdict(done), option=orjson.OPT_INDENT_2))
    else:
        for left in done.left:
            click.echo(f"left: {left.title}: {left.reason}")
        for one in done.refused:
            click.echo(f"refused: {one.title}: {one.reason}")
    for note in done.notes:
        click.echo(note, err=True)
    verb = "would be published" if wanted.is_dry else "published"
    click.echo(
        f"{done.published} {verb}, {done.published_bytes} bytes; {done.there} there already; "
        f"{len(done.left)} left, {len(done.refused)} refused",
        err=True,
    )
    if done.refused:
        sys.exit(1)
