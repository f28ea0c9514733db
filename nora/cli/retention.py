"""`nora retention`: what goes by the rules of the configuration, while a server runs or not."""

from __future__ import annotations

import click

from nora.cli import _retention
from nora.cli._changing import Changing


@click.group("retention")
def command() -> None:
    """What goes by [[retention.rules]]: plan, apply.

    Works on the data directory of this configuration, while a server runs or not; a server sees a change at
    once. Rows go, not bytes: those are collected later.
    """


@command.command("plan")
@click.option("--json", "as_json", is_flag=True, help=_retention.JSON)
def plan(as_json: bool) -> None:
    """Tell what would go now, and how much."""
    _retention.tell_plan(as_json=as_json)


@command.command("apply", cls=Changing)
@click.option("--yes", is_flag=True, help=_retention.YES)
@click.option("--json", "as_json", is_flag=True, help=_retention.JSON)
def apply(yes: bool, as_json: bool) -> None:
    """Remove it, with a line in the audit log for each; without --yes this is `plan`.

    What is published while it runs is looked at anew before anything of that package goes.
    """
    if yes:
        _retention.apply(as_json=as_json)
    else:
        _retention.tell_plan(as_json=as_json)
