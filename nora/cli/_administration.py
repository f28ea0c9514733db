"""What commands for administrators share: words that are not empty by mistake, and a catalog to work on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import click

from nora.blobs.layout import Layout
from nora.catalog.base import Catalog
from nora.commands import open_catalog
from nora.config import Config
from nora.errors import ConfigError, NoraError
from nora.formats import load_config

T = TypeVar("T")


def given(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    """What was said. An empty text is the variable of a script that was not set: more would be meant."""
    if value == "":
        raise click.BadParameter("it is empty; leave it out where nothing is meant", ctx, param)
    return value or ""


def parsed(parse: Callable[[str], int]) -> Callable[[click.Context, click.Parameter, str], int]:
    """What an option says, by the rule for a setting of its kind."""

    def read(ctx: click.Context, param: click.Parameter, value: str) -> int:
        try:
            return parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return read


def require_store(config: Config, hint: str = "") -> None:
    """In another directory than the server's a command would make a store of its own, and seem to work.
    Raises ConfigError."""
    if not Layout(config.storage.path).catalog.exists():
        raise ConfigError(
            f"there is no store in {config.storage.path.resolve()} (storage.path): run this in the directory "
            f"and with the configuration of the server{hint}"
        )


def run(work: Callable[[Config, Catalog], Awaitable[T]]) -> T:
    """What `work` gives; an error of ours ends the command with 1."""

    async def with_catalog() -> T:
        config = load_config(os.environ, Path.cwd())
        require_store(config)
        async with open_catalog(config) as catalog:
            return await work(config, catalog)

    try:
        return asyncio.run(with_catalog())
    except NoraError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
