"""JSON pages that are read a piece at a time say the same as when they are read at once."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from nora.formats import json_pieces
from nora.formats.pypi import index
from nora.formats.pypi.index import (
    IndexUnreadable,
    ListedFile,
    Project,
    decode,
    encode,
    parse_json,
    store_json,
)
from nora.formats.pypi.json_page import JsonPage
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.pages import PageType, render, render_pieces
from nora.formats.pypi.projects import make_page
from nora.http.encodings import Encoding, compress_pieces
from tests.support.tables import each

NAME = ProjectName("foo")
URL = "https://index.example/simple/foo/"
TEXT = st.text(st.sampled_from('},{[]": \\\nab'), max_size=12)
FILES: st.SearchStrategy[list[Any]] = st.lists(
    st.dictionaries(
        st.sampled_from(["filename", "url", "files", "yanked"]), TEXT | st.lists(st.just({}), max_size=3)
    )
    | TEXT
    | st.lists(st.dictionaries(TEXT, TEXT, max_size=2), max_size=3),
    max_size=12,
)
REST = st.dictionaries(st.sampled_from(["meta", "name", "versions", "x"]), TEXT | FILES, max_size=3)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_pieces, "PIECE_BYTES", 24)
    monkeypatch.setattr(index, "_PIECE_FILES", 4)


def page_of(count: int, **more: Any) -> bytes:
    files = [
        {"filename": f"foo-1.{n}.zip", "url": f"https://files.example/foo-1.{n}.zip", "yanked": "}, {"}
        for n in range(count)
    ]
    return orjson.dumps({"meta": {"api-version": "1.1"}, "files": files, "name": "foo", **more})


@given(REST, FILES, REST, st.booleans())
def test_pieces_are_the_whole(head: Any, files: Any, tail: Any, indented: bool) -> None:
    document = head | {"files": files} | {name: value for name, value in tail.items() if name not in head}
    body = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else None)
    page = JsonPage(body)
    assert list(page.files()) == files
    assert page.rest == document | {"files": []}


@pytest.mark.parametrize("cut", [1, 20, 60, 200, 500])
def test_a_page_that_is_cut_off_is_no_json(cut: int) -> None:
    body = page_of(20)
    for broken in (body[:-cut], body[:cut] + body[cut + 1 :]):
        try:
            whole = orjson.loads(broken)
        except ValueError:
            with pytest.raises(ValueError, match=r"."):
                list(JsonPage(broken).files())
        else:  # the cut has changed a text
            assert list(JsonPage(broken).files()) == whole["files"]


@pytest.mark.parametrize(
    "body", [b"[]", b"7", b"{}", b'{"files": 7}', b'{"a": {"files": [{}, {}, {}, {}, {}, {}, {}]}}']
)
def test_what_has_no_files_is_no_page(body: bytes) -> None:
    for read in (parse_json, store_json):
        with pytest.raises(IndexUnreadable):
            read(body, URL, NAME)


@each("versions", [{}, {"versions": ["9", "9"]}])
@each("count", [0, 1, 4, 5, 23])
def test_a_page_is_stored_as_it_is_parsed(count: int, versions: dict[str, Any]) -> None:
    body = page_of(count, **versions)
    project = parse_json(body, URL, NAME)
    assert len(project.files) == count
    stored = store_json(body, URL, NAME)
    assert stored == encode(project)
    found = decode(stored)
    assert tuple(found.files) == project.files
    assert len(found.files) == count
    assert found.versions == project.versions
    assert found.find("foo-1.3.zip") == project.find("foo-1.3.zip")


def test_a_file_that_is_listed_twice_counts_once_in_all_pieces() -> None:
    files = orjson.loads(page_of(9))["files"]
    stored = store_json(orjson.dumps({"files": files + files}), URL, NAME)
    assert [file.filename for file in decode(stored).files] == [one["filename"] for one in files]


def test_a_large_page_is_made_a_piece_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project(
        NAME, tuple(ListedFile(f"foo-{n}.zip", requires_python=">=3") for n in range(2500)), ("1",)
    )
    for page_type in PageType:
        pieces = list(render_pieces(project, page_type))
        assert len(pieces) == 5
        assert b"".join(pieces) == render(project, page_type)
    assert orjson.loads(render(project, PageType.JSON))["files"][2400]["filename"] == "foo-2400.zip"
    stored = encode(project)
    monkeypatch.setattr("nora.formats.pypi.projects.SMALL_BYTES", 1)
    large = make_page(PageType.JSON.value, "identity", 1, stored, b"{}")
    assert large == render(project, PageType.JSON)


@pytest.mark.parametrize("encoding", list(Encoding))
def test_pieces_are_compressed_to_one_body(encoding: Encoding) -> None:
    pieces = [b"a" * 1000, b"", b"b" * 1000]
    packed = compress_pieces(pieces, encoding)
    assert packed == compress_pieces(pieces, encoding)
    read: dict[Encoding, Callable[[bytes], bytes]] = {
        Encoding.IDENTITY: bytes,
        Encoding.GZIP: gzip.decompress,
        Encoding.ZSTD: lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body),
    }
    assert read[encoding](packed) == b"".join(pieces)
