"""What kind of file one is."""

from __future__ import annotations

import pytest

from nora.errors import BadRequest
from nora.http.media_types import OCTETS, guess_media_type, parse_media_type


def test_a_name_tells_what_a_file_is() -> None:
    for path, media_type in (
        ("a/b.txt", "text/plain"),
        ("b.TXT", "text/plain"),
        ("a.tar.gz", "application/gzip"),
        ("a.html.br", OCTETS),
        ("a.txt/b", OCTETS),
        (".txt", OCTETS),
        ("", OCTETS),
    ):
        assert guess_media_type(path) == media_type, path
        for nothing in (None, "", " ", "application/x-www-form-urlencoded"):
            assert parse_media_type(nothing, path) == media_type


def test_what_is_said_counts_if_it_is_one() -> None:
    assert parse_media_type(" text/x; charset=utf-8 ", "a.zip") == "text/x; charset=utf-8"
    for wrong in ("text", "text/\x00", "text/ü", f"text/{'x' * 300}"):
        with pytest.raises(BadRequest, match="Content-Type"):
            parse_media_type(wrong, "a.zip")
