"""The paths of `/v2/` on the wire: names like keywords, escapes, and methods that are not there."""

from __future__ import annotations

import httpx
import pytest

from tests.support.oci import Repository, digest

DIGEST = digest(b"nothing")
UPLOAD = "0b9c7a3e-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/v2/", "GET, HEAD"),
        ("/v2/_catalog", "GET, HEAD"),
        ("/v2/token", "GET, HEAD, POST"),
        ("/v2/_oci/ext/discover", "GET, HEAD"),
        ("/v2/a/tags/list", "GET, HEAD"),
        ("/v2/a/manifests/1", "GET, HEAD, PUT, DELETE"),
        (f"/v2/a/blobs/{DIGEST}", "GET, HEAD, DELETE"),
        ("/v2/a/blobs/uploads/", "POST"),
        (f"/v2/a/blobs/uploads/{UPLOAD}", "GET, HEAD, PATCH, PUT, DELETE"),
        (f"/v2/a/referrers/{DIGEST}", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_405_and_names_the_right_ones(http: httpx.Client, path: str, allow: str) -> None:
    answer = http.request("OPTIONS", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)
    assert answer.json()["errors"][0]["code"] == "UNSUPPORTED"


@pytest.mark.parametrize(
    "name",
    ["blobs", "manifests", "uploads", "tags/list", "blobs/uploads", "x/manifests/blobs", "referrers/a"],
)
def test_an_image_may_be_named_like_a_part_of_the_protocol(http: httpx.Client, name: str) -> None:
    repo = Repository(http, f"keywords/{name}")
    image = repo.push_image("manifests")
    assert repo.get_manifest("manifests").content == image.manifest
    assert repo.get_manifest(image.digest).content == image.manifest
    assert repo.get_blob(digest(image.config)).content == image.config
    assert repo.tags() == ["manifests"]
    assert repo.referrers(image.digest).json()["manifests"] == []
    assert http.delete(repo.start()).status_code == 204


def test_an_escaped_colon_is_a_colon(http: httpx.Client) -> None:
    repo = Repository(http, "escapes/app")
    image = repo.push_image("1")
    assert repo.get_manifest(image.digest.replace(":", "%3A")).content == image.manifest
    assert repo.get_blob(digest(image.config).replace(":", "%3a")).content == image.config
    whole = http.put(f"{repo.start()}?digest={digest(b'escaped').replace(':', '%3A')}", content=b"escaped")
    assert whole.status_code == 201


@pytest.mark.parametrize(
    "path", ["/v2/%D0%B4/tags/list", "/v2/a/manifests/%D0%B4", "/v2/a/blobs/%C3%A9", "/v2/%FF/tags/list"]
)
def test_what_is_not_ascii_is_400(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert answer.status_code == 400
    assert answer.json()["errors"]


def test_an_error_of_a_head_has_no_body(http: httpx.Client) -> None:
    for path in ("/v2/a/absent/manifests/1", f"/v2/a/absent/blobs/{DIGEST}", "/v2/a/absent/blobs/x"):
        answer = http.head(path)
        assert answer.status_code in {400, 404}
        assert answer.content == b""
