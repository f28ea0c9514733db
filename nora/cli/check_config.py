"""`nora check-config`: what is in force, where each value comes from, and what is wrong with it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import orjson

from nora.config import Config, load, repository_specs
from nora.config.describe import effective, render_toml
from nora.errors import StartError
from nora.formats import discover


@click.command("check-config")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of TOML.")
def check_config(as_json: bool) -> None:
    """Print the effective configuration with secrets hidden.

    Standard output can be used as a config.toml; warnings go to standard error. Ends with 1 when `nora serve`
    would not start with it.
    """
    try:
        config = load(os.environ, Path.cwd())
        specs = repository_specs(config, [one.name for one in discover()])
    except StartError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    if as_json:
        click.echo(_json(config, [spec.name for spec in specs]))
        return
    click.echo(render_toml(config), nl=False)
    for warning in config.warnings:
        click.echo(f"warning: {warning}", err=True)


def _json(config: Config, repositories: list[str]) -> bytes:
    return orjson.dumps(
        {
            "file": None if config.file is None else str(config.file),
            "settings": effective(config),
            "declared_repositories": config.repositories,
            "repositories": repositories,
            "warnings": config.warnings,
        },
        option=orjson.OPT_INDENT_2,
    )


command = check_config
