"""What comes from outside, of any kind: paths, versions, lists, records, zips."""

from __future__ import annotations

import contextlib
import io
import tempfile
import zipfile

from hypothesis import example, given
from hypothesis import strategies as st

from nora.errors import InvalidName, InvalidPackageFile
from nora.formats.go.archive import check_module_zip, declared_path, root_of
from nora.formats.go.documents import Part, is_list, offered, render_list, version_in
from nora.formats.go.names import (
    ModulePath,
    check_file_path,
    check_major,
    escape,
    is_canonical,
    is_pseudo,
    newest,
    parse_query,
    unescape,
    version_order,
)
from nora.formats.go.sumdb import may_be, read_record

ELEMENT = st.from_regex(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,8}", fullmatch=True)
PATH = st.builds("/".join, st.lists(ELEMENT | st.text(max_size=4), min_size=1, max_size=4))
VERSION = st.from_regex(
    r"v[0-9]{1,3}\.[0-9]{1,2}\.[0-9](-[A-Za-z0-9.-]{1,8})?(\+incompatible)?", fullmatch=True
)


@given(PATH.map(lambda path: f"a.b/{path}") | PATH | st.text(max_size=30))
@example("a.b/" + "c/" * 600)
def test_a_path_is_taken_or_refused_and_escapes_are_reversible(text: str) -> None:
    with contextlib.suppress(InvalidName):
        path = ModulePath.of(text)
        assert path == text
        assert path.escaped == path.escaped.lower()
        assert ModulePath.unescaped(path.escaped) == path
        assert ".." not in path.split("/")
        assert all(path.startswith(f"{one}/") for one in path.parents)
        check_file_path(path)


@given(st.text(max_size=20) | st.from_regex(r"[a-z!A-Z.]{0,12}", fullmatch=True))
def test_one_spelling_on_the_wire_for_each_text(wire: str) -> None:
    with contextlib.suppress(InvalidName):
        assert escape(unescape(wire)) == wire


@given(VERSION | st.text(max_size=20), VERSION)
def test_versions_are_taken_or_refused_and_have_an_order(text: str, other: str) -> None:
    assert isinstance(version_order(text) < version_order(other), bool)
    assert newest([text, other]) in (text, other)
    if is_canonical(text):
        assert parse_query(escape(text)) == text
        with contextlib.suppress(InvalidName):
            check_major(ModulePath.of("a.b/c"), text)
            assert text.startswith(("v0.", "v1.")) or text.endswith("+incompatible")
    if is_pseudo(text):
        assert "-" in text


@given(st.lists(VERSION.map(str.encode) | st.binary(max_size=20), max_size=6).map(b"\n".join))
@example(b"v1.0.0 2024-05-06T07:08:09Z\nv1.0.0\n\nv1.1.0\r\n")
def test_lists_of_upstreams_are_read_whatever_is_in_them(body: bytes) -> None:
    parts = [Part(body)]
    listed = render_list(parts).decode().split("\n")[:-1]
    assert len(set(listed)) == len(listed)
    assert all(map(is_canonical, listed))
    assert set(listed) <= set(offered(parts))
    assert not listed or is_list(body) or b"v" in body


@given(st.binary(max_size=60) | st.builds(b'{"Version":"%b"}'.__mod__, st.binary(max_size=12)))
@example(b"[" * 100_000)
@example(b'{"Version":["v1.0.0"]}')
def test_an_info_tells_a_version_or_none(body: bytes) -> None:
    found = version_in(body)
    assert found is None or is_canonical(found)
    read_record(body, "a.b/c", "v1.0.0")
    for path in ("latest", "lookup/a.b/c@v1.0.0", "tile/8/0/000", "tile/8/0/000.p/2", "tile/8/data/000"):
        assert may_be(path, body) in (True, False)


@given(st.binary(max_size=80) | st.text('module a.b/c\n\t"`()/ ', max_size=40).map(str.encode))
@example(b"\nmodule" * 10_000)
@example(b"\n" * 100_000)
@example(b"module" + b" " * 100_000)
def test_any_text_declares_a_path_or_none(go_mod: bytes) -> None:
    assert "\n" not in declared_path(go_mod)


NAME = st.builds(
    "/".join,
    st.lists(
        st.sampled_from(["a", "A", "b.go", "go.mod", "vendor", "con", "ß", ".."]) | st.text(max_size=3),
        max_size=4,
    ),
)


@given(
    st.lists(st.tuples(NAME, st.binary(max_size=20)), max_size=5),
    st.integers(0, 400),
    st.binary(max_size=2),
)
def test_a_zip_is_taken_or_refused(members: list[tuple[str, bytes]], at: int, noise: bytes) -> None:
    """Also a damaged one. What is taken has files of this module alone, which no two systems mix up."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members:
            with contextlib.suppress(UserWarning, UnicodeEncodeError):
                archive.writestr(zipfile.ZipInfo(f"a.b/c@v1.0.0/{name}"), content)
    body = buffer.getvalue()
    body = body[:at] + noise + body[at + len(noise) :]
    with tempfile.NamedTemporaryFile(suffix=".zip") as file:
        file.write(body)
        file.flush()
        with contextlib.suppress(InvalidPackageFile, InvalidName):
            root_of(file.name, 1 << 20)
        with contextlib.suppress(InvalidPackageFile, InvalidName):
            found = check_module_zip(file.name, ModulePath.of("a.b/c"), "v1.0.0", 1 << 20)
            assert len(found.h1) == 47
            names = [one.removeprefix("a.b/c@v1.0.0/") for one in zipfile.ZipFile(file.name).namelist()]
            files = [one for one in names if one and not one.endswith("/")]
            assert len({one.casefold() for one in files}) == len(files)
            assert all(".." not in one.split("/") for one in names)
