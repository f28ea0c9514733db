"""`nora check-config`: what is in force, where each value comes from, and what is wrong with it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import orjson

from nora.auth.risks import risks_of_files
from nora.config import Config, repository_specs
from nora.config.describe import declared, effective, proxies, reference, render_toml, toml_value
from nora.config.login import redirect_uri
from nora.errors import StartError
from nora.formats import known_formats, load_config
from nora.formats.upstream_checks import Checked, check_upstreams
from nora.model import RepositorySpec


@click.command("check-config")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of TOML.")
@click.option(
    "--reference", "wants_reference", is_flag=True, help="Print all that can be set, as Markdown, and end."
)
@click.option("--online", is_flag=True, help="Ask each upstream once whether it is what it should be.")
def check_config(as_json: bool, wants_reference: bool, online: bool) -> None:
    """Print the effective configuration with secrets hidden.

    Standard output can be used as a config.toml; warnings go to standard error. Ends with 1 when `nora serve`
    would not start with it, or when an upstream that was asked is not what it should be.
    """
    if wants_reference:
        click.echo(reference(known_formats()), nl=False)
        return
    try:
        config = load_config(os.environ, Path.cwd())
        specs = repository_specs(config)
    except StartError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    asked = asyncio.run(check_upstreams(config)) if online else []
    if as_json:
        click.echo(_json(config, specs, asked))
    else:
        _print(config, specs, asked)
    if any(one.problem for one in asked):
        sys.exit(1)


def _print(config: Config, specs: Sequence[RepositorySpec], asked: Sequence[Checked]) -> None:
    click.echo(render_toml(config), nl=False)
    for name, known in proxies(config, specs).items():
        click.echo(f"# {name} is {known['mode']} and asks {toml_value(known['upstreams'])}")
    if (uri := _redirect_uri(config)) is not None:
        click.echo(f"# the redirect URI to register at {config.login.issuer} is {uri}")
    for warning in _warnings(config):
        click.echo(f"warning: {warning}", err=True)
    for one in asked:
        told = f"error: {one.problem}" if one.problem else "fine"
        click.echo(f"{one.proxy} {one.url}: {told}", err=True)


def _redirect_uri(config: Config) -> str | None:
    """Of the login by an issuer, if there is one."""
    public_url = config.server.public_url
    return redirect_uri(public_url) if config.login.issuer and public_url else None


def _warnings(config: Config) -> tuple[str, ...]:
    """As the start tells them."""
    return (*config.warnings, *risks_of_files(config))


def _json(config: Config, specs: Sequence[RepositorySpec], asked: Sequence[Checked]) -> bytes:
    return orjson.dumps(
        {
            "file": None if config.file is None else str(config.file),
            "settings": effective(config),
            "declared_repositories": {name: declared(one) for name, one in config.repositories.items()},
            "repositories": [spec.name for spec in specs],
            "proxies": proxies(config, specs),
            "redirect_uri": _redirect_uri(config),
            "warnings": _warnings(config),
            "asked": [asdict(one) for one in asked],
        },
        option=orjson.OPT_INDENT_2,
    )


command = check_config
