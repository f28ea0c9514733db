"""Commands that change something: they leave a line in the audit log, as requests that do the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from nora.errors import NoraError
from nora.formats import load_config
from nora.observability.audit import record_command


class Changing(click.Command):
    """A command whose name and arguments are recorded, however it ends. Options may hold what is secret."""

    told: tuple[str, ...] = ()
    """Options that are recorded as well."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, then record it. A log that cannot be written is said, and changes nothing."""
        succeeded = False
        try:
            result = super().invoke(ctx)
            succeeded = True
            return result
        finally:
            self._record(ctx, succeeded=succeeded)

    def _record(self, ctx: click.Context, *, succeeded: bool) -> None:
        given = {one.name or "": str(ctx.params.get(one.name or "") or "") for one in self.params}
        arguments = [given[one.name or ""] for one in self.params if isinstance(one, click.Argument)]
        arguments += [f"--{name} {given[name]}" for name in self.told if given[name]]
        try:
            config = load_config(os.environ, Path.cwd())
            if not succeeded and not config.storage.path.exists():
                return  # nothing has changed, and there is no log: in the wrong directory, perhaps
            record_command(
                config,
                " ".join((ctx.command_path, *filter(None, arguments))),
                succeeded=succeeded,
            )
        except NoraError as error:
            click.echo(f"audit log: {error}", err=True)
