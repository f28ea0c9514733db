"""What the product promises: each promise is kept by tests that exist, or is said to come later."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

from tests.support.tables import each

ROOT = Path(__file__).parent.parent
PROMISES: dict[str, dict[str, object]] = tomllib.loads((ROOT / "tests/promises.toml").read_text("utf-8"))
NUMBERS = {"P": 4, "F": 7, "A": 16, "R": 3, "C": 9, "K": 4, "E": 1, "M": 4, "T": 8}


def test_every_promise_is_listed() -> None:
    assert set(PROMISES) == {f"{letter}{n + 1}" for letter, count in NUMBERS.items() for n in range(count)}


@each("promise", PROMISES)
def test_a_promise_is_kept_by_tests_or_comes_later(promise: str) -> None:
    entry = PROMISES[promise]
    if entry["state"] == "later":
        assert set(entry) == {"text", "state"}
        return
    assert entry["state"] == "met"
    assert entry["tests"]
    assert isinstance(entry["tests"], list)
    for node in entry["tests"]:
        path, *names = node.split("::")
        assert _defines((ROOT / path).read_text("utf-8"), names), f"{node} does not exist"


def test_the_quick_suite_has_a_coverage_gate() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["coverage"]
    assert settings["report"]["fail_under"] >= 85
    assert settings["run"]["source"] == ["nora"]
    assert 'make --no-print-directory test ARGS="--cov ' in (ROOT / ".ci/sections.sh").read_text("utf-8")


def _defines(source: str, names: list[str]) -> bool:
    body: list[ast.stmt] = ast.parse(source).body
    for name in names:
        kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        found = [one for one in body if isinstance(one, kinds) and one.name == name]
        if not found:
            return False
        body = found[0].body
    return bool(names) and names[-1].startswith("test_")
