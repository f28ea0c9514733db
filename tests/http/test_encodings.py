"""How documents are compressed, and for whom."""

from __future__ import annotations

import gzip

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from nora.http.encodings import Encoding, choose_encoding, compress, compress_pieces
from tests.support.tables import each


@each(
    ("header", "expected"),
    [
        *(
            (None, "identity"),
            ("", "identity"),
            ("identity", "identity"),
            ("br", "identity"),
            ("deflate", "identity"),
        ),
        *(("gzip, deflate", "gzip"), ("gzip, deflate, br, zstd", "zstd"), ("x-gzip", "gzip"), ("*", "zstd")),
        *(("gzip;q=0", "identity"), ("gzip;q=0, *", "zstd"), ("zstd;q=0, *", "gzip"), ("*;q=0", "identity")),
        *(
            ("zstd;q=0.5, gzip", "gzip"),
            ("gzip;q=0.5, identity", "identity"),
            ("GZIP", "gzip"),
            ("gzip;q=x", "identity"),
        ),
        *(("identity;q=0", "identity"), ("identity, gzip", "gzip"), ("a, " * 200 + "gzip", "gzip")),
    ],
)
def test_the_encoding(header: str | None, expected: str) -> None:
    assert choose_encoding(header).value == expected


PARTS = st.sampled_from(["gzip", "*", ";q=", "0.5", "1", ",", " ", "²"])


@given(st.text(max_size=40) | st.lists(PARTS).map("".join))
def test_any_header_is_answered(header: str) -> None:
    assert choose_encoding(header) in Encoding


@pytest.mark.parametrize("encoding", Encoding)
def test_compression_gives_the_same_bytes_each_time(encoding: Encoding) -> None:
    body = b"a document " * 1000
    pieces = [body[start : start + 700] for start in range(0, len(body), 700)]
    for make in (lambda: compress(body, encoding), lambda: compress_pieces(pieces, encoding)):
        packed = make()
        assert make() == packed
        assert unpacked(packed, encoding) == body


def unpacked(packed: bytes, encoding: Encoding) -> bytes:
    if encoding is Encoding.GZIP:
        return gzip.decompress(packed)
    if encoding is Encoding.ZSTD:
        return zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    return packed
