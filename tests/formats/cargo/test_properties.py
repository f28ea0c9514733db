"""What comes from outside, of any kind: names, versions, lines of the index, bodies of publications."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nora.errors import BadRequest, InvalidName, TooLarge, UpstreamFailed
from nora.formats.cargo.documents import (
    crate_document,
    dependencies_document,
    version_document,
    versions_document,
)
from nora.formats.cargo.index import Part, find_line, joined, lines, part_file, raw_lines
from nora.formats.cargo.manifest import parse_manifest
from nora.formats.cargo.names import (
    LONGEST_VERSION,
    CrateName,
    canonical,
    parse_version,
    prefix_of,
    version_order,
    without_build,
)
from nora.formats.cargo.publish import Frames
from nora.formats.cargo.upstream import download_url, first_line, problem_of, read_config

pytestmark = pytest.mark.anyio


def dumped(value: object) -> bytes:
    """Integers of any size and halves of surrogate pairs too, which orjson does not write."""
    return json.dumps(value).encode()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=8), below, max_size=4),
    max_leaves=12,
)
FIELDS = ("deps", "features", "features2", "cksum", "yanked", "links", "pubtime", "v")
LINES = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "X", "y", "../x"]) | VALUES,
        "vers": st.sampled_from(["1.0.0", "1.0.0+b", "2"]) | VALUES,
    },
    optional=dict.fromkeys(FIELDS, VALUES),
).map(dumped)
FILES = st.lists(LINES | st.binary(max_size=40) | VALUES.map(repr).map(str.encode), max_size=6).map(
    b"\n".join
)


@given(st.text(max_size=70) | st.from_regex(r"[A-Za-z0-9_.-]{1,70}", fullmatch=True))
@example("a\n")
@example("\u212a")
def test_a_name_is_a_segment_of_a_path(text: str) -> None:
    with contextlib.suppress(InvalidName):
        name = CrateName.of(text)
        assert re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name)
        assert name.spelled == text
        assert CrateName.of(canonical(text)) == name == canonical(name)
        assert name.index_path.endswith(f"/{text.lower()}")
        assert prefix_of(text.lower()).split("/")[-1] in ("1", "2") or len(text) > 2


@given(
    st.text(max_size=40)
    | st.from_regex(r"\d{1,3}\.\d{1,3}\.\d{1,3}(-[0-9A-Za-z.-]{0,9})?(\+[0-9A-Za-z.-]{0,9})?", fullmatch=True)
)
@example("1.0.0\n")
@example("1" * LONGEST_VERSION)
def test_versions_are_ascii_and_have_an_order(text: str) -> None:
    assert version_order(text) == version_order(text)
    assert version_order("") <= version_order(text)
    with contextlib.suppress(InvalidName):
        assert re.fullmatch(r"[0-9A-Za-z.+-]{5,150}", parse_version(text))
        assert version_order(text)[0] == 1


@given(FILES, FILES)
def test_index_files_of_any_kind_break_nothing(first: bytes, second: bytes) -> None:
    for file in (first, second):
        assert b"\n".join(raw_lines(file)) == b"\n".join(one for one in file.split(b"\n") if one.strip())
        assert isinstance(problem_of(first_line(file), "x"), str)
        assert part_file(Part(file)) is file or not file
        held = frozenset((line.version, line.checksum) for line in lines(file))
        assert [line.raw for line in lines(part_file(Part(file, held=held)))] == [
            line.raw for line in lines(file)
        ]
        for version in ("1.0.0", "1.0.0+b", "2"):
            found = find_line(file, "x", version)
            assert (found is not None) == any(
                (line.name.lower(), line.version) == ("x", version) for line in lines(file)
            )
            if found is not None:
                assert re.fullmatch(r"|[0-9a-f]{64}", found.checksum)
                path = f"{found.name}/{version.replace('+', '%2B')}/download"
                assert download_url("http://u/dl", found) == f"http://u/dl/{path}"
    told = [without_build(line.version) for line in lines(joined([first, second]))]
    assert set(told) == {without_build(line.version) for one in (first, second) for line in lines(one)}


@given(FILES)
def test_documents_are_made_of_any_index_file(file: bytes) -> None:
    parts = [Part(file)]
    for document in (
        crate_document(parts),
        versions_document(parts),
        version_document(parts, "1.0.0"),
        dependencies_document(parts, "1.0.0"),
    ):
        assert document is None or orjson.loads(document)


@given(VALUES.map(dumped) | st.binary(max_size=60))
@example(b'{"dl": "file:///etc/passwd"}')
def test_a_config_says_where_crates_are_or_is_refused(body: bytes) -> None:
    with contextlib.suppress(UpstreamFailed):
        assert read_config(body, "https://u.example/config.json")["dl"].startswith("http")


DEPENDENCY = st.fixed_dictionaries(
    {"name": st.just("dep") | VALUES, "version_req": st.just("^1") | VALUES},
    optional=dict.fromkeys(
        ("features", "optional", "default_features", "target", "kind", "registry", "explicit_name_in_toml"),
        VALUES,
    ),
)
METADATA = st.fixed_dictionaries(
    {"name": st.just("x") | VALUES, "vers": st.just("1.0.0") | VALUES},
    optional={
        "deps": st.lists(DEPENDENCY, max_size=2) | VALUES,
        "features": st.dictionaries(st.text(max_size=6), st.lists(st.text(max_size=8), max_size=2)) | VALUES,
        **dict.fromkeys(("links", "rust_version", "description", "authors", "keywords"), VALUES),
    },
)


@given(METADATA.map(dumped) | st.binary(max_size=60))
@example(b"[" * 100_000)
@example(b'{"name":"x","name":"../y","vers":"1.0.0"}')
@example(b'{"name":"x","vers":"1.0.0","deps":[{"name":"y","version_req":"1","kind":[]}]}')
def test_metadata_is_taken_or_refused(raw: bytes) -> None:
    with contextlib.suppress(BadRequest, InvalidName):
        manifest = parse_manifest(raw)
        line = orjson.loads(manifest.document("0" * 64))["line"]
        assert canonical(line["name"]) == manifest.name
        assert all(isinstance(one["name"], str) and "req" in one for one in line["deps"])
        assert "\n" not in orjson.dumps(line).decode()


@given(st.lists(st.binary(max_size=12), max_size=6))
@example([b"\xff\xff\xff\xff"])
@example([b"\0\0\0", b"\0"])
async def test_a_body_is_in_frames_however_it_comes(pieces: list[bytes]) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    whole = b"".join(pieces)
    frames = Frames(body())
    try:
        metadata: Any = await frames.metadata()
        length = await frames.length("crate")
    except (BadRequest, TooLarge):
        size = int.from_bytes(whole[:4], "little")
        assert len(whole) < 4 + size + 4
        return
    rest = b"".join([piece async for piece in frames.rest()])
    size = len(metadata)
    assert size.to_bytes(4, "little") + metadata + length.to_bytes(4, "little") + rest == whole
