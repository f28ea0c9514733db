"""`nora backup`: keep what is stored, while a server runs or not; look whether a backup is whole."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from nora.cli._administration import given, require_store
from nora.cli._changing import Changing, change_nothing, tell_result
from nora.cli._progress import run_long
from nora.commands import open_services
from nora.formats import load_config
from nora.upkeep.backups.backup import Made
from nora.upkeep.backups.manifest import Checked
from nora.upkeep.backups.pruning import Pruned
from nora.upkeep.backups.reading import check_place
from nora.upkeep.backups.running import back_up
from nora.upkeep.backups.sealing import Passphrase
from nora.upkeep.progress import Progress


@click.command("backup", cls=Changing)
@click.option(
    "-o",
    "--output",
    callback=given,
    help="The archive to write, its name ends in .tar.gz, .tar.zst or .tar; or, for what is new, a folder or "
    "s3://bucket/prefix.",
)
@click.option("--with-secrets", is_flag=True, help="Tokens, keys and the htpasswd file as well, encrypted.")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What --with-secrets encrypts with.",
)
@click.option(
    "--keep", type=click.IntRange(min=1), help="Of the backups in the folder or bucket, the newest so many."
)
@click.option("--verify", "verified", callback=given, help="Read this backup, and compare all of it.")
def command(
    output: str, with_secrets: bool, passphrase_file: Path | None, keep: int | None, verified: str
) -> None:
    """Write all that is stored here, as it is now, to an archive, a folder or a bucket.

    Works while a server runs or not. A backup that is not finished never has its name. In a folder or a
    bucket each backup copies only what is new, and one that was interrupted goes on; with --keep older ones
    are removed afterwards, and what only they needed. The configuration is not in it; tokens, keys and users
    only with --with-secrets. A bucket is one of the server of `storage.s3_url`, with its credentials.

    Ends with 1 when anything of the store is lost, naming it: the backup has the rest.
    """
    if bool(output) == bool(verified):
        raise click.UsageError("say where to (-o backup.tar.gz), or what to compare (--verify backup.tar.gz)")
    if verified:
        change_nothing()
        _verify(verified)
        return
    if with_secrets != (passphrase_file is not None):
        raise click.UsageError("--with-secrets and --passphrase-file belong together")

    async def work(progress: Progress) -> tuple[Made, Pruned | None]:
        config = load_config(os.environ, Path.cwd())
        require_store(config)
        passphrase = None if passphrase_file is None else Passphrase.read(passphrase_file)
        async with open_services(config) as services:
            return await back_up(config, services.blobs, output, passphrase, progress, keep or 0)

    made, pruned = run_long(
        work, "there is no backup of that name, or the one before; a folder or a bucket keeps what it has"
    )
    told = f"{made.blobs} blobs, {made.size} bytes"
    tell_result(told)
    click.echo(f"{output}: {told}, {made.copied} of them copied now", err=True)
    if pruned is not None and (pruned.backups or pruned.blobs):
        click.echo(f"removed {len(pruned.backups)} older backups and {pruned.blobs} blobs", err=True)
    if made.lost:
        for name in made.lost:
            click.echo(f"lost: {name}", err=True)
        click.echo(
            f"{len(made.lost)} objects are gone or damaged in the store, and are not in the backup: "
            "`nora verify` tells whose they are",
            err=True,
        )
        sys.exit(1)


def _verify(path: str) -> None:
    async def work(progress: Progress) -> Checked:
        return await check_place(path, lambda: load_config(os.environ, Path.cwd()), progress)

    checked = run_long(work, "it was not compared to its end")
    for problem in checked.problems:
        click.echo(problem, err=True)
    for name in checked.lost:
        click.echo(f"lost before the backup was made: {name}", err=True)
    if checked.wrong:
        click.echo(f"{path} is damaged: {checked.wrong} problems", err=True)
        sys.exit(1)
    click.echo(f"{path} is whole: {checked.blobs} blobs, {checked.size} bytes", err=True)
