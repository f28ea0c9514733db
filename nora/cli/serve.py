"""`nora serve`, and `nora` alone: run the registry."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from nora.errors import NoraError
from nora.formats import load_config
from nora.server import serve


@click.command("serve")
def command() -> None:
    """Run the registry until SIGTERM or SIGINT.

    Ends with 0 when it was stopped, 1 when it cannot start.
    """
    try:
        serve(load_config(os.environ, Path.cwd()))
    except NoraError as error:
        click.echo(f"nora cannot start: {error}", err=True)
        sys.exit(1)
