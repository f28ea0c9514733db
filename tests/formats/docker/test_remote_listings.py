"""What upstreams list is looked at before it is believed."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import UpstreamFailed
from nora.formats.docker.remote_listings import parse_fallback, parse_referrers, parse_tags
from tests.support.tables import each

DIGEST = "sha256:" + "0" * 64
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["tags", "manifests", "digest", "mediaType", "size"]), inner)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=64) | JSON.map(orjson.dumps))
def test_anything_can_be_read(body: bytes) -> None:
    for parse in (parse_tags, parse_referrers, parse_fallback):
        try:
            found = parse(body)
        except UpstreamFailed:
            continue
        assert isinstance(found, list)


@given(st.lists(st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}", fullmatch=True)))
def test_tags_are_read(tags: list[str]) -> None:
    assert parse_tags(orjson.dumps({"name": "a", "tags": [*tags, "no/tag", 1, None]})) == tags


def test_no_tags() -> None:
    assert parse_tags(b'{"tags": null}') == []


def test_no_referrers() -> None:
    assert parse_referrers(b'{"manifests": null}') == []
    for body in (b'{"manifests": null}', b'{"layers": []}', b"{}"):
        assert parse_fallback(body) == []
    for body in (b"{}", b'{"manifests": {}}'):
        with pytest.raises(UpstreamFailed, match="lists referrers"):
            parse_referrers(body)
    with pytest.raises(UpstreamFailed, match="lists referrers"):
        parse_fallback(b'{"manifests": 1}')


@pytest.mark.parametrize("field", ["digest", "mediaType", "size"])
def test_referrers_are_read(field: str) -> None:
    entry = {"digest": DIGEST, "mediaType": "a/b", "size": 1, "annotations": {"a": "b"}}
    body = orjson.dumps({"manifests": [entry, {**entry, field: None}, {**entry, field: True}]})
    assert parse_referrers(body) == [entry]


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b'"b"' + b"}" * levels


@each("levels", [2, 300, 1000])
@each("field", ["annotations", "platform", "data", "x"])
def test_fields_that_are_nested_more_than_can_be_written_are_left_out(field: str, levels: int) -> None:
    entry = orjson.dumps({"digest": DIGEST, "mediaType": "a/b", "size": 1})
    body = b'{"manifests":[%b,"%b":%b}]}' % (entry[:-1], field.encode(), nested(levels))
    assert parse_referrers(body) == [orjson.loads(entry)]


def test_tags_that_are_nested_are_left_out() -> None:
    assert parse_tags(b'{"tags":["a",%b]}' % nested(300)) == ["a"]


def test_an_object_without_tags_says_nothing() -> None:
    with pytest.raises(UpstreamFailed):
        parse_tags(b'{"errors": []}')
