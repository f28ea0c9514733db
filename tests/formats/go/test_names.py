"""Paths and versions: what the go command takes is taken, and nothing else."""

from __future__ import annotations

import pytest

from nora.errors import InvalidName
from nora.formats.go.names import (
    ModulePath,
    check_file_path,
    check_major,
    escape,
    is_canonical,
    is_pseudo,
    major_of,
    newest,
    parse_query,
    parse_version,
    unescape,
    version_order,
)

ESCAPED = {
    "github.com/Azure/azure-sdk": "github.com/!azure/azure-sdk",
    "github.com/BurntSushi/toml": "github.com/!burnt!sushi/toml",
    "example.com/plain": "example.com/plain",
    "v1.2.0-Beta": "v1.2.0-!beta",
    "v2.0.0+incompatible": "v2.0.0+incompatible",
}


def test_upper_case_is_escaped() -> None:
    for text, wire in ESCAPED.items():
        assert (escape(text), unescape(wire)) == (wire, text)


def test_what_is_not_escaped_as_it_should_be_is_refused() -> None:
    for wire in ("github.com/Azure", "a.b/!", "a.b/!!a", "a.b/!A", "a.b/!1", "a.b/!-", "a.b/é", "!"):
        with pytest.raises(InvalidName):
            unescape(wire)


MODULES = (
    *("example.com", "go4.org", "example.com/a", "a.b/C/d-e_f~g.h", "a-b.c/x", "1.2/x", "example.com/~user"),
    *("example.com/a/v2", "example.com/a/v10", "example.com/v2", "example.com/av1", "example.com/a.v1"),
    *("gopkg.in/yaml.v2", "gopkg.in/yaml.v0", "gopkg.in/a/yaml.v3-unstable", "gopkg.in/yaml.v1"),
    *("golang.org/toolchain", "example.com/-x", "example.com/con.x"[:-2] + "text", "example.com/x~1y"),
)
NO_MODULES = (
    *("", "/", "a.b/", "/a.b", "a.b//c", "example", "example/x.y", "Example.com/a", "-a.b/c", ".a.b/c"),
    *(
        "a.b/..",
        "a.b/./c",
        "a.b/.c",
        "a.b/c.",
        "a.b/c d",
        "a.b/c+d",
        "a.b/c@d",
        "a.b/c!d",
        "a.b/é",
        "a.b/c%41",
    ),
    *("a.b/con", "a.b/NUL.txt", "a.b/c/Com1", "a.b/x~1", "a.b/x~12.y", "a.b/c\\d", "a.b/c:d", "a.b\x00"),
    *(
        "example.com/a/v0",
        "example.com/a/v1",
        "example.com/a/v01",
        "example.com/a/v2.0",
        "example.com/a/v1.2",
    ),
    *("gopkg.in/yaml", "gopkg.in/yaml.v", "gopkg.in/yaml.v01", "gopkg.in/yaml/v2", f"a.b/{'x' * 1100}"),
)


def test_paths_of_modules() -> None:
    for text in MODULES:
        assert ModulePath.of(text) == text
    for text in NO_MODULES:
        with pytest.raises(InvalidName):
            ModulePath.of(text)


def test_paths_in_which_a_module_is() -> None:
    assert [*ModulePath.of("a.b/c/d/v2").parents] == ["a.b/c/d", "a.b/c", "a.b"]
    assert [*ModulePath.of("a.b").parents] == []


def test_versions_in_full() -> None:
    for text in (
        *("v0.0.0-20210101000000-abcdef123456", "v2.0.0+incompatible", "v1.2.3-pre.1", "v1.2.3", "v0.0.0"),
        *("v1.2.3-0", "v1.2.3--", "v1.2.3-a-b.c", "v1.2.3-0a", "v0.0.1-go1.27.3.linux-amd64", "v1.2.3-Beta"),
    ):
        assert is_canonical(text), text
        assert parse_version(escape(text)) == text
    for text in (
        *(
            "v1",
            "v1.2",
            "v01.2.3",
            "1.2.3",
            "v1.2.3+meta",
            "master",
            "",
            "v1.2.3-",
            "v1.2.3-01",
            "v1.2.3-a..b",
        ),
        *("v1.2.3.4", "V1.2.3", "v1.2.3-a_b", "v1.2.3 ", "v1.2.3\n", "v1.2.٣", f"v1.2.3-{'a' * 200}"),
    ):
        assert not is_canonical(text), text
        with pytest.raises(InvalidName):
            parse_version(text)


def test_what_stands_for_a_version() -> None:
    for wire, text in {"main": "main", "v1": "v1", "!feature-1": "Feature-1", "a@b": "a@b"}.items():
        assert parse_query(wire) == text
    for wire in ("", "..", ".", "Main", "!!", "a:b", "a\\b", "x" * 600, "con", "a."):
        with pytest.raises(InvalidName):
            parse_query(wire)


def test_commits_are_told_from_tags() -> None:
    for text in (
        "v0.0.0-20210101000000-abcdef123456",
        "v1.2.4-0.20210101000000-abcdef123456",
        "v1.2.3-pre.0.20210101000000-abcdef123456",
        "v2.0.1-0.20210101000000-abcdef123456+incompatible",
    ):
        assert is_pseudo(text), text
    for text in ("v1.2.3", "v1.2.3-20210101000000-abcdef123456", "v0.0.0-2021-abcdef"):
        assert not is_pseudo(text), text


def test_a_path_says_the_major_version() -> None:
    right = {
        "a.b/c": ("v0.1.0", "v1.9.0", "v2.0.0+incompatible"),
        "a.b/c/v2": ("v2.0.0", "v2.1.0-rc.1"),
        "gopkg.in/yaml.v1": ("v1.0.0", "v0.0.0-20210101000000-abcdef123456"),
        "gopkg.in/yaml.v3-unstable": ("v3.0.0",),
    }
    wrong = {
        "a.b/c": ("v2.0.0", "v10.0.0"),
        "a.b/c/v2": ("v1.0.0", "v3.0.0", "v0.0.0-20210101000000-abcdef123456"),
        "gopkg.in/yaml.v2": ("v1.0.0",),
    }
    for path, versions in right.items():
        for version in versions:
            check_major(ModulePath.of(path), version)
    for path, versions in wrong.items():
        for version in versions:
            with pytest.raises(InvalidName):
                check_major(ModulePath.of(path), version)
    assert [major_of(path) for path in ("a.b", "a.b/v2", "gopkg.in/y.v3", "a.b/v1")] == ["", "v2", "v3", None]


def test_files_of_a_module() -> None:
    for path in ("a", "a/b.go", "LICENSE", ".github/x", "a b", "x~1", "ä/ö.go", "日本", "-x", "a!b", "a@b,c"):
        check_file_path(path)
    for path in (
        *("", "/", "a/", "a//b", ".", "..", "a/..", "a.", "a/b./c", "aux", "a/CON.txt", "com1.go"),
        *("a\\b", "a:b", "a*b", "a?b", "a<b", "a|b", 'a"b', "a'b", "a`b", "a\x01", "a;b", "🙂"),
    ):
        with pytest.raises(InvalidName):
            check_file_path(path)


def test_versions_are_in_their_order() -> None:
    order = [
        *("main", "v0.0.0-20210101000000-abcdef123456", "v0.1.0", "v1.0.0-alpha", "v1.0.0-alpha.1"),
        *(
            "v1.0.0-beta.2",
            "v1.0.0-beta.11",
            "v1.0.0-rc.1",
            "v1.0.0",
            "v1.9.0",
            "v1.10.0",
            "v2.0.0+incompatible",
        ),
    ]
    shuffled = order[::-1]
    assert sorted(shuffled, key=version_order) == order
    assert newest(order) == "v2.0.0+incompatible"
    assert newest(order[:5]) == "v0.1.0"
    assert newest(["v1.0.0-rc.1", "v1.1.0-0.20210101000000-abcdef123456"]) == "v1.0.0-rc.1"
    assert newest([]) is None
