"""Paths: what they name, and that nothing else comes of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nora.errors import BadRequest, NotFound
from nora.formats.pypi.paths import PathKind, Target, parse_path


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/simple", Target(PathKind.LIST, None, is_directory=False)),
        ("/simple/", Target(PathKind.LIST, None)),
        ("/simple/a", Target(PathKind.PROJECT, None, "a", is_directory=False)),
        ("/simple/A.b/", Target(PathKind.PROJECT, None, "A.b")),
        ("/simple/a/a-1%2B2.whl", Target(PathKind.FILE, None, "a", "", "a-1+2.whl", False)),
        ("/legacy/", Target(PathKind.UPLOAD, None)),
        ("/pypi", Target(PathKind.XML_RPC, None, is_directory=False)),
        ("/pypi/", Target(PathKind.XML_RPC, None)),
        ("/pypi/a", Target(PathKind.ADMIN_PROJECT, None, "a", is_directory=False)),
        ("/pypi/json", Target(PathKind.ADMIN_PROJECT, None, "json", is_directory=False)),
        ("/pypi/a/json", Target(PathKind.PROJECT_JSON, None, "a", is_directory=False)),
        ("/pypi/a/json/", Target(PathKind.PROJECT_JSON, None, "a")),
        ("/pypi/a/1.0", Target(PathKind.ADMIN_RELEASE, None, "a", "1.0", is_directory=False)),
        ("/pypi/a/1.0/json", Target(PathKind.RELEASE_JSON, None, "a", "1.0", is_directory=False)),
        ("/pypi/a/1.0/yank", Target(PathKind.YANK, None, "a", "1.0", is_directory=False)),
        ("/pypi/a/1.0/f.whl", Target(PathKind.ADMIN_FILE, None, "a", "1.0", "f.whl", False)),
        ("/integrity/a/1/f.whl/provenance", Target(PathKind.PROVENANCE, None, "a", "1", "f.whl", False)),
        ("/r/x/simple/a/", Target(PathKind.PROJECT, "x", "a")),
        ("/r/x/legacy/", Target(PathKind.UPLOAD, "x")),
    ],
)
def test_what_paths_name(path: str, target: Target) -> None:
    assert parse_path(path.encode()) == target


@pytest.mark.parametrize(
    "bad", ["%", "%2", "%zz", "%2f", "%5c", "\\", "%00", "%0a", "%7f", "%ff", ".", "..", "%2e."]
)
def test_segments_that_are_no_names(bad: str) -> None:
    for path in (f"/simple/{bad}/", f"/simple/a/{bad}", f"/r/{bad}/simple/", f"/pypi/{bad}/json"):
        with pytest.raises((BadRequest, NotFound)):
            parse_path(path.encode())


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["simple", "legacy", "pypi", "r", "json", "a", "..", "%2e%2e", "%2f", "", "%", "\x00"]
        )
        | st.text(max_size=6),
        max_size=7,
    )
)
def test_a_name_has_no_separator(segments: list[str]) -> None:
    try:
        target = parse_path(("/" + "/".join(segments)).encode("utf-8", "surrogatepass"))
    except (BadRequest, NotFound):
        return
    for text in (target.repository or "", target.project, target.version, target.filename):
        assert not set(text) & {"/", "\\", "\x00", "\n"}
        assert text not in (".", "..")
