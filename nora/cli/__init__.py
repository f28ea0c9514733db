"""The `nora` command: one module for each of its commands, imported when it is asked for. What formats offer
beside comes from their records."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING

import click

from nora import __version__

if TYPE_CHECKING:
    from nora.formats.base import Format


OTHER_NAMES = {"healthcheck": "health"}
"""Of commands: what they are called elsewhere."""


class Commands(click.Group):
    """The modules of this folder, each has its click command as `command`; and the formats with commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*_own_commands(), *OTHER_NAMES, *_commanding()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found: click.Command | None = None
        cmd_name = OTHER_NAMES.get(cmd_name, cmd_name)
        if cmd_name in _own_commands():
            found = import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        elif cmd_name in _commanding():
            found = import_module(f"{__name__}._formats").group_of(_commanding()[cmd_name])
        return found


def _own_commands() -> list[str]:
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return [name.replace("_", "-") for name in names if not name.startswith("_")]


def _commanding() -> dict[str, Format]:
    from nora.formats import discover  # only where no module has the command: it costs its time

    return {one.name: one for one in discover() if one.commands or one.client_commands}


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from nora._speedups import COMPILED

        click.echo(f"nora {__version__} ({'compiled' if COMPILED else 'pure Python'})")
        ctx.exit()


@click.group(cls=Commands, invoke_without_command=True)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version, and whether its speedups are compiled.",
)
@click.pass_context
def main(ctx: click.Context) -> None:
    """NORA, an artifact registry. Without a command it serves."""
    if ctx.invoked_subcommand is None:
        serve = main.get_command(ctx, "serve")
        assert serve is not None
        ctx.invoke(serve)
