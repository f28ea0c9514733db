"""What the commands about retention share: they tell what goes, and remove it when that is said."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
import orjson

from nora.cli._administration import run
from nora.cli._changing import tell_result
from nora.errors import ConfigError
from nora.formats.retention import Retention, Totals, note_of, open_retention
from nora.formats.retention_shown import RemovalShown, removal_shown, rules_shown, totals_shown
from nora.observability.audit import command_log

if TYPE_CHECKING:
    from nora.catalog.base import Catalog
    from nora.config import Config
    from nora.formats.retention import Place
    from nora.retention.plan import Removal

YES = "Remove it; without this it is only told."
JSON = "One JSON object with everything, on standard output."


def tell_plan(*, as_json: bool) -> None:
    """Say what would go now."""

    async def work(config: Config, catalog: Catalog) -> Totals:
        retention, told, totals = await _open(config, catalog), Told(as_json), Totals()
        async for planned in retention.plan():
            totals.add(planned.removals)
            for one in planned.removals:
                told.add(planned.place, planned.package, one)
        told.finish(retention, totals, "would go", applied=False)
        return totals

    run(work)


def apply(*, as_json: bool) -> None:
    """Remove what has to go, and say it; each has its line in the audit log."""

    async def work(config: Config, catalog: Catalog) -> Totals:
        retention, told = await _open(config, catalog), Told(as_json)
        with command_log(config) as record:

            def tell(place: Place, package: str, removal: Removal) -> None:
                told.add(place, package, removal)
                record(note_of(place, package, removal), place.format.name, 200)

            totals = await retention.apply(tell)
        told.finish(retention, totals, "removed", applied=True)
        return totals

    tell_result(str(run(work)))


async def _open(config: Config, catalog: Catalog) -> Retention:
    if not config.retention.rules:
        raise ConfigError("there are no rules: [[retention.rules]] in the configuration says what goes")
    return await open_retention(config, catalog)


class Told:
    """What is said of what goes: a line for each, or all at the end."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._removals: list[RemovalShown] = []

    def add(self, place: Place, package: str, removal: Removal) -> None:
        """One more."""
        if self._as_json:
            self._removals.append(removal_shown(place, package, removal))
            return
        what = removal.name if place.format.browse.is_directory else f"{package} {removal.name}"
        click.echo(f"{place.repository.name} {what}: {removal.bytes} bytes, rule {removal.rule.number}")

    def finish(self, retention: Retention, totals: Totals, done: str, *, applied: bool) -> None:
        """That is all."""
        if self._as_json:
            document = {
                "applied": applied,
                "rules": rules_shown(retention.rules),
                "totals": totals_shown(totals),
                "removals": self._removals,
            }
            sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode() + "\n")
        click.echo(f"{done}: {totals}", err=True)
