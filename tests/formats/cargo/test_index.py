"""Index files: lines are found and joined as they are."""

from __future__ import annotations

from nora.catalog.records import Version
from nora.formats.cargo.index import find_line, hosted_file, joined, lines, only

UPSTREAM = (
    b'{"name":"x","vers":"1.0.0","cksum":"AA","new":{"a" : 1}, "v":3}\n'
    b'{"name":"x","vers":"1.1.0","deps":[{"name":"y","req":"1.0.0"}],"cksum":"bb"}\r\n'
    b"not json\n\n"
    b'{"name":"x","vers":"2.0.0+b","cksum":"cc"}'
)


def test_a_line_is_found_by_its_version() -> None:
    for version, checksum in (("1.0.0", "aa"), ("1.1.0", "bb"), ("2.0.0+b", "cc")):
        found = find_line(UPSTREAM, version)
        assert found is not None
        assert (found.version, found.checksum) == (version, checksum)


def test_a_version_that_is_only_mentioned_is_not_found() -> None:
    for version in ("x", "3.0.0", "vers", "2.0.0", ""):
        assert find_line(UPSTREAM, version) is None


def test_what_is_no_line_is_left_out() -> None:
    assert [line.version for line in lines(UPSTREAM)] == ["1.0.0", "1.1.0", "2.0.0+b"]


def test_one_file_is_passed_on_byte_for_byte() -> None:
    assert joined([UPSTREAM]) is UPSTREAM


def test_of_a_version_that_two_have_the_first_counts() -> None:
    ours = b'{"name":"x","vers":"2.0.0","cksum":"ours"}\n'
    assert joined([ours, UPSTREAM]) == ours + b"".join(UPSTREAM.splitlines(keepends=True)[:2])


def test_versions_that_are_here_alone_are_offered() -> None:
    assert only(UPSTREAM, {"1.1.0"}) == UPSTREAM.splitlines(keepends=True)[1]
    assert only(UPSTREAM, set()) == b""


def test_hosted_lines_are_in_the_order_of_publication() -> None:
    rows = [
        Version("2.0.0", "live", b'{"line":{"name":"x","vers":"2.0.0"}}', 20.5),
        Version("1.0.0", "yanked", b'{"line":{"name":"x","vers":"1.0.0"},"yanked":null}', 10.0),
    ]
    assert hosted_file(rows) == (
        b'{"name":"x","vers":"1.0.0","yanked":true,"pubtime":"1970-01-01T00:00:10Z"}\n'
        b'{"name":"x","vers":"2.0.0","yanked":false,"pubtime":"1970-01-01T00:00:20Z"}\n'
    )
