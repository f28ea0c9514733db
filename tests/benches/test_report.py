"""From rounds to medians, gates, the table and the chart."""

from __future__ import annotations

import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import orjson
import pytest

from benches.registries import chart, gates, report
from benches.registries.gates import Check, Gate
from benches.registries.generators import Load
from benches.registries.lines import LINES
from benches.registries.rivals import ALL, DISTRIBUTION, DOCKER_REGISTRY, NORA, RIVALS
from benches.registries.rounds import Failure, Results, Round
from benches.registries.tables import TABLES, Shown

LINE = LINES[0]
SHOWN = Shown(TABLES[0], LINES, ALL)
NAMES = [rival.name for rival in RIVALS]


def one(registry: str, rate: int, *, line: str = LINE.name, number: int = 0, void: bool = False) -> Round:
    load = Load(rate, 1.0, rate * 100, 1000.0, 2000.0, 0.2, 1)
    return Round(line, registry, number, load, 0.5, 1 << 20, 0.5, 0.2, 0.0, void)


def everything(rate: int = 100) -> Results:
    return Results([one(registry.name, rate, line=line.name) for line in LINES for registry in ALL])


def test_a_cell_is_the_median_of_the_valid_rounds() -> None:
    rates = [(100, False), (300, False), (200, False), (900, True)]
    cell = Results([one(NORA.name, rate, void=void) for rate, void in rates]).cell(LINE.name, NORA.name)
    assert cell is not None
    assert (cell.rate.median, cell.rate.low, cell.rate.high) == (200, 100, 300)
    assert (cell.rounds, cell.void) == (3, False)


def test_a_cell_of_void_rounds_alone_says_so() -> None:
    cell = Results([one(NORA.name, 100, void=True)]).cell(LINE.name, NORA.name)
    assert cell is not None
    assert cell.void


@pytest.mark.parametrize(("rate", "passed"), [(599, False), (600, True)])
def test_a_gate_is_a_ratio(rate: int, passed: bool) -> None:
    results = Results([one(NORA.name, rate), one(DOCKER_REGISTRY.name, 100)])
    check = gates.judge(Gate(LINE.name, DOCKER_REGISTRY.name, "rate", 6), results)
    assert check.passed is passed


def test_rounds_are_compared_with_their_own_kind() -> None:
    rates = [(300, 100), (900, 300), (150, 60)]  # the machine was slow, fast, and slow again
    results = Results(
        [
            replace(one(name, rate), number=number)
            for number, pair in enumerate(rates)
            for name, rate in zip((NORA.name, DOCKER_REGISTRY.name), pair, strict=True)
        ]
    )
    results.rounds.append(replace(one(NORA.name, 9999, void=True), number=2))
    results.rounds.append(replace(one(NORA.name, 9999), number=3))  # the rival has failed in this one
    assert results.ratio(LINE.name, NORA.name, DOCKER_REGISTRY.name, "rate") == 3


def test_less_cpu_is_better() -> None:
    results = Results([one(NORA.name, 1000), one(DOCKER_REGISTRY.name, 100)])
    assert gates.judge(Gate(LINE.name, DOCKER_REGISTRY.name, "cpu_us", 0.15), results).passed


def test_a_gate_on_memory_says_whether_its_aim_is_missed() -> None:
    results = Results(
        [replace(one(NORA.name, 1), peak_pss=30), replace(one(DISTRIBUTION.name, 1), peak_pss=100)]
    )
    check = gates.judge(Gate(LINE.name, DISTRIBUTION.name, "peak_pss", 1, aim=0.2), results)
    assert check.passed
    assert "peak memory beside distribution: 0.3 x ≤ 1 (aim 0.2, missed)" in str(check)


def test_a_gate_without_numbers_is_missed() -> None:
    check = gates.judge(Gate(LINE.name, DISTRIBUTION.name, "rate", 1), Results())
    assert math.isnan(check.value)
    assert not check.passed


def test_a_gate_on_void_rounds_is_missed() -> None:
    results = Results([one(NORA.name, 900, void=True), one(DISTRIBUTION.name, 100)])
    assert not gates.judge(Gate(LINE.name, DISTRIBUTION.name, "rate", 1), results).passed


def test_every_gate_names_a_line_and_a_column() -> None:
    columns = {line.name: table.columns for table in TABLES for line in table.lines}
    assert all(gate.rival in columns[gate.line] for gate in gates.GATES)
    assert all(NORA.name in columns[gate.line] for gate in gates.GATES)
    assert len({(gate.line, gate.rival, gate.metric) for gate in gates.GATES}) == len(gates.GATES)


def test_no_line_is_in_two_tables() -> None:
    names = [line.name for table in TABLES for line in table.lines]
    assert len(set(names)) == len(names)
    assert all(set(table.rivals) <= set(table.columns) for table in TABLES)


def test_a_table_is_complete_when_each_line_has_each_column() -> None:
    results = everything()
    assert report.gaps(results, SHOWN) == []
    del results.rounds[0]
    assert report.gaps(results, SHOWN) == [f"{LINES[0].name} on {ALL[0].name}"]


def test_the_table_has_a_row_for_each_line_and_column() -> None:
    results = everything()
    results.failures.append(Failure("ci", NORA.name, 0, "a client died"))
    checks = [Check("idle PSS", 63.0, "MiB", 80, aim=64), Check("chunks", math.nan, "x", 2.2)]
    text = report.markdown(results, checks, [SHOWN], {"commit": "abc", "registries": {"nora": "1"}})
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(LINES) * len(ALL)
    assert len({row.count("|") for row in rows}) == 1
    assert "ok     idle PSS: 63 MiB ≤ 80 (aim 64)" in text
    assert "MISSED chunks: nan x ≤ 2.2" in text
    assert "round 1, ci, nora: a client died" in text


def test_void_numbers_are_in_brackets_and_absent_ones_a_dash() -> None:
    results = Results([one(NORA.name, 100, void=True)])
    assert report.row(results, LINE, NORA, NAMES)[2] == "[100 /s]"
    assert set(report.row(results, LINE, DISTRIBUTION, NAMES)[2:]) == {"-"}


def test_jobs_are_counted_by_the_minute() -> None:
    replay = next(line for line in LINES if line.name == "ci")
    results = Results([one(NORA.name, 10, line="ci")])
    assert report.row(results, replay, NORA, NAMES)[2] == "600 /min"


def test_machines_read_json() -> None:
    told = report.document(everything(), [Check("x", 1.0, "s", 2)], {"commit": "abc"})
    read = orjson.loads(orjson.dumps(told))
    assert read["environment"]["commit"] == "abc"
    assert read["checks"][0]["passed"] is True
    assert read["rounds"][0]["rate"] == 100


def test_the_chart_is_xml_with_a_bar_for_each_number() -> None:
    tree = ET.fromstring(chart.draw(everything(), LINES, ALL))
    space = "{http://www.w3.org/2000/svg}"
    bars = [rect for rect in tree.iter(f"{space}rect") if rect.get("x") == str(chart.LABELS)]
    assert len(bars) == len(LINES) * len(ALL)
    assert all(float(bar.get("width", "0")) > 0 for bar in bars)


def test_a_chart_without_numbers_is_still_a_chart() -> None:
    ET.fromstring(chart.draw(Results(), LINES, ALL))
