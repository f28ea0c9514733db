"""Listings, links and the referrers index."""

from __future__ import annotations

import orjson
import pytest

from nora.catalog.records import VersionAbout
from nora.errors import InvalidPage
from nora.formats.docker import documents
from tests.support.tables import each


@each(
    ("text", "size"),
    [
        (None, documents.MAX_PAGE),
        ("0", 0),
        ("5", 5),
        ("0" * 20 + "5", 5),
        ("0" * 20, 0),
        ("9" * 40, documents.MAX_PAGE),
    ],
)
def test_page_size(text: str | None, size: int) -> None:
    assert documents.parse_page_size(text) == size


@each("text", ["", "-1", "x", "1.5", "٣", "+1", " 1", "1_0"])
def test_bad_page_size(text: str) -> None:
    with pytest.raises(InvalidPage):
        documents.parse_page_size(text)


@each(
    ("text", "tags"),
    [
        ('"a"', ("a",)),
        ('"a", "b"', ("a", "b")),
        ('W/"a", "b"', ("b",)),
        ('W/"a"', ()),
        ("*", ("*",)),
        ("sha256:ab", ("sha256:ab",)),
    ],
)
def test_conditions_are_lists_of_strong_validators(text: str, tags: tuple[str, ...]) -> None:
    assert documents.parse_if_match(text) == tags


def test_names_are_golden_bytes() -> None:
    assert documents.render_names("tags", ["1", "2"], name="a/b") == b'{"name":"a/b","tags":["1","2"]}'
    assert documents.render_names("repositories", []) == b'{"repositories":[]}'


def test_next_link_escapes_and_leaves_out_what_is_not_set() -> None:
    name, value = documents.next_link("/v2/a/tags/list", n=2, last="a&b", artifactType=None)
    assert (name, value) == (b"link", b'</v2/a/tags/list?n=2&last=a%26b>; rel="next"')


def test_fallback_tags() -> None:
    digest = "sha512:" + "ab" * 64
    tag = documents.fallback_tag(digest)
    assert tag == "sha512-" + "ab" * 32
    assert len(documents.fallback_tag("sha256:" + "a" * 64)) == 71


def test_referrers_index_is_golden_bytes() -> None:
    plain = VersionAbout("sha256:" + "1" * 64, documents.OCI_MANIFEST, 7, None, b"{}")
    full = VersionAbout(
        "sha256:" + "2" * 64, documents.OCI_INDEX, 8, "a/b", orjson.dumps({"annotations": {"k": "v"}})
    )
    body = documents.render_referrers([documents.referrer_descriptor(r) for r in (plain, full)])
    assert body == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":['
        b'{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:'
        + b"1"
        * 64
        + b'","size":7},'
        b'{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"sha256:'
        + b"2"
        * 64
        + b'","size":8,'
        b'"artifactType":"a/b","annotations":{"k":"v"}}]}'
    )


@each(
    ("header", "link"),
    [
        ("", None),
        ('</v2/a/tags/list?last=b&n=2>; rel="next"', "/v2/a/tags/list?last=b&n=2"),
        ("<a>;rel=next", "a"),
        ('<a>; rel="prev", <b>; title="x"; rel="NEXT"', "b"),
        ('<a>; rel="nextish"', None),
        ("<a", None),
        ('<a,b>; rel="next"', "a,b"),
        ("<" * 5000, None),
    ],
)
def test_next_page(header: str, link: str | None) -> None:
    assert documents.next_page(header) == link


DESCRIPTOR: dict[str, object] = {"mediaType": "a/b", "digest": "sha256:" + "0" * 64, "size": 0}


@each(
    "field",
    [
        {},
        {"artifactType": "a/b"},
        {"annotations": {"a": "b"}},
        {"annotations": {}},
        {"urls": ["https://example.com"]},
        {"data": "e30="},
        {"platform": {"architecture": "arm", "os": "linux", "os.features": ["win32k"], "variant": "v7"}},
    ],
)
def test_a_descriptor_is_read_whole(field: dict[str, object]) -> None:
    assert documents.read_descriptor(DESCRIPTOR | field) == DESCRIPTOR | field


@each(
    "field",
    [
        {"x": "y"},
        {"artifactType": 1},
        {"annotations": {"a": 1}},
        {"annotations": []},
        {"urls": "a"},
        {"urls": [1]},
        {"data": {}},
        {"platform": {"os": 1}},
        {"platform": {"os.features": [[]]}},
    ],
)
def test_fields_that_a_descriptor_has_not_are_left_out(field: dict[str, object]) -> None:
    assert documents.read_descriptor(DESCRIPTOR | field) == DESCRIPTOR


@pytest.mark.parametrize("field", [{"digest": "x"}, {"mediaType": None}, {"size": True}, {"size": -1}])
def test_what_is_no_descriptor(field: dict[str, object]) -> None:
    assert documents.read_descriptor(DESCRIPTOR | field) is None
    assert documents.read_descriptor(list(field)) is None
