"""Errors in OCI's dialect."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from blacksheep import Request

from nora import errors
from nora.formats.docker.errors import code_of, render_error
from tests.formats.docker.mirrors import ONLINE
from tests.support.in_process import application
from tests.support.oci import digest
from tests.support.oci_upstream import OCIUpstream
from tests.support.tables import each
from tests.support.upstream import upstream

LAYER = b"a layer"
REQUEST = Request("GET", b"/v2/", [])


def every_error() -> list[type[errors.NoraError]]:
    found = [errors.NoraError]
    for cls in found:
        found += cls.__subclasses__()
    return [cls for cls in found if not issubclass(cls, errors.StartError)]


@each("cls", every_error())
def test_every_error_has_a_code_of_its_own_or_its_parent(cls: type[errors.NoraError]) -> None:
    code = code_of(cls.__new__(cls))
    assert code == code.upper()


@each(
    ("error", "status", "code"),
    [
        (errors.PackageNotFound("x"), 404, "NAME_UNKNOWN"),
        (errors.VersionNotFound("x"), 404, "MANIFEST_UNKNOWN"),
        (errors.BlobNotFound("x"), 404, "BLOB_UNKNOWN"),
        (errors.UploadNotFound("x"), 404, "BLOB_UPLOAD_UNKNOWN"),
        (errors.DigestMismatch("x"), 400, "DIGEST_INVALID"),
        (errors.TooLarge(5), 413, "SIZE_INVALID"),
        (errors.StorageFailed("x"), 500, "UNKNOWN"),
        (errors.StorageFull("x"), 507, "UNAVAILABLE"),
        (errors.UpstreamFailed("x"), 502, "UNAVAILABLE"),
        (errors.UpstreamUnavailable("x"), 503, "UNAVAILABLE"),
        (errors.UpstreamLimited("x", 7), 429, "TOOMANYREQUESTS"),
        (errors.UpstreamTimeout("x"), 504, "UNAVAILABLE"),
        (errors.ClientGone("x"), 499, "UNKNOWN"),
    ],
)
def test_status_and_code(error: errors.NoraError, status: int, code: str) -> None:
    response = render_error(error, REQUEST)
    body = orjson.loads(response.content.body)
    assert (response.status, body["errors"][0]["code"]) == (status, code)
    assert response.content.type == b"application/json"


def test_where_an_upload_stands_is_in_a_header() -> None:
    assert render_error(errors.UploadOffsetMismatch(10), REQUEST).get_first_header(b"range") == b"0-9"
    assert render_error(errors.UploadOffsetMismatch(0), REQUEST).get_first_header(b"range") == b"0-0"


def test_missing_references_are_named_one_by_one_up_to_a_bound() -> None:
    digests = tuple(f"sha256:{n:064x}" for n in range(1000))
    body = orjson.loads(render_error(errors.MissingReferences(digests), REQUEST).content.body)
    assert [entry["detail"]["digest"] for entry in body["errors"]] == list(digests[:100])
    assert {entry["code"] for entry in body["errors"]} == {"MANIFEST_BLOB_UNKNOWN"}


@pytest.mark.anyio
@pytest.mark.parametrize("mode", ["online", "offline"])
async def test_a_layer_that_an_upstream_lacks_is_an_unknown_blob(tmp_path: Path, mode: str) -> None:
    with upstream() as up:
        hub = OCIUpstream()
        hub.mount(up)
        hub.image("team/app", "1", LAYER)
        settings = {**ONLINE, "NORA_DOCKER_UPSTREAMS": up.url}
        async with application(tmp_path, **settings) as http:
            assert (await http.get("/v2/team/app/manifests/1")).status_code == 200
        del hub.blobs[digest(LAYER)]
        async with application(tmp_path, **(settings | {"NORA_PROXY_MODE": mode})) as http:
            answer = await http.get(f"/v2/team/app/blobs/{digest(LAYER)}")
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "BLOB_UNKNOWN")
    assert digest(LAYER) in answer.text
