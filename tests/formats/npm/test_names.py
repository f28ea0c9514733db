"""Names, versions and tags."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from nora.errors import InvalidName, InvalidTag
from nora.formats.npm.names import (
    PackageName,
    canonical,
    is_filename,
    is_version,
    newest,
    parse_tag,
    version_order,
)

READ = ["a", "A", "JSONStream", "@s/a", "@S/a.b_c-d", "_", "-", "a~b", "crypto'", "x" * 214]
NEVER = ["", ".", "..", ".a", "a/b", "@s", "@s/", "@/a", "@s/a/b", "@../a", "@s/..", "a b", "a%2fb", "ä",
         "x" * 215, "a\n", "a\\b", "a:b", "a?", "@s/.a"]  # fmt: skip
NOT_NEW = [
    "A",
    "_a",
    "__proto__",
    "constructor",
    "node_modules",
    "favicon.ico",
    "a'b",
    "@S/a",
    "-",
    "a!",
    "@_s/a",
]


def test_names_that_are_read() -> None:
    for text in READ:
        assert PackageName.of(text) == text
    for text in NEVER:
        with pytest.raises(InvalidName):
            PackageName.of(text)


def test_names_that_are_published() -> None:
    for text in ("a", "a.b", "@s/a", "0", "a_b", "@s-1/a~b"):
        PackageName.of(text).check_new()
    for text in NOT_NEW:
        with pytest.raises(InvalidName):
            PackageName.of(text).check_new()


@given(st.text(alphabet=st.sampled_from("@/.-_aZ%\\0~ é\n"), max_size=12))
def test_a_name_has_one_separator_and_no_way_up(text: str) -> None:
    try:
        name = PackageName.of(text)
    except InvalidName:
        return
    assert name.count("/") == int(name.startswith("@"))
    assert not any(part in ("", ".", "..") for part in name.split("/"))


def test_files_are_named_after_versions() -> None:
    for text in ("lib", "@s/lib"):
        name = PackageName.of(text)
        assert name.file("1.0.0") == "lib-1.0.0.tgz"
        assert name.version_in("lib-1.0.0-rc.1.tgz") == "1.0.0-rc.1"
        assert name.version_in("other-1.0.0.tgz") == ""
    assert is_filename("lib-1.0.0+b.tgz")
    for bad in ("lib-1.0.0.zip", "a/b.tgz", "..tgz", ".tgz", "a\\.tgz", "a b.tgz"):
        assert not is_filename(bad)


@pytest.mark.parametrize("spelled", ["@corp%2f*", "@corp%2F*", "@corp/*"])
def test_patterns_of_names_are_folded(spelled: str) -> None:
    assert canonical(spelled) == "@corp/*"


def test_versions() -> None:
    for text in ("0.0.0", "1.2.3", "1.2.3-rc.1", "1.2.3-0a", "1.2.3+build.1", "9007199254740991.0.0"):
        assert is_version(text)
    for text in ("1", "1.2", "v1.2.3", "01.2.3", "1.2.3-", "1.2.3-01", "9007199254740992.0.0", "1.2.3\n", ""):
        assert not is_version(text)


def test_versions_are_sorted_by_precedence() -> None:
    ordered = ["x", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2",
               "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]  # fmt: skip
    mixed = ordered[::2] + ordered[1::2]
    assert sorted(mixed, key=version_order) == ordered
    assert newest(ordered) == "2.0.0"
    assert newest(["1.0.0", "2.0.0-rc.1"]) == "1.0.0"
    assert newest(["2.0.0-rc.1", "2.0.0-rc.2"]) == "2.0.0-rc.2"


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_text_has_a_place(one: str, other: str) -> None:
    assert isinstance(version_order(one) < version_order(other), bool)


def test_tags_are_no_ranges() -> None:
    for text in ("latest", "next", "beta.1", "release-1.x", "_x"):
        assert parse_tag(text) == text
    for text in (
        "",
        "1",
        "1.2",
        "v1",
        "1.2.3",
        "1.x",
        "x",
        "X",
        "*",
        "^1",
        "~1",
        ">=1",
        "a b",
        "a/b",
        "..",
        "x" * 129,
    ):
        with pytest.raises(InvalidTag):
            parse_tag(text)


_NUMBERS = st.integers(0, 12).map(str)
_PARTS = st.lists(st.one_of(_NUMBERS, st.from_regex(r"[a-z-][a-z0-9-]{0,3}", fullmatch=True)), max_size=3)
_VERSIONS = st.builds(
    lambda numbers, parts: ".".join(numbers) + ("-" + ".".join(parts) if parts else ""),
    st.tuples(_NUMBERS, _NUMBERS, _NUMBERS),
    _PARTS,
)


@given(one=_VERSIONS, other=_VERSIONS)
def test_precedence_is_that_of_the_library(one: str, other: str) -> None:
    assert (version_order(one) < version_order(other)) == (Version.parse(one) < Version.parse(other))
