"""Checksums as tools upload them."""

from __future__ import annotations

import hashlib

import pytest

from nora.errors import BadRequest
from nora.formats.maven.checksums import ALGORITHMS, parse_checksum, render_checksum

FORMS = [
    "{0}",
    "{0}\n",
    " {0} \r\n",
    "{0}  lib-1.0.jar",
    "{0} *lib-1.0.jar\n",
    "{0}\tdir/lib 1.0.jar",
    "SHA1 (lib-1.0.jar) = {0}",
    "SHA2-256(lib-1.0.jar)= {0}\n",
]


def test_checksums_are_read_in_all_forms() -> None:
    for algorithm in ALGORITHMS:
        digest = hashlib.new(algorithm, b"bytes").hexdigest()
        for form in FORMS:
            for written in (digest, digest.upper()):
                body = form.format(written).encode()
                assert parse_checksum(body, algorithm) == digest, body
        assert render_checksum(digest.upper()) == digest.encode()


def test_what_is_no_checksum_is_refused() -> None:
    digest = hashlib.sha256(b"bytes").hexdigest()
    for body in (
        *("", "\n", digest[:-1], f"{digest}0", f"{digest}x", f"sha256:{digest}", f"x {digest}"),
        *(f"{digest[:32]}\n{digest[32:]}", "<html></html>", "é" * 64, "\0" * 64, f"{digest}\n{digest}"),
    ):
        with pytest.raises(BadRequest):
            parse_checksum(body.encode(), "sha256")
    with pytest.raises(BadRequest):
        parse_checksum(digest.encode(), "sha1")
