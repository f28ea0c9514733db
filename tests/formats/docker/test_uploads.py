"""Uploads on the wire: where a session belongs, and mounts between repositories."""

from __future__ import annotations

import httpx
import pytest

from tests.support.oci import Repository, digest

pytestmark = pytest.mark.slow


def code(answer: httpx.Response) -> str:
    (error,) = answer.json()["errors"]
    return str(error["code"])


@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
@pytest.mark.parametrize("name", ["lab/session", "team/other", "session", "all/session"])
def test_a_session_is_unknown_elsewhere(kinds: httpx.Client, method: str, name: str) -> None:
    upload = Repository(kinds, "team/session").start()
    foreign = upload.replace("/v2/team/session/", f"/v2/{name}/")
    answer = kinds.request(method, foreign, params={"digest": digest(b"x")}, content=b"x")
    assert (answer.status_code, code(answer)) == (404, "BLOB_UPLOAD_UNKNOWN")
    assert kinds.get(upload).headers["x-nora-upload-offset"] == "0"
    assert kinds.delete(upload).status_code == 204


def test_a_session_of_a_group_is_one_of_its_target(kinds: httpx.Client) -> None:
    upload = Repository(kinds, "all/through").start()
    lab = Repository(kinds, "lab/through")
    assert lab.patch(upload.replace("/v2/all/", "/v2/lab/"), b"half").status_code == 202
    assert lab.finish(upload, digest(b"halfhalf"), b"half").status_code == 201
    assert lab.get_blob(digest(b"halfhalf")).content == b"halfhalf"


@pytest.mark.parametrize("source", ["team/source", "view/source"])
def test_a_blob_is_mounted_from_another_repository_or_group(kinds: httpx.Client, source: str) -> None:
    wanted = Repository(kinds, "team/source").push_blob(b"mounted between repositories")
    target = Repository(kinds, f"mounted/from/{source}")
    answer = kinds.post(f"{target.path}/blobs/uploads/", params={"mount": wanted, "from": source})
    assert answer.status_code == 201
    assert target.get_blob(wanted).content == b"mounted between repositories"


@pytest.mark.parametrize("source", ["lab/source", "UPPER", "team", ""])
@pytest.mark.parametrize("wanted", [digest(b"mounted from nowhere"), "nonsense"])
def test_what_cannot_be_mounted_becomes_a_session(kinds: httpx.Client, source: str, wanted: str) -> None:
    Repository(kinds, "team/holder").push_blob(b"mounted from nowhere")
    target = Repository(kinds, "mounted/nothing")
    answer = kinds.post(f"{target.path}/blobs/uploads/", params={"mount": wanted, "from": source})
    assert answer.status_code == 202
    data = f"instead of {wanted} of {source}".encode()
    assert target.finish(answer.headers["location"], digest(data), data).status_code == 201


@pytest.mark.parametrize("algorithm", ["md5", "sha384", ""])
def test_an_unknown_algorithm_is_refused(kinds: httpx.Client, algorithm: str) -> None:
    answer = kinds.post("/v2/algorithms/app/blobs/uploads/", params={"digest-algorithm": algorithm})
    assert answer.status_code == (400 if algorithm else 202)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("content_range", "data"), [("0-9", b"12345"), ("0-2", b"12345"), ("0-0", b"12")])
def test_a_chunk_is_as_long_as_its_range(
    kinds: httpx.Client, content_range: str, data: bytes, chunked: bool
) -> None:
    repo = Repository(kinds, "ranges/app")
    upload = repo.start()
    body = iter([data]) if chunked else data
    answer = kinds.patch(upload, content=body, headers={"content-range": content_range})
    assert (answer.status_code, code(answer)) == (400, "SIZE_INVALID")
    assert kinds.get(upload).headers["x-nora-upload-offset"] == "0"
    assert repo.finish(upload, digest(data), data).status_code == 201


@pytest.mark.parametrize("content_range", ["0-", "-4", "4-0", "x-y", "", "0-99999999999999999999"])
def test_a_malformed_range_of_a_chunk_is_400(kinds: httpx.Client, content_range: str) -> None:
    repo = Repository(kinds, "ranges/malformed")
    upload = repo.start()
    assert repo.patch(upload, b"12345", content_range).status_code == 400
    assert kinds.get(upload).headers["x-nora-upload-offset"] == "0"
    assert kinds.delete(upload).status_code == 204
