"""Index files: lines are found and joined as they are."""

from __future__ import annotations

from nora.catalog.blocks import Hidden
from nora.catalog.records import Blob, PackageFile, Version
from nora.formats.cargo.index import (
    Line,
    Part,
    find_line,
    hosted_file,
    joined,
    lines,
    parse_line,
    part_file,
    parts_file,
    remember,
)
from nora.model import Digest

UPSTREAM = (
    b'{"name":"x","vers":"1.0.0","cksum":"%b","new":{"a" : 1}, "v":3}\n'
    b'{"name":"x","vers":"1.1.0","deps":[{"name":"y","req":"1.0.0"}],"cksum":"%b"}\r\n'
    b"not json\n\n"
    b'{"name":"x","vers":"2.0.0+b","cksum":"cc"}'
) % (b"A" * 64, b"b" * 64)


def test_a_line_is_found_by_its_version() -> None:
    for version, checksum in (("1.0.0", "a" * 64), ("1.1.0", "b" * 64), ("2.0.0+b", "")):
        found = find_line(UPSTREAM, "x", version)
        assert found is not None
        assert (found.version, found.checksum) == (version, checksum)


def test_a_version_that_is_only_mentioned_is_not_found() -> None:
    for version in ("x", "3.0.0", "vers", "2.0.0", ""):
        assert find_line(UPSTREAM, "x", version) is None
    assert find_line(UPSTREAM, "y", "1.0.0") is None


def test_what_is_no_line_is_left_out() -> None:
    assert [line.version for line in lines(UPSTREAM)] == ["1.0.0", "1.1.0", "2.0.0+b"]


def test_one_file_is_passed_on_byte_for_byte() -> None:
    assert parts_file([Part(UPSTREAM)]) is UPSTREAM


def test_of_a_version_that_two_have_the_first_counts() -> None:
    ours = b'{"name":"x","vers":"2.0.0","cksum":"ours"}\n'
    assert joined([ours, UPSTREAM]) == ours + b"".join(UPSTREAM.splitlines(keepends=True)[:2])


def test_versions_that_are_here_alone_are_offered() -> None:
    here = frozenset({("1.1.0", "b" * 64), ("1.0.0", "c" * 64), ("", "")})
    assert part_file(Part(UPSTREAM, held=here)) == UPSTREAM.splitlines(keepends=True)[1]
    assert part_file(Part(UPSTREAM, held=frozenset())) == b""


def test_what_is_blocked_is_left_out() -> None:
    first, second = UPSTREAM.splitlines()[:2]
    for hidden in (
        Hidden(frozenset({"1.0.0"}), frozenset(), ""),
        Hidden(frozenset(), frozenset({f"sha256:{'a' * 64}"}), "x"),
    ):
        assert part_file(Part(first + b"\n" + second, hidden=hidden)) == second + b"\n"
    assert part_file(Part(UPSTREAM, hidden=Hidden(frozenset({""}), frozenset(), ""))) == b""


def test_an_index_file_is_made_of_what_is_here() -> None:
    """In the order of versions, each line as it was when its file came."""
    blob = Blob(id=1, digest=Digest(f"sha256:{'a' * 64}"), size=1, generation=1)
    lines_of = {version: b'{"name":"x", "vers":"%b"}' % version.encode() for version in ("1.10.0", "1.9.0")}
    rows = [
        PackageFile(f"crates/x/{version}.crate", version, "", blob, document, 0.0)
        for version, document in (
            *((version, remember(parsed(line))) for version, line in lines_of.items()),
            ("1.0.0", b"{}"),
        )
    ]
    assert part_file(Part(rows=tuple(rows))) == lines_of["1.9.0"] + b"\n" + lines_of["1.10.0"] + b"\n"


def parsed(raw: bytes) -> Line:
    found = parse_line(raw)
    assert found is not None
    return found


def test_hosted_lines_are_in_the_order_of_publication() -> None:
    rows = [
        Version("2.0.0", "live", b'{"line":{"name":"x","vers":"2.0.0"}}', 20.5),
        Version("1.0.0", "yanked", b'{"line":{"name":"x","vers":"1.0.0"},"yanked":null}', 10.0),
    ]
    assert hosted_file(rows) == (
        b'{"name":"x","vers":"1.0.0","yanked":true,"pubtime":"1970-01-01T00:00:10Z"}\n'
        b'{"name":"x","vers":"2.0.0","yanked":false,"pubtime":"1970-01-01T00:00:20Z"}\n'
    )
