"""The conformance cases that matter most, without Go: blobs and upload sessions (OCI Distribution Spec 1.1).

test_port_manifests.py holds manifests, tags and referrers.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import httpx
import pytest

from tests.support.oci import Repository, digest

Names = Callable[[str], str]
ABSENT = digest(b"nobody ever pushed this")


@pytest.fixture
def repo(http: httpx.Client, repository: Names) -> Repository:
    return Repository(http, repository("app"))


def code(answer: httpx.Response) -> str:
    """The code of the one error in an OCI error body."""
    assert answer.headers["content-type"].split(";")[0] == "application/json", answer.text
    (error,) = answer.json()["errors"]
    return str(error["code"])


def status(repo: Repository, upload: str) -> str:
    """The Range of the session's status, which must be 204."""
    answer = repo.client.get(upload)
    assert answer.status_code == 204, answer.text
    assert answer.headers["location"]
    return answer.headers["range"].removeprefix("bytes=")


def assert_pullable(repo: Repository, wanted: str, data: bytes) -> None:
    answer = repo.get_blob(wanted)
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["docker-content-digest"] == wanted
    assert answer.headers["content-length"] == str(len(data))


# The root of the API (end-1).


def test_ping_says_which_api_this_is(http: httpx.Client) -> None:
    answer = http.get("/v2/")
    assert answer.status_code == 200
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"


# Reading blobs (end-2).


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_absent_blob_is_404(repo: Repository, method: str) -> None:
    answer = repo.client.request(method, f"{repo.path}/blobs/{ABSENT}")
    assert answer.status_code == 404
    if method == "HEAD":
        assert answer.content == b""
    else:
        assert code(answer) in {"BLOB_UNKNOWN", "NAME_UNKNOWN"}


def test_head_has_the_headers_of_get_and_no_body(repo: Repository) -> None:
    data = b"x" * 5000
    wanted = repo.push_blob(data)
    head, get = repo.head_blob(wanted), repo.get_blob(wanted)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == "5000"
    volatile = {"date", "x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in volatile} == {
        k: v for k, v in get.headers.items() if k not in volatile
    }


@pytest.mark.parametrize(
    ("asked", "expected", "content_range"),
    [
        ("bytes=0-9", slice(0, 10), "bytes 0-9/1000"),
        ("bytes=500-", slice(500, 1000), "bytes 500-999/1000"),
        ("bytes=-100", slice(900, 1000), "bytes 900-999/1000"),
        ("bytes=990-5000", slice(990, 1000), "bytes 990-999/1000"),
        ("bytes=0-0", slice(0, 1), "bytes 0-0/1000"),
    ],
)
def test_a_range_is_206(repo: Repository, asked: str, expected: slice, content_range: str) -> None:
    data = random.Random(1).randbytes(1000)
    answer = repo.get_blob(repo.push_blob(data), range=asked)
    assert answer.status_code == 206
    assert answer.content == data[expected]
    assert answer.headers["content-range"] == content_range
    assert answer.headers["content-length"] == str(len(data[expected]))


@pytest.mark.parametrize("asked", ["bytes=1000-", "bytes=5000-6000", "bytes=500-0"])
def test_a_range_outside_or_inverted_is_416(repo: Repository, asked: str) -> None:
    answer = repo.get_blob(repo.push_blob(b"y" * 1000), range=asked)
    assert answer.status_code == 416


def test_a_known_etag_is_304(repo: Repository) -> None:
    wanted = repo.push_blob(b"conditional")
    etag = repo.get_blob(wanted).headers["etag"]
    answer = repo.get_blob(wanted, if_none_match=etag)
    assert (answer.status_code, answer.content) == (304, b"")


def test_bytes_are_never_encoded_on_the_way(repo: Repository) -> None:
    data = b"compressible " * 1000
    answer = repo.get_blob(repo.push_blob(data), accept_encoding="gzip, zstd")
    assert "content-encoding" not in answer.headers
    assert answer.content == data


# Uploads (end-4 to end-6, end-13, end-14).


def post_with_digest(repo: Repository, data: bytes, wanted: str) -> httpx.Response:
    return repo.client.post(f"{repo.path}/blobs/uploads/", params={"digest": wanted}, content=data)


def post_and_put(repo: Repository, data: bytes, wanted: str) -> httpx.Response:
    return repo.finish(repo.start(), wanted, data)


def one_streamed_patch(repo: Repository, data: bytes, wanted: str) -> httpx.Response:
    """As docker does: chunked, with neither a length nor a content type."""

    def pieces() -> Iterator[bytes]:
        yield data[: len(data) // 2]
        yield data[len(data) // 2 :]

    answer = repo.client.patch(repo.start(), content=pieces())
    assert answer.status_code == 202, answer.text
    return repo.finish(answer.headers["location"], wanted)


def chunks_with_ranges(repo: Repository, data: bytes, wanted: str) -> httpx.Response:
    """Two chunks by Content-Range and the last one in the closing PUT."""
    upload, third = repo.start(), max(1, len(data) // 3)
    for start in (0, third):
        part = data[start : start + third]
        if part:
            answer = repo.patch(upload, part, f"{start}-{start + len(part) - 1}")
            assert answer.status_code == 202, answer.text
            assert answer.headers["range"] == f"0-{start + len(part) - 1}"
            upload = answer.headers["location"]
    return repo.finish(upload, wanted, data[2 * third :])


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("data", [b"", b"{}", b"z" * 100_000], ids=["empty", "json", "100k"])
@pytest.mark.parametrize("push", [post_with_digest, post_and_put, one_streamed_patch, chunks_with_ranges])
def test_every_way_of_pushing_stores_the_same_blob(
    repo: Repository, push: Callable[[Repository, bytes, str], httpx.Response], data: bytes, algorithm: str
) -> None:
    wanted = digest(data, algorithm)
    answer = push(repo, data, wanted)
    assert answer.status_code == 201, answer.text
    assert answer.headers["docker-content-digest"] == wanted
    assert repo.client.get(answer.headers["location"]).content == data
    assert_pullable(repo, wanted, data)
    assert repo.head_blob(wanted).headers["content-length"] == str(len(data))


@pytest.mark.parametrize("query", ["?digest-algorithm=sha256", "?digest-algorithm=sha512"])
def test_a_session_may_name_its_algorithm(repo: Repository, query: str) -> None:
    algorithm = query.partition("=")[2]
    data = b"hashed as announced"
    answer = repo.finish(repo.start(query), digest(data, algorithm), data)
    assert answer.status_code == 201
    assert answer.headers["docker-content-digest"] == digest(data, algorithm)


def test_pushing_again_is_201(repo: Repository) -> None:
    assert repo.push_blob(b"twice") == repo.push_blob(b"twice")


def test_a_new_session_is_announced(repo: Repository) -> None:
    answer = repo.client.post(f"{repo.path}/blobs/uploads/")
    assert answer.status_code == 202
    assert answer.headers["docker-upload-uuid"] in answer.headers["location"]
    assert status(repo, answer.headers["location"]).startswith("0-")


def test_a_chunk_out_of_order_is_416_and_the_session_lives(repo: Repository) -> None:
    data = b"0123456789"
    upload = repo.start()
    assert repo.patch(upload, data[5:], "5-9").status_code == 416
    assert status(repo, upload) == "0-0"
    assert repo.patch(upload, data[:5], "0-4").status_code == 202
    assert repo.patch(upload, data[:5], "0-4").status_code == 416
    late = repo.finish(upload, digest(data), data[7:], content_range="7-9")
    assert late.status_code == 416
    assert status(repo, upload) == "0-4"
    assert repo.finish(upload, digest(data), data[5:], content_range="5-9").status_code == 201
    assert_pullable(repo, digest(data), data)


def test_a_length_that_contradicts_the_range_is_refused(repo: Repository) -> None:
    upload = repo.start()
    assert repo.patch(upload, b"12345", "0-9").status_code in {400, 416}
    assert status(repo, upload) == "0-0"


def test_the_first_location_stays_valid(repo: Repository) -> None:
    first = repo.start()
    for part in (b"one", b"two", b"three"):
        assert repo.patch(first, part).status_code == 202
    assert status(repo, first) == "0-10"
    assert repo.finish(first, digest(b"onetwothree")).status_code == 201

    other = repo.start()
    assert repo.patch(other, b"more").status_code == 202
    assert repo.client.delete(other).status_code == 204


def test_a_cancelled_session_is_gone(repo: Repository) -> None:
    upload = repo.start()
    assert repo.client.delete(upload).status_code == 204
    for answer in (repo.client.get(upload), repo.patch(upload, b"late"), repo.client.delete(upload)):
        assert answer.status_code == 404
        assert code(answer) == "BLOB_UPLOAD_UNKNOWN"


def test_a_session_belongs_to_its_repository(repo: Repository, repository: Names) -> None:
    foreign = repo.start().replace(repo.name, repository("other"))
    answer = repo.patch(foreign, b"from elsewhere")
    assert (answer.status_code, code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")


@pytest.mark.parametrize(
    "wrong",
    [
        digest(b"something else"),
        digest(b"something else", "sha512"),
        "sha256:baddigest",
        "sha256:" + "Z" * 64,
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "nonsense",
        "",
    ],
)
def test_a_wrong_digest_is_400_and_stores_nothing(repo: Repository, wrong: str) -> None:
    data = f"not {wrong}".encode()
    answer = repo.finish(repo.start(), wrong, data)
    assert (answer.status_code, code(answer)) == (400, "DIGEST_INVALID")
    assert repo.head_blob(digest(data)).status_code == 404
    assert repo.push_blob(data) == digest(data)


@pytest.mark.parametrize("name", ["Upper", "trailing-", "-leading", "a..b", "a//b", "a___b", "x" * 300])
def test_a_bad_name_is_refused(http: httpx.Client, name: str) -> None:
    answer = http.post(f"/v2/{name}/blobs/uploads/")
    assert answer.status_code in {400, 404}
    assert code(answer) in {"NAME_INVALID", "NAME_UNKNOWN"}


@pytest.mark.parametrize("name", ["a", "a--b/c__d", "a.b/c-d/e_f/g/h/i"])
def test_every_name_of_the_grammar_works(http: httpx.Client, name: str) -> None:
    repo = Repository(http, name)
    assert_pullable(repo, repo.push_blob(b"named"), b"named")


# Mounts (end-11) and isolation.


def test_blobs_belong_to_their_repository(repo: Repository, repository: Names) -> None:
    wanted = repo.push_blob(b"mine")
    other = Repository(repo.client, repository("other"))
    assert other.head_blob(wanted).status_code == 404
    assert other.get_blob(wanted).status_code == 404


@pytest.mark.parametrize("anonymous", [False, True])
def test_a_mount_is_201(repo: Repository, repository: Names, anonymous: bool) -> None:
    data = f"mounted {anonymous}".encode()
    wanted = repo.push_blob(data)
    target = Repository(repo.client, repository(f"target-{anonymous}".lower()))
    params = {"mount": wanted} if anonymous else {"mount": wanted, "from": repo.name}
    answer = repo.client.post(f"{target.path}/blobs/uploads/", params=params)
    assert answer.status_code == 201, answer.text
    assert repo.client.get(answer.headers["location"]).content == data
    assert_pullable(target, wanted, data)


def test_a_mount_of_nothing_becomes_a_session(repo: Repository, repository: Names) -> None:
    data = b"not there to be mounted"
    params = {"mount": digest(data), "from": repository("never-seen")}
    answer = repo.client.post(f"{repo.path}/blobs/uploads/", params=params)
    assert answer.status_code == 202
    assert repo.finish(answer.headers["location"], digest(data), data).status_code == 201


def test_a_deleted_blob_is_gone_at_once(repo: Repository) -> None:
    wanted = repo.push_blob(b"to be deleted")
    assert repo.client.delete(f"{repo.path}/blobs/{wanted}").status_code == 202
    assert repo.head_blob(wanted).status_code == 404
    assert repo.client.delete(f"{repo.path}/blobs/{wanted}").status_code == 404
