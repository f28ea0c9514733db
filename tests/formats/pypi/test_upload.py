"""Uploads: what is taken, what is refused, and what stays behind."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import StartServer
from tests.formats.pypi.wire import filenames, page, upload
from tests.support.server import Server
from tests.support.wheels import Built, Release


def test_a_wheel_is_there_at_once(http: httpx.Client, project: str) -> None:
    built = Release(project=project, requires_python=">=3.8").wheel()
    assert http.get(f"/simple/{project}/").status_code == 404
    answer = upload(http, built)
    assert (answer.status_code, answer.text) == (200, "OK\n")
    found = page(http, project)
    (file,) = found["files"]
    assert found["versions"] == ["1.0"]
    assert file["filename"] == file["url"] == built.filename
    assert file["hashes"] == {"sha256": built.sha256}
    assert file["size"] == len(built.body)
    assert file["requires-python"] == ">=3.8"
    assert file["core-metadata"] == {"sha256": hashlib.sha256(built.metadata).hexdigest()}
    assert file["yanked"] is False
    assert file["upload-time"].endswith("Z")
    assert http.get(f"/simple/{project}/{built.filename}").content == built.body
    assert http.get(f"/simple/{project}/{built.filename}.metadata").content == built.metadata


@pytest.mark.parametrize("path", ["/legacy/", "/legacy", "/simple/", "/simple", "/r/pypi-hosted/legacy/"])
def test_every_address_of_uploads(http: httpx.Client, path: str) -> None:
    name = "address-" + path.strip("/").replace("/", "-") + ("-dir" if path.endswith("/") else "")
    assert upload(http, Release(project=name).sdist(), path).status_code == 200
    assert filenames(http, name) == [f"{name.replace('-', '_')}-1.0.tar.gz"]


def test_the_same_file_again_is_no_error(http: httpx.Client, project: str) -> None:
    built = Release(project=project).wheel()
    for fields in ({}, {}, {"sha256_digest": ""}):
        assert upload(http, built, **fields).status_code == 200
    assert len(page(http, project)["files"]) == 1


@pytest.mark.parametrize("told", [True, False])
def test_other_bytes_are_a_conflict(http: httpx.Client, project: str, told: bool) -> None:
    first = Release(project=project).wheel()
    other = Release(project=project, seed="other").wheel()
    assert upload(http, first).status_code == 200
    answer = upload(http, other, **({} if told else {"sha256_digest": ""}))
    assert answer.status_code == 409
    assert answer.text.startswith(f"File already exists ('{first.filename}'")
    assert http.get(f"/simple/{project}/{first.filename}").content == first.body


def test_problem_documents_for_who_reads_them(http: httpx.Client, project: str) -> None:
    answer = http.post("/legacy/", headers={"accept": "application/json"}, data={"name": project})
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 400
    assert answer.json()["detail"]


def digests_of(built: Built) -> dict[str, str]:
    return {
        "md5_digest": hashlib.md5(built.body).hexdigest(),
        "blake2_256_digest": hashlib.blake2b(built.body, digest_size=32).hexdigest(),
        "sha256_digest": built.sha256.upper(),
    }


def test_all_digests_are_taken(http: httpx.Client, project: str) -> None:
    built = Release(project=project).wheel()
    assert upload(http, built, **digests_of(built)).status_code == 200


@pytest.mark.parametrize("name", ["md5_digest", "sha256_digest", "blake2_256_digest"])
def test_a_wrong_digest_stores_nothing(http: httpx.Client, nora: Server, project: str, name: str) -> None:
    built = Release(project=project).wheel()
    wrong = digests_of(Release(project=project, seed="other").wheel())
    before = objects(nora)
    answer = upload(http, built, **{name: wrong[name]})
    assert (answer.status_code, name in answer.text) == (400, True)
    assert objects(nora) == before
    assert http.get(f"/simple/{project}/").status_code == 404


BAD = {
    "no action": {":action": ""},
    "another action": {":action": "submit"},
    "another protocol": {"protocol_version": "2"},
    "no name": {"name": ""},
    "another name": {"name": "something-else"},
    "no version": {"version": ""},
    "another version": {"version": "2.0"},
    "a version that is none": {"version": "one"},
    "no filetype": {"filetype": ""},
    "another filetype": {"filetype": "sdist"},
    "a relic": {"filetype": "bdist_egg"},
}


@pytest.mark.parametrize("what", BAD)
def test_forms_that_do_not_hang_together(http: httpx.Client, nora: Server, what: str) -> None:
    before = objects(nora)
    answer = upload(http, Release(project="bad-form").wheel(), **BAD[what])
    assert answer.status_code == 400, answer.text
    assert objects(nora) == before


@pytest.mark.parametrize(
    "filename",
    [
        "../bad_name-1.0-py3-none-any.whl",
        "a/bad_name-1.0-py3-none-any.whl",
        "a\\bad_name-1.0-py3-none-any.whl",
        "bad_name-1.0-py3-none-any\x7f.whl",
        "bad_name.whl",
        "bad_name-1.0-py3-none.whl",
        "bad_name-2.0-py3-none-any.whl",
        "other_name-1.0-py3-none-any.whl",
        "bad-name-1.0-py3-none-any.whl",
        "bad_name-1.0-py3-none-any.exe",
        "bad_name-1.0-py3-none-any.egg",
        f"bad_name-1.0-py3-none-{'a' * 300}.whl",
        ".whl",
    ],
)
def test_names_of_files(http: httpx.Client, nora: Server, filename: str) -> None:
    before = objects(nora)
    answer = upload(http, Release(project="bad-name").wheel(), filename=filename)
    assert answer.status_code == 400, answer.text
    assert objects(nora) == before


def test_an_sdist_is_named_as_its_project(http: httpx.Client) -> None:
    built = Release(project="foo_bar").sdist()
    for filename in ("Foo-1.0.tar.gz", "foo-bar-1.0.tar.gz", "Foo_Bar-1.0.tar.gz"):
        assert upload(http, built, filename=filename).status_code == 400


def test_a_release_has_one_sdist(http: httpx.Client, project: str) -> None:
    built = Release(project=project).sdist()
    assert upload(http, built).status_code == 200
    answer = upload(http, built, filename=built.filename.replace(".tar.gz", ".zip"), sha256_digest="")
    assert answer.status_code == 400
    assert built.filename in answer.text


@pytest.mark.parametrize(
    ("first", "second"),
    [("1.0rc1", "1.0.rc1"), ("1.0.rc1", "1.0rc1"), ("1.0", "1.0.0"), ("1.0", "v1.0"), ("1.0+a.b", "1.0+a_b")],
)
def test_a_release_has_one_sdist_however_its_version_is_spelled(
    http: httpx.Client, project: str, first: str, second: str
) -> None:
    one, other = (Release(project=project, version=version).sdist() for version in (first, second))
    assert upload(http, one).status_code == 200
    answer = upload(http, other)
    assert (answer.status_code, one.filename in answer.text) == (400, True)
    assert filenames(http, project) == [one.filename]
    assert upload(http, one, sha256_digest="").status_code == 200, "the same again is no other"
    assert upload(http, Release(project=project, version=first).wheel()).status_code == 200
    assert upload(http, Release(project=project, version="1.0.1").sdist()).status_code == 200


def test_an_sdist_that_comes_while_another_is_on_its_way(
    http: httpx.Client, nora: Server, project: str
) -> None:
    one, other = (Release(project=project, version=version).sdist() for version in ("1.0rc1", "1.0.rc1"))
    body = upload_body(http, one)

    def pieces() -> Iterator[bytes]:
        yield body[:-100]
        with httpx.Client(base_url=nora.url, timeout=30, trust_env=False) as client:
            assert upload(client, other).status_code == 200
        yield body[-100:]

    answer = http.post("/legacy/", headers={"content-type": FORM}, content=pieces())
    assert (answer.status_code, other.filename in answer.text) == (400, True)
    assert filenames(http, project) == [other.filename]


@pytest.mark.parametrize("status", ["archived", "quarantined"])
def test_an_upload_that_began_before_the_project_was_closed(
    http: httpx.Client, nora: Server, project: str, status: str
) -> None:
    first, second = (Release(project=project, version=version).wheel() for version in ("1.0", "2.0"))
    assert upload(http, first).status_code == 200
    before = objects(nora)
    body = upload_body(http, second)

    def pieces() -> Iterator[bytes]:
        yield body[:-100]
        with httpx.Client(base_url=nora.url, timeout=30, trust_env=False) as client:
            assert client.put(f"/pypi/{project}/status", json={"status": status}).is_success
        yield body[-100:]

    answer = http.post("/legacy/", headers={"content-type": FORM}, content=pieces())
    assert (answer.status_code, status in answer.text) == (403, True)
    assert objects(nora) == before


@pytest.mark.parametrize("without", ["METADATA", "WHEEL", "RECORD"])
def test_wheels_that_lack_something(http: httpx.Client, nora: Server, without: str) -> None:
    before = objects(nora)
    answer = upload(http, Release(project="lacks").wheel(without=without))
    assert (answer.status_code, without in answer.text) == (400, True)
    assert objects(nora) == before


def test_a_wheel_of_another_project(http: httpx.Client) -> None:
    built = Release(project="someone-elses").wheel()
    answer = upload(http, built, name="mine", filename="mine-1.0-py3-none-any.whl")
    assert answer.status_code == 400


def test_a_file_without_fields_before_it(http: httpx.Client) -> None:
    answer = http.post("/legacy/", files={"content": ("a-1.0.tar.gz", b"")})
    assert (answer.status_code, "before the file" in answer.text) == (400, True)


def test_no_form(http: httpx.Client) -> None:
    assert http.post("/legacy/", json={}).status_code == 400
    assert http.post("/legacy/", data={"name": "a"}).status_code == 400
    assert http.get("/legacy/").status_code == 405


def test_too_large(nora_server: StartServer) -> None:
    """A declared length is refused at once, another one as soon as it is known."""
    server = nora_server(env={"NORA_PYPI_MAX_FILE_SIZE": "65536"})
    built = Release(project="large", padding=1 << 20).wheel()
    with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
        assert upload(client, built).status_code == 413
        body = upload_body(client, built)
        pieces = (body[start : start + 10_000] for start in range(0, len(body), 10_000))
        assert client.post("/legacy/", headers={"content-type": FORM}, content=pieces).status_code == 413
        assert declared(server, 1 << 33, FORM) == 413
        assert objects(server) == set()
        assert upload(client, Release(project="small").wheel()).status_code == 200
    assert list((server.storage / "tmp").iterdir()) == []


FORM = "multipart/form-data; boundary=b"


def upload_body(client: httpx.Client, built: Built) -> bytes:
    request = client.build_request(
        "POST",
        "/legacy/",
        headers={"content-type": FORM},
        data=built.form(),
        files={"content": (built.filename, built.body)},
    )
    return request.read()


def declared(server: Server, length: int, content_type: str) -> int:
    """The status for an announced body of which nothing is sent."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=30)
    try:
        connection.putrequest("POST", "/legacy/")
        for name, value in (
            ("content-type", content_type),
            ("content-length", str(length)),
            ("expect", "100-continue"),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def objects(server: Server) -> set[str]:
    """The stored objects, and drafts of them."""
    folders = (Path(server.storage, name) for name in ("blobs", "tmp", "uploads"))
    return {path.name for folder in folders for path in folder.rglob("*") if path.is_file()}
