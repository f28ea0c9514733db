"""``python -m benches.registries``: run the bench, print the report, exit 1 when a gate is missed."""

from __future__ import annotations

import dataclasses
import math
import signal
import tempfile
from pathlib import Path
from types import FrameType

import click

from benches.registries import alone, environment, gates, report, rounds, seed
from benches.registries.lines import LINES
from benches.registries.rivals import ALL, NORA

OUT = Path(__file__).parents[1] / "results"
NAMES = (*(line.name for line in LINES), *alone.PARTS)


@click.command()
@click.option("--rounds", "count", type=click.IntRange(min=1), help="Rounds of each line (5; smoke: 1).")
@click.option("--seconds", type=click.FloatRange(min=1), help="How long a load lasts (4; smoke: 1).")
@click.option("--smoke", is_flag=True, help="Tiny sizes; check that the table is complete, not the gates.")
@click.option("--only", multiple=True, type=click.Choice(NAMES), help="This line only; repeatable.")
@click.option("--column", "columns", multiple=True, type=click.Choice([one.name for one in ALL]))
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
    """Compare NORA with docker-registry and Distribution v3 on this machine."""
    signal.signal(signal.SIGTERM, _leave)  # the registries that were started are stopped on the way out
    sizes = seed.SMOKE if smoke else seed.FULL
    sizes = dataclasses.replace(sizes, rounds=count or sizes.rounds, seconds=seconds or sizes.seconds)
    lines = [line for line in LINES if not only or line.name in only]
    if "tags-100" not in {line.name for line in lines}:
        sizes = dataclasses.replace(sizes, tags=1)  # most of the time of filling
    parts = [part for part in alone.PARTS if not only or part in only]
    registries = [one for one in ALL if not columns or one.name in columns]
    with tempfile.TemporaryDirectory(prefix="nora-bench-", dir=work) as directory:
        place = Path(directory)
        where = environment.describe(registries, place)
        results = rounds.Results()
        if lines:
            results = rounds.run(registries, lines, sizes, place, click.echo)
        shown = {line.name for line in lines} | {one.name for one in registries}
        judged = [gate for gate in gates.GATES if {gate.line, gate.rival, NORA.name} <= shown]
        checks = [gates.judge(gate, results) for gate in judged]
        for part in parts:
            checks += alone.run(part, place, smoke=smoke, say=click.echo)
    click.echo(report.write(out, results, checks, lines, registries, where))
    gaps = report.gaps(results, lines, registries)
    gaps += [check.name for check in checks if math.isnan(check.value)]
    missed = [check for check in checks if not check.passed]
    if gaps:
        click.echo(f"without a number: {', '.join(gaps)}", err=True)
    if missed:
        click.echo(f"{len(missed)} of {len(checks)} gates missed", err=True)
    if gaps or (missed and not smoke):
        raise SystemExit(1)


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
