"""The results as a reader wants them: one table, the gates, and everything as JSON."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from benches.registries import chart, gates
from benches.registries.gates import Check
from benches.registries.lines import Line
from benches.registries.measure import Spread
from benches.registries.rivals import Registry
from benches.registries.rounds import Cell, Results
from benches.registries.tables import Shown

MIB = 1024 * 1024

HEADINGS = (
    "Load",
    "Registry",
    "Rate, median (spread)",
    "MB/s",
    "p50 ms",
    "p99 ms",
    "CPU µs/op",
    "Peak PSS MiB",
)


def markdown(
    results: Results, checks: Sequence[Check], tables: Sequence[Shown], environment: dict[str, object]
) -> str:
    """The whole report."""
    parts = ["# NORA beside others", "", *_facts(environment)]
    if results.rounds:
        others = statistics.median(one.others_cores for one in results.rounds)
        parts.append(f"- cores used by others, median of all rounds: {others:.2f}")
    parts.append("")
    for shown in tables:
        parts += _table(results, shown)
    parts += ["## Gates", "", *(f"    {check}" for check in checks), ""]
    if results.failures:
        parts += ["## Rounds without a number", ""]
        parts += [
            f"- round {one.number + 1}, {one.line}, {one.registry}: {one.reason.splitlines()[0]}"
            for one in results.failures
        ]
        parts += [""]
    return "\n".join(parts)


def _table(results: Results, shown: Shown) -> Iterator[str]:
    rivals = shown.table.rivals
    titles = {registry.name: registry.title for registry in shown.registries}
    headings = [*HEADINGS, *(f"Rate / {titles.get(rival, rival)}" for rival in rivals)]
    yield from (f"## {shown.table.title}", "", _row(headings))
    yield _row(["---"] * 2 + ["---:"] * (len(headings) - 2))
    for line in shown.lines:
        for registry in shown.registries:
            yield _row(row(results, line, registry, rivals))
    yield ""


def row(results: Results, line: Line, registry: Registry, rivals: Sequence[str]) -> list[str]:
    """One line of the table. A number in brackets is of void rounds; a dash means there is none."""
    cell = results.cell(line.name, registry.name)
    if cell is None:
        return [line.title, registry.title, *["-"] * (len(HEADINGS) + len(rivals) - 2)]
    times, unit = (60, "/min") if line.per == "min" else (1, "/s")
    shown = [
        f"{_spread(cell.rate, times)} {unit}",
        f"{cell.megabytes.median:,.1f}",
        _spread(cell.p50_us, 1e-3),
        _spread(cell.p99_us, 1e-3),
        _spread(cell.cpu_us, 1),
        _spread(cell.peak_pss, 1 / MIB),
    ]
    if cell.void:
        shown = [f"[{value}]" for value in shown]
    ratios = [_times(results.ratio(line.name, registry.name, rival, "rate")) for rival in rivals]
    return [line.title, registry.title, *shown, *ratios]


def gaps(results: Results, shown: Shown) -> list[str]:
    """The places of a table that have no number: every line and column must have all of them."""
    missing = []
    for line in shown.lines:
        for registry in shown.registries:
            cell = results.cell(line.name, registry.name)
            numbers = [math.nan] if cell is None else [spread.median for spread in _spreads(cell)]
            if not all(map(math.isfinite, numbers)):
                missing.append(f"{line.name} on {registry.name}")
    return missing


def document(results: Results, checks: Sequence[Check], environment: dict[str, object]) -> dict[str, object]:
    """All of it for machines: where, every round, every gate."""
    return {
        "environment": environment,
        "rounds": [
            {
                **dataclasses.asdict(one),
                "rate": one.rate,
                "megabytes": one.megabytes,
                "cpu_us": one.cpu_us,
            }
            for one in results.rounds
        ],
        "failures": [dataclasses.asdict(one) for one in results.failures],
        "checks": [{**dataclasses.asdict(check), "passed": check.passed} for check in checks],
        "gates": [dataclasses.asdict(gate) for gate in gates.GATES],
    }


def write(
    out: Path,
    results: Results,
    checks: Sequence[Check],
    tables: Sequence[Shown],
    environment: dict[str, object],
) -> str:
    """Write `registries.md`, `.json` and a picture of each table into ``out``; return the markdown."""
    out.mkdir(parents=True, exist_ok=True)
    text = markdown(results, checks, tables, environment)
    (out / "registries.md").write_text(text)
    told = document(results, checks, environment)
    (out / "registries.json").write_bytes(orjson.dumps(told, option=orjson.OPT_INDENT_2))
    for shown in tables:
        picture = chart.draw(results, shown.lines, shown.registries)
        (out / f"{shown.table.name}.svg").write_text(picture)
    return text


def _facts(environment: dict[str, object]) -> list[str]:
    return [f"- {name.replace('_', ' ')}: {_plain(value)}" for name, value in environment.items()]


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {what}" for name, what in value.items())
    return str(value)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _spread(spread: Spread, times: float) -> str:
    low, median, high = (_number(value * times) for value in (spread.low, spread.median, spread.high))
    return median if low == high else f"{median} ({low}-{high})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}x"


def _spreads(cell: Cell) -> tuple[Spread, ...]:
    return (cell.rate, cell.megabytes, cell.p50_us, cell.p99_us, cell.cpu_us, cell.peak_pss)
