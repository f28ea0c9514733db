"""`nora migrate`: from a directory to a bucket or back, while a server runs or not; or from another NORA."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from nora.cli._administration import parsed, require_store
from nora.cli._changing import Changing, change_nothing, tell_result
from nora.cli._progress import run_long
from nora.cli._takeover import Wanted, take_over
from nora.commands import open_catalog
from nora.config.kinds import parse_size
from nora.formats import load_config
from nora.upkeep.migration import Migrated, Place, migrate
from nora.upkeep.progress import Progress
from nora.upkeep.verification import Pace

if TYPE_CHECKING:
    from nora.config import Config

_PLACES = click.Choice(["local", "s3"])
_REGISTRY = "http://localhost:4000"


@click.command("migrate", cls=Changing)
@click.option("--from", "source", type=_PLACES, help="Where blobs are.")
@click.option("--to", "target", type=_PLACES, help="Where they are to be as well.")
@click.option(
    "--rate", default="0", callback=parsed(parse_size), help="Copy at most so many bytes a second, as 50MiB."
)
@click.option(
    "--from-nora",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data directory of the NORA written in Rust: publish what it has in a running NORA.",
)
@click.option("--registry", default=_REGISTRY, show_default=True, help="That NORA.")
@click.option("--token", help="The token of who publishes; others on this machine may see it.")
@click.option("--token-file", help="A file with the token; without one, as the netrc of the user says.")
@click.option(
    "--ca-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="PEM of an authority to trust beside those of the system.",
)
@click.option(
    "--own",
    multiple=True,
    help="FORMAT or FORMAT:PATTERN, * is anything: names that are yours, where nothing tells.",
)
@click.option("--skip", multiple=True, help="FORMAT or FORMAT:PATTERN: names that are left out.")
@click.option("--dry-run", is_flag=True, help="Send nothing; say what would be, and what cannot be, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    source: Place | None,
    target: Place | None,
    rate: int,
    from_nora: Path | None,
    registry: str,
    token: str | None,
    token_file: str | None,
    ca_cert: Path | None,
    own: tuple[str, ...],
    skip: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
) -> None:
    """Copy all blobs from the data directory to the bucket of the configuration, or back; or publish what
    another NORA has.

    With --from and --to it works while a server runs or not. Each blob is compared with its digest on the
    way; what is there already is not copied again, so that it may be stopped at any moment and goes on the
    next time. Nothing is deleted. The catalog stays in the data directory. When it has run a last time, with
    the server stopped, change `storage.mode` and start the server.

    With --from-nora a running NORA is asked to publish everything that was published to the one written in
    Rust, as clients ask it. Copies of what upstreams have are left: they come again.

    Ends with 1 when a blob is gone or damaged, or something is refused, naming it: the others are taken.
    """
    if from_nora is not None:
        if source or target or rate:
            raise click.UsageError("--from-nora goes without --from, --to and --rate")
        change_nothing()  # the log of the server has every request
        take_over(
            Wanted(
                directory=from_nora,
                registry=registry,
                token=token,
                token_file=token_file,
                ca_cert=ca_cert,
                own=own,
                skip=skip,
                is_dry=dry_run,
                as_json=as_json,
            )
        )
        return
    if token or token_file or ca_cert or own or skip or dry_run or registry != _REGISTRY:
        raise click.UsageError("--registry, --token, --own, --skip and --dry-run go with --from-nora")
    if source is None or target is None:
        raise click.UsageError("say --from and --to, or --from-nora")
    _copy(source, target, rate, as_json=as_json)


def _copy(source: Place, target: Place, rate: int, *, as_json: bool) -> None:
    if source == target:
        raise click.UsageError("--from and --to are the same: say local and s3, or s3 and local")
    opened: list[Config] = []

    async def work(progress: Progress) -> Migrated:
        config = load_config(os.environ, Path.cwd())
        opened.append(config)
        require_store(config)
        async with open_catalog(config) as catalog:
            return await migrate(config, catalog, source, target, Pace(rate), progress)

    done = run_long(work, "what was copied stays; run it again, and it goes on")
    told = f"{done.copied} blobs copied, {done.copied_bytes} bytes; {done.blobs} blobs, {done.bytes} bytes"
    tell_result(told)
    if as_json:
        click.echo(orjson.dumps(asdict(done), option=orjson.OPT_INDENT_2))
    else:
        for one in done.problems:
            click.echo(f"{one.problem}: {one.digest} ({one.size} bytes)")
    click.echo(f"{told} in all", err=True)
    click.echo(_next(opened[0], source, target, done), err=True)
    if done.wrong or not (done.is_complete or done.is_served):
        sys.exit(1)


def _next(config: Config, source: Place, target: Place, done: Migrated) -> str:
    """What is to be done now."""
    if done.wrong:
        return (
            f"{done.wrong} objects are gone or damaged in {_name(config, source)}, and were not copied: "
            "`nora verify` tells whose they are, with the storage.mode they are in"
        )
    if done.is_served:
        return (
            "a server runs, and what comes from now on is not copied: when you want to switch, stop it and "
            "run this again, which is quick then"
        )
    if not done.is_complete:
        return f"not all that was copied is listed in {_name(config, target)} yet: run this again"
    if config.storage.mode == target:
        switch = f'nothing is missing, and storage.mode is "{target}" already.'
    else:
        switch = (
            f'nothing is missing: set storage.mode = "{target}" (NORA_STORAGE_MODE={target}) and start the '
            "server."
        )
    return (
        f"{switch} Nothing was deleted in {_name(config, source)}: remove it when `nora verify` has found "
        "nothing wrong after that"
    )


def _name(config: Config, place: Place) -> str:
    storage = config.storage
    if place == "local":
        return f"{storage.path.resolve() / 'blobs'}"
    return f"{storage.s3_prefix}blobs/ of the bucket {storage.bucket} at {storage.s3_url}"
