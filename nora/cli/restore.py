"""`nora restore`: put a backup back, where no server runs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from nora.cli._administration import given
from nora.cli._changing import Changing, tell_result
from nora.cli._progress import run_long
from nora.formats import load_config
from nora.upkeep.backups.restore import Wanted
from nora.upkeep.backups.running import PutBack, put_back
from nora.upkeep.backups.sealing import Passphrase
from nora.upkeep.progress import Progress


@click.command("restore", cls=Changing)
@click.option(
    "-i",
    "--input",
    "source",
    required=True,
    callback=given,
    help="The archive; or the folder or the bucket (s3://bucket/prefix): the newest backup there, or one.",
)
@click.option(
    "--replace", is_flag=True, help="Also where something is stored: its catalog is put aside, blobs stay."
)
@click.option("--keep-going", is_flag=True, help="Also when blobs of the backup are damaged: without these.")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What opens the secrets in the backup.",
)
@click.option("--without-secrets", is_flag=True, help="Leave out the secrets in the backup.")
def command(
    source: str, replace: bool, keep_going: bool, passphrase_file: Path | None, without_secrets: bool
) -> None:
    """Put a backup back into the store of the configuration, which is empty, and compare all of it.

    No server may run there. What is stored becomes a store at the end, when all of it is there: whoever was
    interrupted runs it again, and it goes on. Ends with 1 when something is wrong with the backup, naming it.
    """

    async def work(progress: Progress) -> PutBack:
        passphrase = None if passphrase_file is None else Passphrase.read(passphrase_file)
        wanted = Wanted(replace, keep_going, passphrase, without_secrets)
        return await put_back(load_config(os.environ, Path.cwd()), source, wanted, progress)

    done = run_long(work, "run it again, and it goes on; no server starts here before")
    told = f"{done.checked.blobs} blobs, {done.checked.size} bytes"
    tell_result(told)
    click.echo(f"restored {told}; {done.written} blobs were not here before", err=True)
    for note in done.notes:
        click.echo(note, err=True)
    for name in done.checked.lost:
        click.echo(f"lost before the backup was made: {name}", err=True)
    for problem in done.checked.problems:
        click.echo(problem, err=True)
    if done.checked.wrong:
        sys.exit(1)
