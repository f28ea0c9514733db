"""Ranges of versions are what npm takes them for."""

from __future__ import annotations

from nora.formats.npm.ranges import Range
from tests.support.tables import each

VERSIONS = (
    "0.0.1",
    "0.0.2",
    "0.1.0",
    "0.2.5",
    "1.0.0-rc.1",
    "1.0.0",
    "1.2.3",
    "1.3.0-beta",
    "1.3.0",
    "2.0.0",
)
# Seen in the library `semver` of npm.
RANGES = {
    "*": "2.0.0",
    "x": "2.0.0",
    "1": "1.3.0",
    "1.x": "1.3.0",
    "v1.2": "1.2.3",
    "1.2.x": "1.2.3",
    "=1.2.3": "1.2.3",
    "^1": "1.3.0",
    "^1.2.3": "1.3.0",
    "^0.1.0": "0.1.0",
    "^0.0.1": "0.0.1",
    "^0.0": "0.0.2",
    "^0": "0.2.5",
    "~1.2": "1.2.3",
    "~>1": "1.3.0",
    "~0.0.1": "0.0.2",
    ">=1 <1.3": "1.2.3",
    ">= 1 < 1.3": "1.2.3",
    "<1": "0.2.5",
    "<1.0.0": "0.2.5",
    "<=1": "1.3.0",
    "<=1.2": "1.2.3",
    ">1": "2.0.0",
    ">1.2 <2": "1.3.0",
    ">2": None,
    "<0.0.1": None,
    "<*": None,
    "0.0.2 - 1.2": "1.2.3",
    "0 - 1.2.3": "1.2.3",
    "0.1.0 || 1.2.x": "1.2.3",
    "^3 || ~0.2": "0.2.5",
    "1.0.0-rc.1": "1.0.0-rc.1",
    ">=1.0.0-alpha <1.0.0": "1.0.0-rc.1",
    ">=1.3.0-alpha <1.3.0": "1.3.0-beta",
    ">=0.9.0-alpha <1.0.0": None,
    "^1.2.3+build": "1.3.0",
}


@each(("text", "newest"), RANGES.items())
def test_the_newest_version_in_a_range(text: str, newest: str | None) -> None:
    found = Range.of(text)
    assert found is not None
    assert next(iter(found.newest_first(VERSIONS)), None) == newest


@each("text", ["latest", "^", "^a", "1.2.3.4", "1..2", "-1", "1 -", "x.1", "1||b", "1" * 17, "1 || " * 100])
def test_what_is_no_range(text: str) -> None:
    assert Range.of(text) is None


def test_what_is_no_version_is_in_no_range() -> None:
    found = Range.of("*")
    assert found is not None
    assert found.newest_first(["1", "latest", "1.0.0.0", "01.0.0", "1.0.0"]) == ["1.0.0"]
