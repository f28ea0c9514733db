"""Paths: what they name, and that nothing else comes of them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import BadRequest, NotFound
from nora.http.paths import Paths, Repositories, Target
from nora.model import Repository
from tests.support.tables import each

LIST, PAGE, FILE = "/list/", "/list/{name}/", "/list/{name}/{file}"
OWN, RELEASE, JSON, RELEASE_JSON = (
    "/api/{name}",
    "/api/{name}/{version}",
    "/api/{name}/json",
    "/api/{name}/{version}/json",
)
PATHS = Paths((LIST, PAGE, FILE, OWN, RELEASE, JSON, RELEASE_JSON))


@each(
    ("path", "pattern", "values", "is_directory"),
    [
        ("/list", LIST, {}, False),
        ("/list/", LIST, {}, True),
        ("/list/a", PAGE, {"name": "a"}, False),
        ("/list/A.b/", PAGE, {"name": "A.b"}, True),
        ("/list/a/a-1%2B2.whl", FILE, {"name": "a", "file": "a-1+2.whl"}, False),
        ("/api/json", OWN, {"name": "json"}, False),
        ("/api/a/json", JSON, {"name": "a"}, False),
        ("/api/a/json/", JSON, {"name": "a"}, True),
        ("/api/a/1.0", RELEASE, {"name": "a", "version": "1.0"}, False),
        ("/api/a/1.0/json", RELEASE_JSON, {"name": "a", "version": "1.0"}, False),
    ],
)
def test_what_paths_name(path: str, pattern: str, values: Mapping[str, str], is_directory: bool) -> None:
    assert PATHS.split(path.encode()) == Target(pattern, None, values, is_directory)
    assert PATHS.split(f"/r/x{path}".encode()) == Target(pattern, "x", values, is_directory)


@each(
    "path",
    ["/", "/elsewhere", "/list//", "/list//a", "//list/", "/api", "/list/a/b/c", "/r", "/r/x"],
)
def test_what_fits_no_pattern_names_nothing(path: str) -> None:
    assert not PATHS.split(path.encode()).pattern


@each("bad", ["%", "%2", "%zz", "%2f", "%5c", "\\", "%00", "%0a", "%7f", "%ff", ".", "..", "%2e."])
def test_segments_that_are_no_names(bad: str) -> None:
    for path in (f"/list/{bad}/", f"/list/a/{bad}", f"/r/{bad}/list/", f"/api/{bad}/json"):
        with pytest.raises(BadRequest):
            PATHS.split(path.encode())


@given(
    st.lists(
        st.sampled_from(["list", "api", "r", "json", "a", "..", "%2e%2e", "%2f", "", "%", "\x00"])
        | st.text(max_size=6),
        max_size=7,
    )
)
def test_a_name_has_no_separator(segments: list[str]) -> None:
    try:
        target = PATHS.split(("/" + "/".join(segments)).encode("utf-8", "surrogatepass"))
    except BadRequest:
        return
    for text in (target.repository or "", *target.values.values()):
        assert not set(text) & {"/", "\\", "\x00", "\n"}
        assert text not in (".", "..")


def test_the_root_is_a_path_too() -> None:
    paths = Paths(("/", "/{name}"))
    assert paths.split(b"/") == Target("/")
    assert paths.split(b"/r/x/") == Target("/", "x")
    assert paths.split(b"/a") == Target("/{name}", None, {"name": "a"}, is_directory=False)


def test_a_long_path_is_read_as_a_short_one() -> None:
    name = "a" * 5000
    assert PATHS.split(f"/list/{name}/".encode()).get("name") == name


def test_a_path_names_a_repository_or_the_default_one() -> None:
    default, other = (Repository(number, f"r{number}", "toy", "hosted") for number in (1, 2))
    known = Repositories(default, {"other": other})
    assert known.find(Target(LIST)) is default
    assert known.find(Target(LIST, "other")) is other
    with pytest.raises(NotFound, match="no repository absent"):
        known.find(Target(LIST, "absent"))


SCOPED = Paths(("/npm/{@package}", "/npm/{@package}/{version}", "/npm/{@package}/-/{@file}", "/npm/-/ping"))


@each(
    ("path", "values"),
    [
        ("/npm/a", {"package": "a"}),
        ("/npm/@s/a", {"package": "@s/a"}),
        ("/npm/@s%2fa", {"package": "@s/a"}),
        ("/npm/%40s%2Fa", {"package": "@s/a"}),
        ("/npm/a/1.0.0", {"package": "a", "version": "1.0.0"}),
        ("/npm/@s/a/1.0.0", {"package": "@s/a", "version": "1.0.0"}),
        ("/npm/@s%2fa/1.0.0", {"package": "@s/a", "version": "1.0.0"}),
        ("/npm/@s/a/-/a-1.tgz", {"package": "@s/a", "file": "a-1.tgz"}),
        ("/npm/@s%2fa/-/@s/a-1.tgz", {"package": "@s/a", "file": "@s/a-1.tgz"}),
        ("/npm/-/ping", {}),
    ],
)
def test_names_may_have_scopes(path: str, values: Mapping[str, str]) -> None:
    for raw, repository in ((path, None), (f"/r/x{path}", "x")):
        found = SCOPED.split(raw.encode())
        assert (found.repository, found.values) == (repository, values)


@each(
    "bad",
    [
        "a%2fb",
        "..%2f..%2fetc%2fpasswd",
        "@s%2f..",
        "@s%2f..%2fx",
        "@s%2fa%2fb",
        "@..%2f..",
        "@s%2f%2e%2e",
        "@s%2f%00",
        "@%2e%2e%2f..",
        "@s%5ca",
    ],
)
def test_a_scope_is_no_way_around_what_a_segment_may_hold(bad: str) -> None:
    for path in (f"/npm/{bad}", f"/npm/{bad}/1.0.0", f"/npm/a/-/{bad}"):
        with pytest.raises(BadRequest):
            SCOPED.split(path.encode())


@pytest.mark.parametrize("path", ["/npm/@s", "/npm/@s/a/b/c", "/npm/@s/", "/npm/@s%2f"])
def test_a_scope_is_no_name(path: str) -> None:
    try:
        assert not SCOPED.split(path.encode()).pattern
    except BadRequest:
        assert "%2f" in path


def test_formats_without_scopes_take_no_encoded_separator() -> None:
    with pytest.raises(BadRequest):
        PATHS.split(b"/list/@s%2fa/")


LONG = Paths(
    (
        "/go/{module...}/@latest",
        "/go/{module...}/@v/{file}",
        "/go/{module...}/@v/list",
        "/go/-/{one}",
        "/go/{path...}",
        "/go/",
    )
)


@each(
    ("path", "pattern", "values"),
    [
        ("/go/a/@latest", "/go/{module...}/@latest", {"module": "a"}),
        ("/go/h.org/a/b/@latest", "/go/{module...}/@latest", {"module": "h.org/a/b"}),
        ("/go/h.org/a/@v/list", "/go/{module...}/@v/list", {"module": "h.org/a"}),
        (
            "/go/h.org/a/@v/v1.0.0.zip",
            "/go/{module...}/@v/{file}",
            {"module": "h.org/a", "file": "v1.0.0.zip"},
        ),
        ("/go/@v/list", "/go/{path...}", {"path": "@v/list"}),
        ("/go/-/a", "/go/-/{one}", {"one": "a"}),
        ("/go/-/a/b", "/go/{path...}", {"path": "-/a/b"}),
        ("/go/a%20b/c/", "/go/{path...}", {"path": "a b/c"}),
        ("/go/", "/go/", {}),
    ],
)
def test_names_of_several_segments(path: str, pattern: str, values: Mapping[str, str]) -> None:
    for raw, repository in ((path, None), (f"/r/x{path}", "x")):
        assert LONG.split(raw.encode()) == Target(pattern, repository, values, path.endswith("/"))


@pytest.mark.parametrize("path", ["/go//a", "/go/a//b", "/go/a//", "//go/a", "/other/a"])
def test_no_segment_of_several_is_empty(path: str) -> None:
    assert not LONG.split(path.encode()).pattern


@each("bad", ["%2f", "a%2fb", "..", "%2e%2e", "%5c", "%00", "%"])
def test_none_of_several_segments_is_bad(bad: str) -> None:
    for path in (f"/go/{bad}/a", f"/go/a/{bad}", f"/go/a/{bad}/@latest"):
        with pytest.raises(BadRequest):
            LONG.split(path.encode())
