"""Names of projects, versions and files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import InvalidName
from nora.formats.pypi.names import (
    Distribution,
    ProjectName,
    is_filename,
    normalize_version,
    parse_filename,
    quote_filename,
    version_of,
)
from tests.support.tables import each


@each("text", ["a-b", "a--b", "A._b", "a_B", "a.-_b", "A...B"])
def test_all_spellings_are_one_project(text: str) -> None:
    name = ProjectName.of(text)
    assert name == "a-b"
    assert name.escaped == "a_b"
    assert ProjectName.of(name) == name


@each(
    "text",
    [
        "",
        "-a",
        "a-",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a b",
        "a\n",
        "a\0",
        "ä",
        "\u212a",
        "a%2fb",
        "a" * 129,
        "a\u2028",
    ],
)
def test_what_is_no_project_name(text: str) -> None:
    with pytest.raises(InvalidName):
        ProjectName.of(text)


@each(
    ("filename", "project", "version", "kind"),
    [
        ("foo_bar-1.0-py3-none-any.whl", "foo-bar", "1.0", "wheel"),
        ("foo_bar-1.0-1-py2.py3-none-any.whl", "foo-bar", "1.0", "wheel"),
        ("torch-2.1.0+cu121-cp311-cp311-linux_x86_64.whl", "torch", "2.1.0+cu121", "wheel"),
        ("foo-1.0RC1-py3-none-any.whl", "foo", "1.0rc1", "wheel"),
        ("foo_bar-1!2.0.tar.gz", "foo-bar", "1!2.0", "sdist"),
        ("Foo.Bar-1.0.zip", "foo-bar", "1.0", "sdist"),
    ],
)
def test_file_names_say_what_they_are(filename: str, project: str, version: str, kind: str) -> None:
    found = parse_filename(filename)
    assert (found.project, found.version, found.kind, found.filename) == (project, version, kind, filename)
    assert version_of(filename) == version


@each(
    "filename",
    [
        *(
            "../x.whl",
            "a/b.whl",
            "x\0.whl",
            "foo.whl",
            "foo-1.0-py3-none.whl",
            "foo-1.0.exe",
            "x" * 300 + ".whl",
        ),
        *(
            "foo-1.0-py3-none-any.whl\n",
            ".foo-1.0.tar.gz",
            "-1.0.tar.gz",
            "foo-x.tar.gz",
            "foo.tar.gz",
            "foo-1.0",
        ),
        *(
            "foo 1.0.zip",
            "foo-1.0.zip.asc",
            "foo-1.0-py3-none-any.whl.metadata",
            "a%2fb-1.0.zip",
            "ä-1.0.zip",
        ),
        *("foo-1.0-1.0.0-py3-none-any.whl-", "foo__bar-1.0-py3-none-any.whl", f"a-{'1' * 240}.zip", ""),
    ],
)
def test_what_is_no_file_name(filename: str) -> None:
    with pytest.raises(InvalidName):
        parse_filename(filename)


@pytest.mark.parametrize(
    "filename", ["foo-1.0.egg", "foo-1.0.win32.exe", "foo-1.0.tar.bz2", "a-1.tgz", "Foo-1.ZIP"]
)
def test_relics_are_listed_and_not_taken_in(filename: str) -> None:
    assert is_filename(filename)
    with pytest.raises(InvalidName):
        parse_filename(filename)


@each(
    ("filename", "version"),
    [
        *(("foo-bar-1.0.tar.gz", "1.0"), ("foo-1.0-py3-none-any.whl", "1.0"), ("foo-1.0.tgz", "1.0")),
        *(("foo-1.0.win32.exe", None), ("foo-x.zip", None), ("foo.zip", None), ("foo.whl", None)),
        (f"foo-{'1' * 5000}.zip", None),
        *(("foo-1.0.tar.xz", "1.0"), ("foo-bar-1.0.ZIP", "1.0"), ("foo-1.0.tar.Z", "1.0")),
        *(("foo-1.0-py3.8.egg", "1.0"), ("foo-1.0-PY3-none-any.WHL", "1.0")),
    ],
)
def test_the_version_of_a_listed_file(filename: str, version: str | None) -> None:
    assert version_of(filename) == version


def test_a_file_is_named_as_its_release_demands() -> None:
    name = ProjectName.of("foo-bar")
    parse_filename("foo_bar-1.0-py3-none-any.whl").check(name, "1.0")
    parse_filename("Foo.Bar-1.0-py3-none-any.whl").check(name, "1.0")
    parse_filename("foo_bar-1.0.tar.gz").check(name, "v1.0")
    for filename, version in [
        ("foo_bar-1.0.tar.gz", "1.1"),
        ("foo-bar-1.0.tar.gz", "1.0"),
        ("Foo_Bar-1.0.tar.gz", "1.0"),
        ("foo-1.0.tar.gz", "1.0"),
        ("foo_baz-1.0-py3-none-any.whl", "1.0"),
        ("foo_bar-1.0-py3-none-any.whl", "one"),
    ]:
        with pytest.raises(InvalidName):
            parse_filename(filename).check(name, version)


def test_versions_are_normalized() -> None:
    assert normalize_version("1.0-RC.1") == "1.0rc1"
    for text in ["", "one", "1.0\n2", "1" * 300, "1.0/2", "\u0661.0"]:
        with pytest.raises(InvalidName):
            assert normalize_version(text) != text


def test_a_plus_is_quoted() -> None:
    assert quote_filename("a-1.0+cpu.zip") == "a-1.0%2Bcpu.zip"
    assert quote_filename("foo") == "foo"


@given(
    st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9._+!-]{1,40}(\.whl|\.tar\.gz|\.zip)", fullmatch=True)
)
def test_any_text_is_a_value_or_an_invalid_name(text: str) -> None:
    """Nothing else is raised, and what comes out is safe in a path."""
    for parse in (ProjectName.of, normalize_version, parse_filename):
        try:
            found = parse(text)
        except InvalidName:
            continue
        safe = found.filename if isinstance(found, Distribution) else found
        assert safe.isascii()
        assert safe.isprintable()
        assert not set(safe) & set("/\\ \"'<>&%?#")
        assert safe not in {"", ".", ".."}
    version_of(text)
    is_filename(text)
