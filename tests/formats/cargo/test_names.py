"""Names and versions of crates."""

from __future__ import annotations

import pytest

from nora.errors import InvalidName
from nora.formats.cargo.names import CrateName, parse_version, prefix_of, version_order, without_build
from tests.support.tables import each


@each("text", ["a", "Z9", "foo-bar", "Foo_Bar", "x" * 64, "a--b", "a_"])
def test_names_that_are_taken(text: str) -> None:
    name = CrateName.of(text)
    assert (name, name.spelled) == (text.lower().replace("-", "_"), text)


@each(
    "text",
    [
        "",
        "9a",
        "-a",
        "_a",
        "a.b",
        "a b",
        "ä",
        "a/b",
        "..",
        "x" * 65,
        "nul",
        "CON",
        "com1",
        "lpt9",
        "a\x00",
        "a+",
    ],
)
def test_names_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        CrateName.of(text)


@each(
    ("name", "prefix"),
    [("a", "1"), ("ab", "2"), ("abc", "3/a"), ("cargo", "ca/rg"), ("Cargo", "Ca/rg"), ("abcd", "ab/cd")],
)
def test_the_folder_in_the_index(name: str, prefix: str) -> None:
    assert prefix_of(name) == prefix


@each("text", ["1.0.0", "0.0.0", "1.0.0-beta.1", "1.0.0+build.5", "1.2.3-a.b-c+d.e", f"0.0.{2**64 - 1}"])
def test_versions_that_are_taken(text: str) -> None:
    assert parse_version(text) == text


@each(
    "text",
    [
        "",
        "1",
        "1.0",
        "01.0.0",
        "1.0.0-",
        "v1.0.0",
        "1.0.0-01",
        "1.0.0 ",
        "\u0661.0.0",
        "1.0.0-" + "a" * 150,
        f"1.{2**64}.0",
    ],
)
def test_versions_that_are_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_version(text)


def test_versions_are_ordered_by_precedence() -> None:
    right = [
        "no version",
        "0.9.0",
        "1.0.0-alpha",
        "1.0.0-alpha.2",
        "1.0.0-alpha.10",
        "1.0.0",
        "1.0.0+b",
        "10.0.0",
    ]
    assert sorted([*right[4:], *right[:4]], key=version_order) == right


def test_build_metadata_does_not_tell_versions_apart() -> None:
    assert without_build("1.0.0-a+b.c") == "1.0.0-a"
