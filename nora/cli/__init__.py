"""The `nora` command: one module for each of its commands, imported when it is asked for."""

from __future__ import annotations

import pkgutil
from importlib import import_module

import click

from nora import __version__


class Commands(click.Group):
    """The modules of this folder; each has its click command as `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        found: click.Command = import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command
        return found


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
