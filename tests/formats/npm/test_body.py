"""The body of a publication: the tarball is decoded while it comes, wherever it is cut."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.errors import BadRequest, NoraError
from nora.formats.npm import body as bodies
from nora.formats.npm.body import PublicationBody

pytestmark = pytest.mark.anyio
FILE = bytes(range(256)) * 40


async def pieces_of(raw: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(raw), size):
        yield raw[start : start + size]


async def read(raw: bytes, size: int) -> tuple[list[tuple[str, bytes]], dict[str, Any]]:
    body = PublicationBody(pieces_of(raw, size))
    found = []
    while (name := await body.tarball()) is not None:
        found.append((name, b"".join([piece async for piece in body.data()])))
    return found, await body.document()


def attachment(data: bytes = FILE) -> dict[str, Any]:
    return {"content_type": "x", "data": base64.b64encode(data).decode(), "length": len(data)}


def publication(**more: Any) -> dict[str, Any]:
    manifest = {"name": "a", "data": "a text that is no tarball", "x": '\\"data":"', "y": '"data":"'}
    return {"_id": "a", "versions": {"1.0.0": manifest}, **more}


@pytest.mark.parametrize("size", [1, 3, 7, 64, 79, 80, 81, 1 << 20])
async def test_wherever_it_is_cut(size: int) -> None:
    attachments = {"a-1.0.0.tgz": attachment()}
    for document in (
        publication(_attachments=attachments),
        {"_attachments": attachments, **publication()},
        {"_id": "a", "_attachments": attachments, **publication()},
    ):
        found, rest = await read(json.dumps(document).encode(), size)
        assert found == [("a-1.0.0.tgz", FILE)]
        expected = json.loads(json.dumps(document))
        expected["_attachments"]["a-1.0.0.tgz"]["data"] = ""
        assert rest == expected


@given(st.binary(max_size=2000), st.integers(1, 200), st.sampled_from([None, 2]), st.booleans())
def test_any_bytes(data: bytes, size: int, indent: int | None, escaped: bool) -> None:
    import anyio

    text = json.dumps(publication(_attachments={"@s/a-1.0.0.tgz": attachment(data)}), indent=indent)
    encoded = base64.b64encode(data).decode()
    if escaped and encoded:
        text = text.replace(f'"{encoded}"', '"' + encoded.replace("/", "\\/") + '"')
    found, _ = anyio.run(read, text.encode(), size)
    assert found == [("@s/a-1.0.0.tgz", data)]


async def test_other_attachments_are_texts() -> None:
    bundle = {"content_type": "x", "data": '{"a": "b"}', "length": 10}
    document = publication(_attachments={"a-1.0.0.sigstore": bundle, "a-1.0.0.tgz": attachment()})
    found, rest = await read(json.dumps(document).encode(), 50)
    assert [name for name, _ in found] == ["a-1.0.0.tgz"]
    assert rest["_attachments"]["a-1.0.0.sigstore"] == bundle


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"<html>",
        b'{"_attachments":{"a.tgz":{"data":"AAAA',
        b'{"_attachments":{"a.tgz":{"data":"AAA"}}}',
        b'{"_attachments":{"a.tgz":{"data":"A!AA"}}}',
        b'{"_attachments":{"a.tgz":{"data":"AA\\u0041A"}}}',
        b'{"_attachments":{"a.tgz":{"data":"AAAA"}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"_attachments":{},"x":[' + b'{"data":"x"},' * 100 + b"0]}",
    ],
)
async def test_what_cannot_be_read_is_refused(raw: bytes) -> None:
    for size in (5, 1 << 20):
        with pytest.raises(BadRequest):
            await read(raw, size)


async def test_what_is_not_the_tarball_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LARGEST_DOCUMENT", 10_000)
    with pytest.raises(NoraError, match="document"):
        await read(json.dumps(publication(readme="x" * 20_000)).encode(), 1000)
    found, _ = await read(json.dumps(publication(_attachments={"a.tgz": attachment()})).encode(), 1000)
    assert found == [("a.tgz", FILE)]
