"""What is the same for projects that are hosted and projects of an upstream: variants and validators."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
import zstandard

from tests.formats.pypi.conftest import Place
from tests.formats.pypi.wire import HTML, JSON, page, put_release, raw, upload
from tests.support.waiting import wait_until
from tests.support.wheels import Built, Release

ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.decompress,
    "zstd": zstandard.decompress,
}
TEXT = "text/html"
UTC_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
PASSING = {"date", "x-request-id", "cache-control"}
"""Headers that differ from one answer to the next: a page of an upstream has an age."""


def comparable(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name not in PASSING}


def test_each_variant_has_its_validator(place: Place, put: Callable[[Built], None], project: str) -> None:
    put_release(put, project)
    path, etags = f"/simple/{project}/", set[str]()
    for media_type, (encoding, decoded) in itertools.product((JSON, HTML, TEXT), ENCODINGS.items()):
        plain = raw(place.http, path, accept=media_type)[1]
        said = {"accept": media_type, "accept_encoding": encoding}
        head, nothing = raw(place.http, path, "HEAD", **said)
        answer, body = raw(place.http, path, **said)
        assert (answer.status_code, nothing, decoded(body)) == (200, b"", plain)
        assert comparable(head) == comparable(answer)
        assert answer.headers.get("content-encoding", "identity") == encoding
        assert answer.headers["content-type"].partition(";")[0] == media_type
        etag = answer.headers["etag"]
        etags.add(etag)
        for known in (etag, f'"other", W/{etag}', "*"):
            for method in ("GET", "HEAD"):
                unchanged, nothing = raw(place.http, path, method, **said, if_none_match=known)
                assert (unchanged.status_code, nothing) == (304, b"")
                assert unchanged.headers["etag"] == etag
                assert unchanged.headers["vary"] == "Accept, Accept-Encoding"
                assert unchanged.headers["cache-control"]
                assert unchanged.headers["date"]
        assert raw(place.http, path, **said, if_none_match='"other"')[0].status_code == 200
    assert len(etags) == 9


def test_what_was_changed_has_other_validators(
    place: Place, put: Callable[[Built], None], project: str
) -> None:
    variants = list(itertools.product((JSON, HTML, TEXT), ENCODINGS))

    def etags() -> set[str]:
        return {
            raw(place.http, f"/simple/{project}/", accept=kind, accept_encoding=encoding)[0].headers["etag"]
            for kind, encoding in variants
        }

    put_release(put, project)
    before = etags()
    put(Release(project=project, version="2.0").wheel())
    place.http.post(f"/pypi/{project}/refresh", json={})
    assert before.isdisjoint(etags())
    assert len(before) == len(variants)


def test_head_of_files_is_their_get(place: Place, put: Callable[[Built], None], project: str) -> None:
    """Before the file is here as after it."""
    wheel = put_release(put, project)
    path = f"/simple/{project}/{wheel.filename}"
    for target, body in ((path, wheel.body), (f"{path}.metadata", wheel.metadata)):
        for encoding in ("identity", "gzip, zstd"):
            before = raw(place.http, target, "HEAD", accept_encoding=encoding)[0]
            answer, found = raw(place.http, target, accept_encoding=encoding)
            after, nothing = raw(place.http, target, "HEAD", accept_encoding=encoding)
            assert (answer.status_code, found, nothing) == (200, body, b"")
            assert comparable(before) == comparable(answer) == comparable(after)
            assert answer.headers["cache-control"] == before.headers["cache-control"]
            assert answer.headers["cache-control"] == "public, max-age=365000000, immutable"
            assert "content-encoding" not in answer.headers
            assert int(answer.headers["content-length"]) == len(body)
        etag = answer.headers["etag"]
        assert etag == f'"{hashlib.sha256(body).hexdigest()}"'
        for method in ("GET", "HEAD"):
            unchanged, nothing = raw(place.http, target, method, if_none_match=etag)
            assert (unchanged.status_code, nothing, unchanged.headers["etag"]) == (304, b"", etag)


@pytest.mark.parametrize(
    ("accept", "query", "media_type"),
    [
        (None, "", TEXT),
        ("", "", TEXT),
        ("*/*", "", TEXT),
        (JSON, "", JSON),
        (HTML, "", HTML),
        ("application/vnd.pypi.simple.latest+json", "", JSON),
        ("application/vnd.pypi.simple.latest+html", "", HTML),
        (f"{JSON};q=0.1, {HTML};q=0.2, text/html;q=0.3", "", TEXT),
        (f"{JSON};q=0.3, {HTML};q=0.2, text/html;q=0.1", "", JSON),
        (f"{JSON};q=0, {HTML}", "", HTML),
        ("image/png", "", None),
        ("application/json", "", JSON),
        ("application/json, text/plain, */*", "", JSON),
        ("image/png", f"?format={JSON}", JSON),
        (JSON, f"?format={HTML.replace('+', '%2B')}", HTML),
        (JSON, "?format=text/html", TEXT),
        (JSON, "?format=image/png", None),
    ],
)
@pytest.mark.parametrize("what", ["page", "list"])
def test_negotiation(place: Place, accept: str | None, query: str, media_type: str | None, what: str) -> None:
    place.index.add(Release(project="negotiated").wheel())
    path = f"/simple/{'negotiated/' if what == 'page' else ''}{query}"
    request = place.http.build_request("GET", path)
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    answer = place.http.send(request)
    if media_type is None:
        assert answer.status_code == 406
        assert JSON in answer.text, "what there is is said"
    else:
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == media_type
    assert "accept" in [word.strip().lower() for word in answer.headers["vary"].split(",")]


class Strict(HTMLParser):
    """A page as HTML5: what is opened is closed, and the attributes of its links."""

    VOID = ("meta", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[dict[str, str | None]] = []
        self.open: list[str] = []
        self.doctype = ""
        self.feed(text)
        self.close()
        assert (self.open, self.doctype.lower()) == ([], "doctype html")

    def handle_decl(self, decl: str) -> None:
        self.doctype = decl

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        if tag == "a":
            self.links.append(dict(attrs))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def check_json(found: dict[str, Any]) -> None:
    """As PEP 691, 700 and 714 have it, and uv insists on."""
    assert re.fullmatch(r"1\.\d+", found["meta"]["api-version"])
    is_newer = found["meta"]["api-version"] != "1.0"
    assert sorted(set(found["versions"])) == sorted(found["versions"])
    for file in found["files"]:
        assert isinstance(file["hashes"], dict)
        assert all(SHA256.fullmatch(value) for value in file["hashes"].values())
        assert isinstance(file["yanked"], bool) or file["yanked"]
        assert file["core-metadata"] == file.get("dist-info-metadata", False)
        assert isinstance(file.get("size", 0), int)
        assert "size" in file or not is_newer
        assert UTC_TIME.fullmatch(file.get("upload-time", "2024-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    "poor",
    [
        {},
        {"hashes": False},
        {"size": False},
        {"upload_time": None},
        {"upload_time": "2024-01-02 03:04:05+02:00"},
        {"json": False},
    ],
    ids=str,
)
def test_pages_are_valid_however_poor_the_upstream_is(
    place: Place, project: str, poor: dict[str, Any]
) -> None:
    wheel = Release(project=project, requires_python=">=3.8,<4").wheel()
    place.index.json = poor.get("json", True)
    try:
        place.index.add(wheel, **{name: value for name, value in poor.items() if name != "json"})
        found = page(place.http, project)
    finally:
        place.index.json = True
    check_json(found)
    assert [file["filename"] for file in found["files"]] == [wheel.filename]
    assert found["versions"] == ["1.0"]
    text = place.http.get(f"/simple/{project}/", headers={"accept": TEXT}).text
    assert 'data-requires-python="&gt;=3.8,&lt;4"' in text
    (link,) = Strict(text).links
    assert link["data-requires-python"] == ">=3.8,<4"
    metadata = f"sha256={hashlib.sha256(wheel.metadata).hexdigest()}"
    assert link["data-core-metadata"] == link["data-dist-info-metadata"] == metadata


def test_hosted_pages_are_valid(place: Place, project: str) -> None:
    for built in (Release(project=project).wheel(), Release(project=project, version="2.0+local").sdist()):
        assert upload(place.http, built).status_code == 200
    found = page(place.http, project)
    check_json(found)
    assert found["meta"]["api-version"] == "1.4"
    links = Strict(place.http.get(f"/simple/{project}/").text).links
    assert len(links) == len(found["files"]) == 2
    listed = place.http.get("/simple/", headers={"accept": JSON}).json()
    assert listed["meta"]["api-version"].startswith("1.")
    assert {"name": project} in listed["projects"]
    assert f"{project}/" in [link["href"] for link in Strict(place.http.get("/simple/").text).links]


def test_one_project_however_it_is_spelled(place: Place, project: str) -> None:
    """And the upstream hears of one."""
    wheel = Release(project=project).wheel()
    place.index.add(wheel)
    for name in (project.upper(), project.replace("-", "_"), project.replace("-", "-._")):
        answer = place.http.get(f"/simple/{name}/", follow_redirects=True)
        assert (answer.status_code, answer.url.path) == (200, f"/simple/{project}/")
        assert answer.history[0].status_code == 301
        assert place.http.get(f"/simple/{name}/{wheel.filename}").content == wheel.body
    asked = [path for path in place.up.log.paths() if project.partition("-")[0] in path.lower()]
    pages = {path for path in place.up.log.paths() if path.startswith("/simple/") and project[:20] in path}
    assert asked
    assert pages == {f"/simple/{project}/"}


@pytest.mark.slow
def test_all_core_metadata_is_what_is_announced(place: Place, project: str) -> None:
    """Two hundred files: hosted; of an upstream that has their core metadata; of one that only says so."""
    kinds = {"hosted": 70, "proxied": 70, "promised": 60}
    count = 0
    for kind, number in kinds.items():
        name = f"{kind}-{project}"
        for minor in range(number):
            wheel = Release(project=name, version=f"1.{minor}", summary=f"{kind} {minor}").wheel()
            if kind == "hosted":
                assert upload(place.http, wheel).status_code == 200
            else:
                place.index.add(wheel, serves_metadata=kind == "proxied")
        for file in page(place.http, name)["files"]:
            answer = place.http.get(f"/simple/{name}/{file['filename']}.metadata")
            assert answer.status_code == 200
            assert hashlib.sha256(answer.content).hexdigest() == file["core-metadata"]["sha256"]
            count += 1
    assert count == 200


def test_all_core_metadata_of_what_came_in_at_once_is_announced(place: Place, project: str) -> None:
    """By an upstream that offers none: after the wheels are here, the page offers that of each."""
    wheels = [Release(project=project, version=f"1.{minor}").wheel() for minor in range(40)]
    place.index.add(*wheels, metadata=False)
    assert {file["core-metadata"] for file in page(place.http, project)["files"]} == {False}
    with ThreadPoolExecutor(20) as pool:
        paths = [f"/simple/{project}/{wheel.filename}" for wheel in wheels]
        assert [answer.content for answer in pool.map(place.http.get, paths)] == [one.body for one in wheels]

    def unknown() -> list[str]:
        return [one["filename"] for one in page(place.http, project)["files"] if not one["core-metadata"]]

    # A client may have all of a file a moment before it is looked into.
    wait_until(lambda: not unknown(), "the core metadata of all", seen=unknown)
    found = page(place.http, project)["files"]
    told = {file["filename"]: file["core-metadata"] for file in found}
    expected = {one.filename: {"sha256": hashlib.sha256(one.metadata).hexdigest()} for one in wheels}
    assert told == expected


def test_who_uploads_a_name_that_an_upstream_serves_is_told(place: Place, project: str) -> None:
    wheel = Release(project=project).wheel()
    place.index.add(wheel)
    page(place.http, project)
    answer = upload(place.http, Release(project=project, version="2.0").wheel())
    assert (answer.status_code, answer.text.startswith("OK\nwarning: ")) == (200, True)
    assert f"{place.up.url}/simple" in answer.text
    assert upload(place.http, Release(project=f"own-{project}").wheel()).text == "OK\n"
