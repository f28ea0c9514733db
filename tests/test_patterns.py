"""Patterns of names: what they match, and that they are done with any text at once."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.patterns import path_matcher, text_matcher
from tests.support.tables import each

SHORT = st.text("ab/*", max_size=12)
NAMES = st.text("ab/", max_size=12)


@each(
    ("pattern", "matched", "others"),
    [
        ("team/*", ["team/app", "team/"], ["team", "team/a/b", "other/team/app"]),
        ("team/**", ["team/app", "team/a/b"], ["team", "teams/app"]),
        ("**/app", ["a/app", "a/b/app"], ["app", "a/apps"]),
        ("**a*b", ["a/ab", "ab", "xab"], ["a/b", "ab/"]),
        ("team-*/ci", ["team-a/ci"], ["team-a/b/ci"]),
        ("**", ["", "a/b", "a\nb"], []),
        ("a.c", ["a.c"], ["abc"]),
    ],
)
def test_what_a_pattern_of_paths_matches(pattern: str, matched: list[str], others: list[str]) -> None:
    assert all(path_matcher(pattern).fullmatch(one) for one in matched)
    assert not any(path_matcher(pattern).fullmatch(one) for one in others)


@given(SHORT, NAMES)
def test_they_match_what_plain_expressions_match(pattern: str, name: str) -> None:
    parts = re.split(r"(\*+)", pattern)
    plain = "".join(
        ".*" if one.startswith("**") else "[^/]*" if one == "*" else re.escape(one) for one in parts
    )
    assert bool(path_matcher(pattern).fullmatch(name)) is bool(re.fullmatch(plain, name))
    plain = ".*".join(map(re.escape, re.split(r"\*+", pattern)))
    assert bool(text_matcher(pattern).fullmatch(name)) is bool(re.fullmatch(plain, name))


@pytest.mark.parametrize(
    "pattern", ["**a" * 80 + "b", "*a" * 120 + "b", "**a*" * 60 + "/b", "**" + "*/a" * 80]
)
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    assert path_matcher(pattern).fullmatch("a" * 255) is None
    assert text_matcher(pattern).fullmatch("a" * 255) is None
    assert path_matcher(pattern).fullmatch("a/" * 127) is None
