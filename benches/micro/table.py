"""The table of the micro benches: `python -m benches.micro.table FILE`, a JSON file of pytest-benchmark.

Prints Markdown, and exits with 1 when a compiled function is not as fast as it must be, or was not measured.
Times are the least of all rounds: what the code costs when nothing else runs on the core.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

from benches.micro.cases import CASES, REQUESTS


@dataclass(slots=True)
class Row:
    """Seconds by kind (`plain`, `twin`, `compiled`), and the ratio that is wanted."""

    case: str
    gate: float
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def rival(self) -> float | None:
        """Seconds of what the gate is about."""
        return self.seconds.get("plain", self.seconds.get("twin"))

    @property
    def ratio(self) -> float | None:
        compiled = self.seconds.get("compiled")
        return self.rival / compiled if compiled and self.rival else None

    @property
    def passes(self) -> bool:
        return self.ratio is not None and (self.ratio > 1 if self.gate == 1 else self.ratio >= self.gate)


def read(report: dict[str, list[dict[str, dict[str, float]]]]) -> list[Row]:
    """One row for each case, in order, also for those that are not in the report."""
    rows = {case.id: Row(case.id, case.gate) for case in CASES}
    for result in report["benchmarks"]:
        info = result["extra_info"]
        row = rows.get(str(info.get("case")))
        if row is not None:
            row.seconds[str(info["kind"])] = result["stats"]["min"]
    return list(rows.values())


def render(rows: list[Row]) -> str:
    """Both tables: each case, and what a request saves."""
    lines = [
        "| case | hashlib + xxhash, µs | twin, µs | compiled, µs | ratio | wanted | |",
        "|---|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        times = " | ".join(_microseconds(row.seconds.get(kind)) for kind in ("plain", "twin", "compiled"))
        ratio = f"{row.ratio:.2f}" if row.ratio else "-"
        wanted = "> 1" if row.gate == 1 else f"≥ {row.gate:g}"
        lines.append(f"| {row.case} | {times} | {ratio} | {wanted} | {'yes' if row.passes else '**NO**'} |")
    by_case = {row.case: row for row in rows}
    lines += ["", "| request | twins, µs | compiled, µs | saves, µs |", "|---|--:|--:|--:|"]
    for request, calls in REQUESTS.items():
        twin = sum(by_case[call].seconds.get("twin", 0) for call in calls)
        compiled = sum(by_case[call].seconds.get("compiled", 0) for call in calls)
        saved = _microseconds(twin - compiled)
        lines.append(f"| {request} | {_microseconds(twin)} | {_microseconds(compiled)} | {saved} |")
    return "\n".join(lines)


def _microseconds(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds * 1e6:.1f}" if abs(seconds) >= 1e-4 else f"{seconds * 1e6:.3f}"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    rows = read(json.loads(Path(arguments[0]).read_text()))
    print(render(rows))
    missed = [row.case for row in rows if not row.passes]
    if missed:
        print(f"\nnot fast enough or not measured: {'; '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
