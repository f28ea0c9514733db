"""Commands that change something: they leave a line in the audit log, as requests that do the same, and
events that say who ran them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from nora.catalog.events import CAUSE, Cause
from nora.config.secrets import HIDDEN, hide
from nora.errors import NoraError
from nora.formats import load_config
from nora.observability.audit import record_command, user_of_this_process

_RESULT = "nora.result"
_LOOKS = "nora.looks"
_hide_tokens = re.compile(r"nra_\w+|eyJ[\w.-]+").sub


def tell_result(text: str) -> None:
    """What the command that runs has made, for the line in the log. No secret."""
    click.get_current_context().meta[_RESULT] = text


def change_nothing() -> None:
    """The command that runs only looks: there is no line about it."""
    click.get_current_context().meta[_LOOKS] = True


class Changing(click.Command):
    """A command that is recorded with what was typed, however it ends. What looks like a secret is hidden;
    what was asked for without an echo, or read from elsewhere, is not typed."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it, then record it. A log that cannot be written is said, and changes nothing."""
        succeeded = False
        cause = CAUSE.set(lambda: Cause(user_of_this_process(), "command"))
        try:
            result = super().invoke(ctx)
            succeeded = True
            return result
        finally:
            CAUSE.reset(cause)
            self._record(ctx, succeeded=succeeded)

    def _record(self, ctx: click.Context, *, succeeded: bool) -> None:
        if _LOOKS in ctx.meta:
            return
        words = " ".join([ctx.command_path, *self._arguments(ctx), *self._options(ctx)])
        result = ctx.meta.get(_RESULT, "") if succeeded else ""
        try:
            config = load_config(os.environ, Path.cwd())
            if not succeeded and not config.storage.path.exists():
                return  # nothing has changed, and there is no log: in the wrong directory, perhaps
            record_command(config, f"{words}: {result}" if result else words, succeeded=succeeded)
        except NoraError as error:
            click.echo(f"audit log: {error}", err=True)

    def _arguments(self, ctx: click.Context) -> Iterator[str]:
        for one in self.params:
            value = ctx.params.get(one.name or "")
            if isinstance(one, click.Argument) and value:
                yield _shown(value)

    def _options(self, ctx: click.Context) -> Iterator[str]:
        for one in self.params:
            name = one.name or ""
            if not isinstance(one, click.Option) or one.hide_input:
                continue
            if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                value = ctx.params.get(name)
                for each in value if isinstance(value, tuple) else (value,):
                    yield one.opts[0] if one.is_flag else f"{one.opts[0]} {_shown(each)}"


def _shown(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return _hide_tokens(HIDDEN, str(hide("", text)) if "://" in text else text)
