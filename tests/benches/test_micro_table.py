"""The table of the micro benches: complete, in order, and with an exit code that keeps the gates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benches.micro import table
from benches.micro.cases import CASES, REQUESTS


def report(*, twin: float = 3e-6, compiled: float = 1e-6, plain: float = 1e-6) -> dict[str, Any]:
    seconds = {"twin": twin, "compiled": compiled, "plain": plain}
    return {
        "benchmarks": [
            {
                "extra_info": {"case": case.id, "kind": kind, "gate": case.gate},
                "stats": {"min": seconds[kind]},
            }
            for case in CASES
            for kind in seconds
            if kind != "plain" or case.plain
        ]
    }


def run(tmp_path: Path, content: dict[str, Any]) -> int:
    file = tmp_path / "micro.json"
    file.write_text(json.dumps(content))
    return table.main([str(file)])


def test_every_case_has_a_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, report()) == 0
    printed = capsys.readouterr().out
    for case in CASES:
        assert f"| {case.id} |" in printed
    for request in REQUESTS:
        assert f"| {request} |" in printed
    assert "| is_tag: valid |  | 3.000 | 1.000 | 3.00 | > 1 | yes |" in printed


@pytest.mark.parametrize(
    "slow", [{"compiled": 1.6e-6}, {"compiled": 3e-6, "plain": 5e-6}, {"plain": 0.96e-6}]
)
def test_missed_gate_is_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], slow: dict[str, float]
) -> None:
    assert run(tmp_path, report(**slow)) == 1
    captured = capsys.readouterr()
    assert "**NO**" in captured.out
    assert "not fast enough" in captured.err


def test_what_was_not_measured_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = report()
    content["benchmarks"] = [
        each for each in content["benchmarks"] if each["extra_info"]["case"] != "is_tag: valid"
    ]
    assert run(tmp_path, content) == 1
    assert "is_tag: valid" in capsys.readouterr().err


def test_cases_are_distinct_and_requests_name_them() -> None:
    known = [case.id for case in CASES]
    assert len(known) == len(set(known))
    for calls in REQUESTS.values():
        assert set(calls) <= set(known)


def test_without_a_file_it_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert table.main([]) == 2
    assert "FILE" in capsys.readouterr().err
