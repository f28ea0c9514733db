"""Digests in header fields (RFC 9530)."""

from __future__ import annotations

import hashlib
from base64 import b64encode

import pytest
from blacksheep import Request

from nora.catalog.records import NewBlob
from nora.errors import DigestMismatch, InvalidDigest
from nora.http.digests import announced_digests, check_digests, repr_digest
from nora.model import Digest
from tests.support.tables import each

DATA = b"hello world\n"
HEX = {name: hashlib.new(name, DATA).hexdigest() for name in ("sha512", "sha256", "sha1", "md5")}
B64 = {name: b64encode(bytes.fromhex(value)).decode() for name, value in HEX.items()}


def request(*fields: tuple[str, str]) -> Request:
    return Request("PUT", b"/", [(name.encode(), value.encode()) for name, value in fields])


def test_what_is_announced() -> None:
    sha256 = f"sha-256=:{B64['sha256']}:"
    for fields, algorithms in (
        ([], set()),
        ([("repr-digest", sha256)], {"sha256"}),
        ([("content-digest", sha256), ("repr-digest", sha256)], {"sha256"}),
        ([("repr-digest", f"{sha256}, sha-512=:{B64['sha512']}:")], {"sha256", "sha512"}),
        ([("repr-digest", sha256), ("repr-digest", f"md5=:{B64['md5']}:")], {"sha256", "md5"}),
        ([("repr-digest", f"sha=:{B64['sha1']}:, unixsum=:MDA=:;a=1")], {"sha1"}),
        ([("repr-digest", f"sha-256=:AAAA:, {sha256}")], {"sha256"}),
        ([("content-md5", B64["md5"])], {"md5"}),
        ([("x-checksum-sha256", HEX["sha256"].upper())], {"sha256"}),
        ([("x-checksum-sha1", HEX["sha1"]), ("x-checksum-md5", HEX["md5"])], {"sha1", "md5"}),
    ):
        assert announced_digests(request(*fields)) == {name: HEX[name] for name in algorithms}, fields


def test_a_part_has_digests_of_its_own() -> None:
    sha256, md5 = f"sha-256=:{B64['sha256']}:", B64["md5"]
    fields = [("content-digest", "sha-256=:" + b64encode(bytes(32)).decode() + ":"), ("content-md5", md5)]
    assert announced_digests(request(*fields), of_message=False) == {}
    said = announced_digests(request(*fields, ("repr-digest", sha256)), of_message=False)
    assert said == {"sha256": HEX["sha256"]}


@each(
    "field",
    [
        ("repr-digest", "sha-256=abc"),
        ("repr-digest", "sha-256=:****:"),
        ("repr-digest", "sha-256=:AAAA:"),
        ("repr-digest", "sha-256"),
        ("content-md5", "not base64"),
        ("content-md5", B64["sha256"]),
        ("x-checksum-sha256", "xyz"),
        ("x-checksum-sha1", HEX["md5"]),
    ],
)
def test_what_is_no_digest_is_refused(field: tuple[str, str]) -> None:
    with pytest.raises(InvalidDigest, match=f"(?i){field[0]}"):
        announced_digests(request(field))


def test_fields_that_differ_are_refused() -> None:
    fields = (("repr-digest", f"sha-256=:{B64['sha256']}:"), ("x-checksum-sha256", "0" * 64))
    with pytest.raises(InvalidDigest, match="another field"):
        announced_digests(request(*fields))


def test_bytes_are_checked_by_all_of_them() -> None:
    checksums = {name: HEX[name] for name in ("sha512", "md5")}
    blob = NewBlob(Digest(f"sha256:{HEX['sha256']}"), len(DATA), "", 1, checksums=checksums)
    check_digests(blob, {"sha256": HEX["sha256"], **checksums})
    for name in ("sha256", "sha512", "md5"):
        with pytest.raises(DigestMismatch, match=name):
            check_digests(blob, {name: "0" * len(HEX[name])})
    assert repr_digest(blob.digest) == (b"repr-digest", f"sha-256=:{B64['sha256']}:".encode())
