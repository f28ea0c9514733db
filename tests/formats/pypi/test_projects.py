"""Pages of hosted projects on the wire: negotiation, variants, validators, redirects, the list."""

from __future__ import annotations

import gzip
from html.parser import HTMLParser

import httpx
import pytest
import zstandard

from tests.formats.pypi.wire import HTML, JSON, filenames, page, raw, upload
from tests.support.wheels import Release

ENCODINGS = {"identity": lambda body: body, "gzip": gzip.decompress, "zstd": zstandard.decompress}


@pytest.fixture
def published(http: httpx.Client, project: str) -> str:
    """A project with a wheel and an sdist."""
    release = Release(project=project, requires_python=">=3.8")
    for built in (release.wheel(), release.sdist()):
        assert upload(http, built).status_code == 200
    return f"/simple/{project}/"


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (JSON, JSON),
        (HTML, f"{HTML}; charset=utf-8"),
        ("text/html", "text/html; charset=utf-8"),
        ("*/*", "text/html; charset=utf-8"),
        ("application/vnd.pypi.simple.latest+json", JSON),
        (f"{JSON}, {HTML};q=0.2, text/html;q=0.01", JSON),
        (f"{JSON};q=0.1, {HTML}", f"{HTML}; charset=utf-8"),
        (f"{JSON}, */*;q=0.1", JSON),
    ],
)
def test_negotiation(http: httpx.Client, published: str, accept: str, media_type: str) -> None:
    answer = http.get(published, headers={"accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
    assert answer.headers["vary"] == "Accept, Accept-Encoding"
    assert answer.headers["cache-control"] == "no-cache"


def test_several_accept_fields_are_one_list(http: httpx.Client, published: str) -> None:
    answer = http.get(published, headers=[("accept", f"{HTML};q=0.2"), ("accept", JSON)])
    assert answer.headers["content-type"] == JSON


def test_nothing_acceptable(http: httpx.Client, published: str) -> None:
    assert http.get(published, headers={"accept": "image/png"}).status_code == 406
    answer = http.get(f"{published}?format={JSON}", headers={"accept": "image/png"})
    assert answer.headers["content-type"] == JSON


def test_variants_are_one_page_with_an_etag_each(http: httpx.Client, published: str) -> None:
    etags = set()
    for media_type in (JSON, HTML, "text/html"):
        plain = raw(http, published, accept=media_type)[1]
        for encoding, decoded in ENCODINGS.items():
            answer, body = raw(http, published, accept=media_type, accept_encoding=encoding)
            assert answer.headers.get("content-encoding", "identity") == encoding
            assert int(answer.headers["content-length"]) == len(body)
            assert decoded(body) == plain
            etag = answer.headers["etag"]
            etags.add(etag)
            again, nothing = raw(
                http, published, accept=media_type, accept_encoding=encoding, if_none_match=etag
            )
            assert (again.status_code, nothing, again.headers["etag"]) == (304, b"", etag)
            assert again.headers["vary"] == "Accept, Accept-Encoding"
            assert "cache-control" in again.headers
            head, nothing = raw(http, published, "HEAD", accept=media_type, accept_encoding=encoding)
            assert nothing == b""
            assert comparable(head) == comparable(answer)
    assert len(etags) == 9


def comparable(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}


def test_every_change_shows(http: httpx.Client, project: str, published: str) -> None:
    before = http.get(published, headers={"accept": JSON}).headers["etag"]
    assert upload(http, Release(project=project, version="2.0").wheel()).status_code == 200
    answer = http.get(published, headers={"accept": JSON, "if-none-match": before})
    assert answer.status_code == 200
    assert answer.json()["versions"] == ["1.0", "2.0"]


def test_html_has_what_clients_read(http: httpx.Client, project: str, published: str) -> None:
    seen: list[dict[str, str | None]] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "a":
                seen.append(dict(attrs))

    Links().feed(http.get(published, headers={"accept": "text/html"}).text)
    (wheel,) = [link for link in seen if ".whl" in (link["href"] or "")]
    (sdist,) = [link for link in seen if ".tar.gz" in (link["href"] or "")]
    file = next(one for one in page(http, project)["files"] if one["filename"].endswith(".whl"))
    assert wheel["href"] == f"{file['filename']}#sha256={file['hashes']['sha256']}"
    metadata = f"sha256={file['core-metadata']['sha256']}"
    assert wheel["data-core-metadata"] == wheel["data-dist-info-metadata"] == metadata
    assert wheel["data-requires-python"] == sdist["data-requires-python"] == ">=3.8"
    assert "data-core-metadata" not in sdist


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("/simple/Foo.Bar--baz/", "../foo-bar-baz/"),
        ("/simple/foo", "foo/"),
        ("/simple/Foo_", None),
        ("/simple/A._b", "a-b/"),
        ("/simple/A._b?format=x", "a-b/?format=x"),
        ("/simple", "simple/"),
        ("/r/pypi-hosted/simple/Foo/", "../foo/"),
        ("/r/pypi-hosted/simple", "simple/"),
    ],
)
def test_redirects(http: httpx.Client, path: str, location: str | None) -> None:
    answer = http.get(path)
    assert answer.status_code == (301 if location else 400)
    assert answer.headers.get("location") == location
    assert http.head(path).status_code == answer.status_code


def test_one_project_however_it_is_spelled(http: httpx.Client) -> None:
    built = Release(project="Spelled.One").wheel()
    assert upload(http, built, name="spelled__ONE").status_code == 200
    assert filenames(http, "spelled-one") == [built.filename]
    assert http.get(f"/simple/SPELLED_one/{built.filename}").content == built.body


@pytest.mark.parametrize(
    "path",
    [
        "/simple/..%2f..%2fetc%2fpasswd/",
        "/simple/foo/..%2f..%2fx",
        "/simple/foo/%2e%2e",
        "/simple/%252e%252e/",
        "/simple/foo/%00",
        "/simple/foo%00/",
        "/simple/foo/x%5c..%5cy.whl",
        "/simple/%zz/",
        "/simple/%ff/",
        "/simple//",
        "/simple/foo//",
        "/simple/foo/bar/baz",
        "/pypi/a/b/c/d",
        "/legacy/x",
        "/r/nowhere/simple/",
        "/r/docker-hosted/simple/",
        "/r/pypi-hosted/",
        "/integrity/a/1/b",
    ],
)
def test_paths_that_lead_nowhere(http: httpx.Client, path: str) -> None:
    with http.stream("GET", httpx.URL(str(http.base_url)).copy_with(raw_path=path.encode())) as answer:
        assert answer.status_code in (400, 404), path


def test_methods(http: httpx.Client) -> None:
    call = b"<?xml version='1.0'?><methodCall><methodName>search</methodName></methodCall>"
    for path in ("/pypi", "/pypi/"):
        answer = http.post(path, content=call, headers={"content-type": "text/xml"}, timeout=5)
        assert (answer.status_code, answer.headers["content-type"]) == (405, "text/plain; charset=utf-8")
        assert http.post(path).status_code == 405
    assert http.put("/simple/").headers["allow"] == "GET, HEAD, POST"
    assert http.delete("/simple/foo/").headers["allow"] == "GET, HEAD"


def test_files(http: httpx.Client, project: str) -> None:
    built = Release(project=project, padding=100_000).wheel()
    assert upload(http, built).status_code == 200
    path = f"/simple/{project}/{built.filename}"
    answer, body = raw(http, path, accept_encoding="gzip, zstd")
    assert body == built.body
    assert "content-encoding" not in answer.headers
    assert answer.headers["etag"] == f'"{built.sha256}"'
    assert answer.headers["cache-control"] == "public, max-age=365000000, immutable"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes"
    head = raw(http, path, "HEAD")[0]
    assert comparable(head) == comparable(answer)
    part, body = raw(http, path, range="bytes=-100")
    assert (part.status_code, body) == (206, built.body[-100:])
    assert raw(http, path, range=f"bytes={len(built.body)}-")[0].status_code == 416
    assert raw(http, path, if_none_match=answer.headers["etag"])[0].status_code == 304
    assert http.get(f"{path}.asc").status_code == 404
    assert http.get(f"{path}.provenance").status_code == 404
    assert http.get(f"/simple/{project}/{built.filename.replace('1.0', '2.0')}").status_code == 404


def test_the_list(http: httpx.Client, project: str, published: str) -> None:
    answer = http.get("/simple/", headers={"accept": JSON})
    assert {"name": project} in answer.json()["projects"]
    assert answer.headers["cache-control"].endswith("max-age=60")
    etag = answer.headers["etag"]
    assert http.get("/simple/", headers={"accept": JSON, "if-none-match": etag}).status_code == 304
    assert f'<a href="{project}/">' in http.get("/simple/").text


def test_injection(http: httpx.Client, project: str, published: str) -> None:
    """What people write stays text."""
    reason = "\"><script>alert(1)</script>\u2028\n'&"
    assert http.post(f"/pypi/{project}/1.0/yank", json={"reason": reason}).status_code == 200
    text = http.get(published, headers={"accept": "text/html"}).text
    assert "<script>" not in text
    assert all(isinstance(file["yanked"], str) for file in page(http, project)["files"])
