"""Pages as JSON, their stored form, and how they merge."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.formats.pypi.index import (
    IndexUnreadable,
    ListedFile,
    Project,
    decode,
    encode,
    merge,
    parse_json,
    weight,
)
from nora.formats.pypi.names import ProjectName
from tests.support.tables import each

NAME = ProjectName.of("foo")
URL = "https://pypi.example/simple/foo/"
SHA = "a" * 64


def page(*files: Any, **more: Any) -> bytes:
    return orjson.dumps({"meta": {"api-version": "1.4"}, "name": "foo", "files": list(files), **more})


def entry(**fields: Any) -> dict[str, Any]:
    return {
        "filename": "foo-1.0.tar.gz",
        "url": "https://files.example/foo-1.0.tar.gz",
        "hashes": {},
        **fields,
    }


def only(**fields: Any) -> ListedFile:
    (file,) = parse_json(page(entry(**fields)), URL, NAME).files
    return file


def test_a_page_as_pypi_writes_it() -> None:
    body = orjson.dumps(
        {
            "meta": {"api-version": "1.4", "_last-serial": 42879583},
            "name": "foo",
            "alternate-locations": [],
            "versions": ["1.0", "2.0"],
            "project-status": {"status": "archived", "reason": "no time"},
            "files": [
                {
                    "filename": "foo-1.0-py3-none-any.whl",
                    "url": "https://files.example/packages/aa/foo-1.0-py3-none-any.whl",
                    "hashes": {"sha256": SHA},
                    "core-metadata": {"sha256": "b" * 64},
                    "data-dist-info-metadata": {"sha256": "b" * 64},
                    "requires-python": ">=3.8",
                    "size": 1234,
                    "upload-time": "2026-01-02T03:04:05.678901Z",
                    "yanked": "broken",
                    "provenance": "https://pypi.example/integrity/foo/1.0/x/provenance",
                    "new-key": [1],
                },
                {
                    "filename": "foo-1.0.tar.gz",
                    "url": "../../packages/foo-1.0.tar.gz#sha256=x",
                    "hashes": {},
                    "core-metadata": False,
                    "data-dist-info-metadata": False,
                    "requires-python": None,
                    "yanked": False,
                    "provenance": None,
                },
            ],
        }
    )
    assert parse_json(body, URL, NAME) == Project(
        NAME,
        (
            ListedFile(
                "foo-1.0-py3-none-any.whl",
                "https://files.example/packages/aa/foo-1.0-py3-none-any.whl",
                {"sha256": SHA},
                ">=3.8",
                {"sha256": "b" * 64},
                "broken",
                1234,
                "2026-01-02T03:04:05.678901Z",
                "https://pypi.example/integrity/foo/1.0/x/provenance",
            ),
            ListedFile("foo-1.0.tar.gz", "https://pypi.example/packages/foo-1.0.tar.gz"),
        ),
        ("1.0", "2.0"),
        "archived",
        "no time",
    )


@each(
    "body",
    [
        *(b"", b"[]", b"{}", b'{"files": {}}', b'{"files": [', b"\xff", b"<html>", b"null", b"[" * 100_000),
        b'{"files": [], "name": "bar"}',
        b'{"files": [], "name": 7}',
        b'{"files": [], "name": "../x"}',
        b'{"files": [], "meta": {"api-version": "2.0"}}',
        b'{"files": [], "meta": {"api-version": 1}}',
    ],
)
def test_what_is_no_page(body: bytes) -> None:
    with pytest.raises(IndexUnreadable):
        parse_json(body, URL, NAME)


def test_an_empty_page_is_one() -> None:
    assert parse_json(b'{"files": [], "name": "Foo", "meta": 1}', URL, NAME) == Project(NAME)


@each(
    "bad",
    [
        *(
            {"filename": "../foo-1.0.zip"},
            {"filename": "a/b-1.zip"},
            {"filename": None},
            {"filename": "foo\n.zip"},
        ),
        *(
            {"filename": "foo-1.0.zip\u2028"},
            {"filename": "foo-1.0.zip.metadata"},
            {"filename": "x" * 300 + ".zip"},
        ),
        *(
            {"url": None},
            {"url": "javascript:alert(1)"},
            {"url": "file:///etc/passwd"},
            {"url": "ftp://h/x.zip"},
        ),
        *({"url": "https://u:p@h/x"}, {"url": "http://[::1"}, {"url": 7}),
        *(
            {"url": "https://h:x/"},
            {"url": "https://a b/"},
            {"url": "https://h/" + "x" * 5000},
            {"url": "data:,x"},
        ),
    ],
)
def test_files_that_cannot_be_served_are_left_out(bad: dict[str, Any]) -> None:
    good = entry(filename="foo-2.0.tar.gz")
    files = parse_json(page(entry(**bad), 7, None, good), URL, NAME).files
    assert [file.filename for file in files] == ["foo-2.0.tar.gz"]


@each(
    ("given_url", "expected"),
    [
        ("foo-1.0.tar.gz", "https://pypi.example/simple/foo/foo-1.0.tar.gz"),
        ("../x/foo-1.0.tar.gz#sha256=1", "https://pypi.example/simple/x/foo-1.0.tar.gz"),
        ("/x", "https://pypi.example/x"),
        ("//cdn.example/x", "https://cdn.example/x"),
        ("https://h/a/../../b", "https://h/a/../../b"),
        (" https://h/a b\n", "https://h/a%20b"),
        ("https://h/ä?q=\"'<>", "https://h/%C3%A4?q=%22'%3C%3E"),
        ("https://h/a%2Bb?sig=1%2F2&x", "https://h/a%2Bb?sig=1%2F2&x"),
        ("HTTP://h:80/x", "http://h:80/x"),
        ("https://h/\u2028x", "https://h/%E2%80%A8x"),
    ],
)
def test_addresses_are_absolute_and_plain(given_url: str, expected: str) -> None:
    assert only(url=given_url).url == expected


@each(
    ("field", "attribute", "value", "expected"),
    [
        *(
            ("hashes", "hashes", value, {})
            for value in (None, [], "x", {"sha256": "x"}, {"sha256": 7}, {"md6": SHA})
        ),
        ("hashes", "hashes", {"SHA256": SHA.upper(), "md5": "b" * 32}, {"sha256": SHA, "md5": "b" * 32}),
        *(("size", "size", value, None) for value in (-1, "7", 1.5, True, None, 1 << 60, 1e30)),
        ("size", "size", 0, 0),
        *(
            ("upload-time", "upload_time", value, None)
            for value in ("", "yesterday", 7, "2026-13-01T00:00:00Z")
        ),
        ("upload-time", "upload_time", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("upload-time", "upload_time", "2026-01-02T03:04:05+01:00", "2026-01-02T02:04:05.000000Z"),
        ("upload-time", "upload_time", "2026-01-02 03:04:05.1234567Z", "2026-01-02T03:04:05.123456Z"),
        ("upload-time", "upload_time", "0001-01-01T00:00:00+10:00", None),
        *(("yanked", "yanked", value, False) for value in (None, False, 0, [], 1)),
        *(("yanked", "yanked", value, True) for value in (True, "", "\n", "\0")),
        ("yanked", "yanked", ' "><script>\r\n\u2028alert(1) ', '"><script> alert(1)'),
        ("requires-python", "requires_python", ">=3\n\t,<4", ">=3 ,<4"),
        ("requires-python", "requires_python", 3, None),
        ("core-metadata", "core_metadata", True, True),
        ("core-metadata", "core_metadata", {"sha256": SHA}, {"sha256": SHA}),
        ("core-metadata", "core_metadata", {"sha256": "x"}, True),
        ("core-metadata", "core_metadata", "yes", False),
        ("dist-info-metadata", "core_metadata", True, True),
        ("data-dist-info-metadata", "core_metadata", {"sha256": SHA}, {"sha256": SHA}),
        ("provenance", "provenance", "javascript:x", None),
        ("gpg-sig", "gpg_sig", True, True),
        ("gpg-sig", "gpg_sig", "x", None),
    ],
)
def test_each_field_is_a_value_or_left_out(
    field: str, attribute: str, value: object, expected: object
) -> None:
    fields: dict[str, Any] = {field: value}
    found = getattr(only(**fields), attribute)
    assert found == expected
    assert type(found) is type(expected)


def test_a_number_without_end_is_no_size() -> None:
    body = page(entry(size=7)).replace(b'"size":7', b'"size":' + b"7" * 25)
    assert parse_json(body, URL, NAME).files[0].size is None


def test_text_has_an_end() -> None:
    assert len(str(only(yanked="x" * 100_000).yanked)) == 2000


def test_of_two_files_of_one_name_the_first_counts() -> None:
    files = parse_json(page(entry(size=1), entry(size=2)), URL, NAME).files
    assert [file.size for file in files] == [1]


def test_versions_are_complete_and_without_duplicates() -> None:
    body = page(entry(), versions=["1.0", "1.0", "2.0", 7, "x\n", None])
    assert parse_json(body, URL, NAME).versions == ("1.0", "2.0")
    files = [
        entry(),
        entry(filename="foo-1.0-py3-none-any.whl"),
        entry(filename="foo-0.9.zip"),
        entry(filename="x.egg"),
    ]
    for versions in ({}, {"versions": None}, {"versions": []}):
        assert parse_json(page(*files, **versions), URL, NAME).versions == ("1.0", "0.9")


@each(
    ("status", "expected"),
    [
        *((value, "active") for value in (None, "active", "unheard-of", 7, {}, {"status": ["x"]})),
        *((value, value) for value in ("archived", "deprecated", "quarantined")),
        *(({"status": value}, value) for value in ("archived", "deprecated", "quarantined")),
    ],
)
def test_status(status: object, expected: str) -> None:
    project = parse_json(page(entry(), **{"project-status": status}), URL, NAME)
    assert project.status == expected
    assert project.is_open is (expected in {"active", "deprecated"})
    assert (project.find("foo-1.0.tar.gz") is None) is (expected == "quarantined")
    assert project.find("bar-1.0.tar.gz") is None


# -- merging ----------------------------------------------------------------------------------------------


def test_the_first_of_several_pages_wins() -> None:
    mine = Project(NAME, (ListedFile("foo-1.0.zip", "", {"sha256": SHA}),), ("1.0",), "archived", "old")
    theirs = Project(
        NAME, (ListedFile("foo-1.0.zip", URL), ListedFile("foo-2.0.zip", URL)), ("2.0", "1.0"), "deprecated"
    )
    assert merge([mine]) is mine
    assert merge([mine, theirs]) == Project(
        NAME, (mine.files[0], theirs.files[1]), ("1.0", "2.0"), "archived", "old"
    )


def test_what_is_quarantined_does_not_come_back_by_merging() -> None:
    bad = Project(NAME, (ListedFile("foo-9.zip"),), ("9",), "quarantined")
    good = Project(NAME, (ListedFile("foo-1.zip"),), ("1",))
    assert [file.filename for file in merge([good, bad]).offered] == ["foo-1.zip"]
    assert list(merge([bad, good]).offered) == []


# -- the stored form --------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20)
HASHES = st.dictionaries(st.sampled_from(["sha256", "md5", "blake2b"]), TEXT, max_size=2)
FILES = st.builds(
    ListedFile,
    st.from_regex(r"foo-[0-9]{1,3}(\+[a-z]{1,4})?\.(zip|tar\.gz)", fullmatch=True),
    TEXT | st.just("https://h/foo-1.zip") | st.just(""),
    HASHES,
    st.none() | TEXT,
    st.booleans() | HASHES,
    st.booleans() | TEXT,
    st.none() | st.integers(0, 1 << 50),
    st.none() | TEXT,
    st.none() | TEXT,
    st.none() | st.booleans(),
    st.just(""),
)
PROJECTS = st.builds(
    Project,
    st.just(NAME),
    st.lists(FILES, max_size=5, unique_by=lambda file: file.filename).map(tuple),
    st.lists(TEXT, max_size=3, unique=True).map(tuple),
    st.sampled_from(["active", "archived", "quarantined", "deprecated"]),
    st.none() | TEXT,
)


@given(PROJECTS)
def test_what_is_stored_is_read_back(project: Project) -> None:
    stored = encode(project)
    assert decode(stored) == project
    assert encode(decode(stored)) == stored
    assert isinstance(decode(stored).name, ProjectName)


@given(st.binary(max_size=100))
def test_a_stored_form_of_another_version_is_unreadable(body: bytes) -> None:
    for stored in (body, b"\x02" + body, encode(Project(NAME))[:-1], b"\x01" + encode(Project(NAME))[1:]):
        with pytest.raises(IndexUnreadable):
            decode(stored)


def test_a_page_that_repeats_itself_weighs_what_it_is() -> None:
    """An upstream would otherwise keep the event loop busy with some kilobytes."""
    page = Project(
        ProjectName("a"), [ListedFile(f"a-{n}.zip", requires_python="x" * 2000) for n in range(5000)]
    )
    stored = encode(page)
    assert len(stored) < 100_000
    assert weight(stored) > 2_000_000
    assert weight(b"") == weight(b"x" + stored[:-1]) == 0


def test_a_stored_form_is_small() -> None:
    files = tuple(
        ListedFile(
            f"foo-{n}.zip", f"https://files.example/packages/foo-{n}.zip", {"sha256": f"{n:064x}"}, ">=3.8"
        )
        for n in range(1000)
    )
    assert len(encode(Project(NAME, files))) < 20_000


# -- any input --------------------------------------------------------------------------------------------

KEYS = (
    "meta",
    "api-version",
    "name",
    "files",
    "filename",
    "url",
    "hashes",
    "yanked",
    "size",
    "upload-time",
    "versions",
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.integers(-(2**63), 2**64 - 1)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=10,
)


@given(JSON, st.lists(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6), max_size=4))
def test_any_json_is_a_page_or_unreadable(value: Any, files: list[dict[str, Any]]) -> None:
    good = [entry(**{key: one for key, one in file.items() if key != "filename"}) for file in files]
    try:
        bodies = [orjson.dumps(one) for one in (value, {"files": value}, {"files": good}, {"files": [value]})]
    except TypeError:  # lone surrogates
        return
    for body in bodies:
        try:
            project = parse_json(body, URL, NAME)
        except IndexUnreadable:
            continue
        assert decode(encode(project)) == project


@given(st.binary(max_size=200))
def test_any_bytes_are_a_page_or_unreadable(body: bytes) -> None:
    with suppress(IndexUnreadable):
        parse_json(body, URL, NAME)
