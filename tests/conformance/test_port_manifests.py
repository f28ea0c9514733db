"""The conformance cases that matter most, without Go: manifests and tags (OCI Distribution Spec 1.1)."""

from __future__ import annotations

import json
from collections.abc import Callable

import httpx
import pytest

from tests.support.oci import (
    DOCKER_LIST,
    IMAGE,
    INDEX,
    LAYER,
    Repository,
    describe,
    digest,
    index,
    links,
    render,
)

Names = Callable[[str], str]
ABSENT = digest(b"nobody ever pushed this")
DOCKER = "application/vnd.docker.distribution"


@pytest.fixture
def repo(http: httpx.Client, repository: Names) -> Repository:
    return Repository(http, repository("app"))


def code(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    return str(error["code"])


# Manifests (end-3, end-7, end-9).


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("reference", ["latest", ABSENT])
def test_an_absent_manifest_is_404(repo: Repository, method: str, reference: str) -> None:
    answer = repo.client.request(method, f"{repo.path}/manifests/{reference}")
    assert answer.status_code == 404
    if method == "GET":
        assert code(answer) in {"MANIFEST_UNKNOWN", "NAME_UNKNOWN"}


def test_a_manifest_comes_back_byte_for_byte(repo: Repository) -> None:
    image = repo.push_image("v1")
    for reference in ("v1", image.digest):
        for answer in (repo.get_manifest(reference), repo.head_manifest(reference)):
            assert answer.status_code == 200
            assert answer.headers["content-type"] == IMAGE
            assert answer.headers["docker-content-digest"] == image.digest
            assert answer.headers["content-length"] == str(len(image.manifest))
        assert repo.get_manifest(reference).content == image.manifest
        assert repo.head_manifest(reference).content == b""


def test_odd_spacing_and_unknown_fields_survive(repo: Repository) -> None:
    image = repo.push_image("v1")
    odd = json.dumps(json.loads(image.manifest) | {"x-custom": [1, "ü"]}, indent=3, sort_keys=True).encode()
    assert repo.push_manifest("odd", odd) == digest(odd)
    assert repo.get_manifest("odd").content == odd


def test_putting_a_manifest_answers_where_it_is(repo: Repository) -> None:
    image = repo.push_image()
    answer = repo.put_manifest("v2", image.manifest)
    assert answer.status_code == 201
    assert answer.headers["docker-content-digest"] == image.digest
    assert repo.client.get(answer.headers["location"]).content == image.manifest


def test_a_known_etag_is_304(repo: Repository) -> None:
    repo.push_image("v1")
    etag = repo.get_manifest("v1").headers["etag"]
    assert repo.get_manifest("v1", if_none_match=etag).status_code == 304
    assert repo.get_manifest("v1", if_none_match='"other"').status_code == 200


def test_a_manifest_is_never_encoded_on_the_way(repo: Repository) -> None:
    image = repo.push_image("v1")
    answer = repo.get_manifest("v1", accept_encoding="gzip, zstd")
    assert "content-encoding" not in answer.headers
    assert answer.content == image.manifest


def test_sha512_is_kept_as_it_was_asked(repo: Repository) -> None:
    image = repo.push_image()
    wanted = digest(image.manifest, "sha512")
    answer = repo.put_manifest(wanted, image.manifest)
    assert answer.status_code == 201, answer.text
    assert answer.headers["docker-content-digest"] == wanted
    for pulled in (repo.get_manifest(wanted), repo.head_manifest(wanted)):
        assert pulled.status_code == 200
        assert pulled.headers["docker-content-digest"] == wanted


def test_a_manifest_of_3_9_megabytes_is_taken(repo: Repository) -> None:
    annotations = {f"org.example.note.{number}": "n" * 10_000 for number in range(390)}
    image = repo.push_image("large", annotations=annotations)
    assert len(image.manifest) > 3_900_000
    assert repo.get_manifest("large").content == image.manifest


@pytest.mark.slow
def test_a_manifest_over_the_limit_is_413(repo: Repository) -> None:
    image = repo.push_image()
    huge = json.dumps(json.loads(image.manifest) | {"annotations": {"pad": "p" * (64 << 20)}}).encode()
    answer = repo.put_manifest("huge", huge)
    assert answer.status_code == 413
    assert answer.json()["errors"]
    assert repo.head_manifest("huge").status_code == 404


@pytest.mark.parametrize("wrong", [ABSENT, digest(b"nobody", "sha512"), "sha256:baddigeststring"])
def test_a_digest_that_is_not_the_bodys_is_400_and_stores_nothing(repo: Repository, wrong: str) -> None:
    image = repo.push_image()
    altered = image.manifest + b" "
    answer = repo.put_manifest(wrong, altered)
    assert (answer.status_code, code(answer)) == (400, "DIGEST_INVALID")
    assert repo.head_manifest(wrong).status_code in {400, 404}
    assert repo.head_manifest(digest(altered)).status_code == 404


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", IMAGE),
        (b"not json", IMAGE),
        (b"[]", IMAGE),
        (b'{"schemaVersion": 2}', IMAGE),
        (
            b'{"schemaVersion": 1, "name": "a", "tag": "b"}',
            "application/vnd.docker.distribution.manifest.v1+json",
        ),
        (b'{"schemaVersion": 1}', "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ],
)
def test_what_is_no_manifest_is_400(repo: Repository, body: bytes, media_type: str) -> None:
    answer = repo.put_manifest("broken", body, media_type)
    assert (answer.status_code, code(answer)) == (400, "MANIFEST_INVALID")


def test_the_media_type_inside_must_be_the_one_outside(repo: Repository) -> None:
    image = repo.push_image()
    answer = repo.put_manifest("v1", image.manifest, f"{DOCKER}.manifest.v2+json")
    assert (answer.status_code, code(answer)) == (400, "MANIFEST_INVALID")


def test_a_missing_layer_is_refused(repo: Repository) -> None:
    image = repo.push_image()
    document = json.loads(image.manifest)
    document["layers"].append(describe(b"never pushed", LAYER))
    answer = repo.put_manifest("v1", render(document))
    assert (answer.status_code, code(answer)) == (400, "MANIFEST_BLOB_UNKNOWN")


def test_foreign_layers_need_not_exist(repo: Repository) -> None:
    image = repo.push_image()
    document = json.loads(image.manifest)
    kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
    document["layers"].append(describe(b"somewhere else", kind, urls=["https://example.com/layer"]))
    assert repo.put_manifest("foreign", render(document)).status_code == 201


def test_an_index_may_be_sparse_and_hold_blobs(repo: Repository) -> None:
    """BuildKit's cache of the older kind is an index (or a manifest list) whose children are layers."""
    image = repo.push_image()
    children = [image.descriptor, describe(image.layers[0], LAYER), describe(b"absent", IMAGE)]
    assert repo.put_manifest("sparse", index(children), INDEX).status_code == 201
    docker = render({"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": children[1:2]})
    assert repo.put_manifest("cache", docker, DOCKER_LIST).status_code == 201
    assert repo.get_manifest("cache").content == docker


def test_tags_in_the_query_of_a_push_by_digest(repo: Repository) -> None:
    image = repo.push_image()
    wanted = [f"t{number}" for number in range(12)]
    answer = repo.client.put(
        f"{repo.path}/manifests/{image.digest}",
        params={"tag": wanted},
        content=image.manifest,
        headers={"content-type": IMAGE},
    )
    assert answer.status_code == 201
    made = [tag.strip() for value in answer.headers.get_list("oci-tag") for tag in value.split(",")]
    assert sorted(made) == sorted(wanted)
    assert all(repo.get_manifest(tag).content == image.manifest for tag in wanted)


def test_deleting_a_tag_leaves_the_digest_and_its_siblings(repo: Repository) -> None:
    image = repo.push_image("one")
    repo.push_manifest("two", image.manifest)
    assert repo.delete_manifest("one").status_code == 202
    assert repo.head_manifest("one").status_code == 404
    assert repo.delete_manifest("one").status_code == 404
    assert repo.get_manifest("two").content == image.manifest
    assert repo.get_manifest(image.digest).content == image.manifest


def test_deleting_a_digest_removes_every_tag_of_it(repo: Repository) -> None:
    image = repo.push_image("one")
    repo.push_manifest("two", image.manifest)
    repo.push_image("other", seed="other")
    assert repo.delete_manifest(image.digest).status_code == 202
    for reference in ("one", "two", image.digest):
        assert repo.head_manifest(reference).status_code == 404
    assert repo.tags() == ["other"]


@pytest.mark.parametrize("tag", ["_under", "A.b-c_D", "9", "x" * 128])
def test_every_tag_of_the_grammar_works(repo: Repository, tag: str) -> None:
    image = repo.push_image(tag)
    assert repo.get_manifest(tag).content == image.manifest


@pytest.mark.parametrize("tag", [".dot", "-dash", "sp%20ace", "x" * 129])
def test_a_bad_tag_is_refused(repo: Repository, tag: str) -> None:
    image = repo.push_image()
    assert repo.put_manifest(tag, image.manifest).status_code in {400, 404}


# Tags (end-8).


def test_the_tags_of_an_unknown_repository_are_404(repo: Repository) -> None:
    answer = repo.client.get(f"{repo.path}/tags/list")
    assert (answer.status_code, code(answer)) == (404, "NAME_UNKNOWN")


def push_tags(repo: Repository, count: int) -> list[str]:
    """One image under many tags, ten in each request; returns them in byte order."""
    image, names = repo.push_image(), [f"Tag.{number}_x-{number % 7}" for number in range(count)]
    for start in range(0, count, 10):
        answer = repo.client.put(
            f"{repo.path}/manifests/{image.digest}",
            params={"tag": names[start : start + 10]},
            content=image.manifest,
            headers={"content-type": IMAGE},
        )
        assert answer.status_code == 201, answer.text
    return sorted(names, key=str.encode)


def walk(repo: Repository, query: str) -> list[str]:
    pages = links(repo.client, f"{repo.path}/tags/list{query}")
    return [tag for page in pages for tag in page.json()["tags"]]


def test_pages_of_tags_hold_each_once_in_byte_order(repo: Repository) -> None:
    names = push_tags(repo, 250)
    assert walk(repo, "?n=100") == names
    assert walk(repo, "") == names
    assert repo.tags("?n=7") == names[:7]


@pytest.mark.slow
def test_ten_thousand_tags_are_walked_in_byte_order(repo: Repository) -> None:
    names = push_tags(repo, 10_000)
    assert walk(repo, "?n=100") == names


def test_last_is_exclusive_and_need_not_exist(repo: Repository) -> None:
    image = repo.push_image("b")
    for tag in ("d", "f"):
        repo.push_manifest(tag, image.manifest)
    assert repo.tags("?last=b") == ["d", "f"]
    assert repo.tags("?last=c") == ["d", "f"]
    assert repo.tags("?n=1&last=b") == ["d"]
    assert repo.tags("?last=zzz-missing") == []


def test_a_page_of_none_is_empty_and_the_last(repo: Repository) -> None:
    repo.push_image("v1")
    answer = repo.client.get(f"{repo.path}/tags/list?n=0")
    assert answer.json()["tags"] == []
    assert "link" not in answer.headers


@pytest.mark.parametrize("n", ["-1", "x", "1.5"])
def test_a_bad_page_size_is_400(repo: Repository, n: str) -> None:
    repo.push_image("v1")
    assert repo.client.get(f"{repo.path}/tags/list?n={n}").status_code == 400


def test_the_catalog_lists_the_repository(repo: Repository) -> None:
    repo.push_image("v1")
    pages = links(repo.client, "/v2/_catalog?n=20")
    names = [name for page in pages for name in page.json()["repositories"]]
    assert repo.name in names
    assert names == sorted(set(names), key=str.encode)
