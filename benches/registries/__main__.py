"""``python -m benches.registries``: run the bench, print the report, exit 1 when a gate is missed."""

from __future__ import annotations

import dataclasses
import math
import signal
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import click

from benches.registries import alone, environment, gates, report, rounds, seed
from benches.registries.rivals import NORA
from benches.registries.seed import Sizes
from benches.registries.tables import TABLES, Shown

OUT = Path(__file__).parents[1] / "results"
NAMES = (*(line.name for table in TABLES for line in table.lines), *alone.PARTS)
COLUMNS = tuple(dict.fromkeys(column for table in TABLES for column in table.columns))


@click.command()
@click.option("--rounds", "count", type=click.IntRange(min=1), help="Rounds of each line (5; smoke: 1).")
@click.option("--seconds", type=click.FloatRange(min=1), help="How long a load lasts (4; smoke: 1).")
@click.option("--smoke", is_flag=True, help="Tiny sizes; check that the table is complete, not the gates.")
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="This line only; repeatable.")
@click.option("--column", "columns", multiple=True, type=click.Choice(COLUMNS))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=OUT, show_default=True)
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="Where the stores are put.")
def main(
    count: int | None,
    seconds: float | None,
    smoke: bool,
    only: tuple[str, ...],
    columns: tuple[str, ...],
    out: Path,
    work: Path | None,
) -> None:
    """Compare NORA with other registries and caches on this machine, and with its own promises."""
    signal.signal(signal.SIGTERM, _leave)  # the registries that were started are stopped on the way out
    sizes = seed.SMOKE if smoke else seed.FULL
    sizes = dataclasses.replace(sizes, rounds=count or sizes.rounds, seconds=seconds or sizes.seconds)
    if only and "tags-100" not in only:
        sizes = dataclasses.replace(sizes, tags=1)  # most of the time of filling
    with tempfile.TemporaryDirectory(prefix="nora-bench-", dir=work) as directory:
        place = Path(directory)
        results = rounds.Results()
        tables = list(_measure(results, sizes, place, only, columns))
        where = environment.describe([one for shown in tables for one in shown.registries] or [NORA], place)
        checks = [gates.judge(gate, results) for shown in tables for gate in _judged(shown)]
        for part in [part for part in alone.PARTS if not only or part in only]:
            checks += alone.run(part, place, smoke=smoke, say=click.echo)
    click.echo(report.write(out, results, checks, tables, where))
    gaps = [gap for shown in tables for gap in report.gaps(results, shown)]
    gaps += [check.name for check in checks if math.isnan(check.value)]
    missed = [check for check in checks if not check.passed]
    if gaps:
        click.echo(f"without a number: {', '.join(gaps)}", err=True)
    if missed:
        click.echo(f"{len(missed)} of {len(checks)} gates missed", err=True)
    if gaps or (missed and not smoke):
        raise SystemExit(1)


def _measure(
    results: rounds.Results, sizes: Sizes, place: Path, only: Sequence[str], columns: Sequence[str]
) -> Iterator[Shown]:
    """Run the rounds of the tables that have a line to show, one table after the other."""
    for table in TABLES:
        lines = [line for line in table.lines if not only or line.name in only]
        if not lines:
            continue
        work = place / table.name
        work.mkdir()
        with table.open(work, sizes) as tested:
            registries = [one for one in tested.registries if not columns or one.name in columns]
            results.add(rounds.run(registries, lines, sizes, work, click.echo, tested.fill))
            yield Shown(table, lines, registries)


def _judged(shown: Shown) -> list[gates.Gate]:
    """The gates of what was measured: their line, their rival and NORA."""
    seen = {line.name for line in shown.lines} | {one.name for one in shown.registries}
    return [gate for gate in gates.GATES if {gate.line, gate.rival, NORA.name} <= seen]


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
