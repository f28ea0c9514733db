"""Each compiled function beside its twin: `pytest benches/micro --benchmark-only --benchmark-json=FILE`, then
`python -m benches.micro.table FILE`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from benches.micro.cases import CASES, Case

RUNS = [
    (case, kind) for case in CASES for kind in ("plain", "twin", "compiled") if kind != "plain" or case.plain
]


@pytest.mark.benchmark(max_time=0.15, min_rounds=20, min_time=0.00005, disable_gc=True)
@pytest.mark.parametrize(("case", "kind"), RUNS, ids=[f"{case.id} [{kind}]" for case, kind in RUNS])
def test_speedup(benchmark: Any, case: Case, kind: str) -> None:
    benchmark.group = case.id
    benchmark.extra_info.update(case=case.id, kind=kind, gate=case.gate)
    if kind == "plain":
        assert case.plain is not None
        benchmark(case.plain)
    else:
        suffix = "py" if kind == "twin" else "c"
        benchmark(case.call(import_module(f"nora._speedups.{case.module}_{suffix}")))
