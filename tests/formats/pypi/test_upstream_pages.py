"""Pages of upstreams as they come over the wire: slow, absent, strange, hostile, of several upstreams."""

from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import quote

import httpx
import pytest

from tests.formats.pypi.conftest import Proxy
from tests.formats.pypi.wire import HTML, JSON, filenames, page, upload
from tests.support.answers import NEVER, Answer, document
from tests.support.pypi_index import OLD_HTML, PyPIIndex, huge_page, lying_gzip
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.wheels import Built, Release

PROMISED_SECONDS = 5.0
"""What is cached is answered within, however long an upstream thinks."""

TROUBLES = {
    "slow": Answer(delay=20),
    "silent": Answer(delay=NEVER),
    "429": Answer(status=429, headers={"retry-after": "60"}),
    "500": Answer(status=500),
    "504": Answer(status=504),
    "no http": Answer(raw=b"220 ftp\r\n"),
    "a page that is none": document(b"<h1>Sign in</h1>", "text/html"),
}


@pytest.mark.slow
@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_copy_is_there_in_time(proxy: Proxy, upstream: Upstream, index: PyPIIndex, trouble: str) -> None:
    built = Release(project="here").wheel()
    index.add(built)
    http = proxy(NORA_PYPI_METADATA_TTL="0")
    assert filenames(http, "here") == [built.filename]
    assert http.get(f"/simple/here/{built.filename}").content == built.body
    upstream.fault = TROUBLES[trouble]
    for accept in (JSON, HTML):
        answer = http.get("/simple/here/", headers={"accept": accept}, timeout=PROMISED_SECONDS)
        assert (answer.status_code, answer.headers["x-nora-stale"]) == (200, "true")
        assert built.filename in answer.text
    assert http.get(f"/simple/here/{built.filename}", timeout=PROMISED_SECONDS).content == built.body


def test_an_absence_is_remembered_until_somebody_publishes(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex
) -> None:
    http = proxy(workers=2, NORA_PROXY_ABSENT_TTL="3600")
    for _ in range(4):
        for path in ("/simple/new/", "/simple/New/", "/simple/new/new-1.0.tar.gz"):
            assert http.get(path, follow_redirects=True).status_code == 404
    assert upstream.log.paths() == ["/simple/new/"]
    built = Release(project="New").wheel()
    assert upload(http, built).status_code == 200
    for _ in range(8):  # whichever worker answers
        with httpx.Client(base_url=http.base_url, timeout=30, trust_env=False) as client:
            assert filenames(client, "new") == [built.filename]
            assert client.get(f"/simple/new/{built.filename}").content == built.body
    assert upstream.log.paths() == ["/simple/new/"]


# -- several upstreams -----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Answer(status=500), Answer(status=403), Answer(raw=b"")], ids=repr)
def test_what_one_that_fails_may_have_is_asked_of_nobody_else(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex, fault: Answer
) -> None:
    """Who can make it fail must not choose whose files are installed. What it says it lacks, the next has."""
    only = Release(project="only").wheel()
    upstream.fault = fault
    with running_upstream() as other:
        more = PyPIIndex()
        more.add(only)
        more.mount(other)
        http = proxy(
            NORA_PYPI_PROXIES=f"{upstream.url}/simple,{other.url}/simple|reader:secret",
            NORA_PROXY_RETRIES="0",
            NORA_CB_ENABLED="false",
        )
        paths = [f"/simple/only/{name}" for name in ("", only.filename, f"{only.filename}.metadata")]
        for path in (*paths, "/pypi/only/json"):
            answer = http.get(path)
            assert answer.status_code in (502, 503), path
            assert "127.0.0.1" in answer.text, "it says who failed"
        assert other.log.requests == []
        upstream.fault = None
        assert filenames(http, "only") == [only.filename]
        assert [http.get(path).status_code for path in paths] == [200, 200, 200]
        assert all("authorization" not in one.headers for one in upstream.log.requests)
        assert all(one.headers["authorization"].startswith("Basic ") for one in other.log.requests)


# -- pages as HTML ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Link:
    """How a page links to a file: `{origin}`, `{path}`, `{name}` (of it, quoted), `{sha256}`, `{md5}`."""

    anchor: str
    head: str = "<title>Links for some</title>"


LINKS = {
    "absolute": Link('<a href="{origin}{path}#sha256={sha256}">x</a>'),
    "of the root": Link('<a href="{path}#sha256={sha256}">x</a>'),
    "relative": Link('<a href="../..{path}#sha256={sha256}">x</a>'),
    "of a base": Link(
        '<a href="x/../{name}">x</a>', '<title>Links for</title><base href="{origin}{folder}/">'
    ),
    "of a relative base": Link('<a href="{name}">x</a>', '<title>Links for</title><base href="{folder}/">'),
    "in single quotes": Link("<A HREF='{path}#sha256={sha256}' data-yanked=''>x</A>"),
    "without quotes": Link("<a href={path}#sha256={sha256}>x</a>"),
    "with a query": Link('<a rel="x" href="{path}?a=1&amp;b=2#sha256={sha256}">x</a>'),
    "without a hash": Link('<a href="{path}">x</a>'),
    "with an old hash": Link('<a href="{path}#md5={md5}">x</a>'),
}


@pytest.mark.parametrize("kind", LINKS)
def test_however_a_page_links(proxy: Proxy, upstream: Upstream, index: PyPIIndex, kind: str) -> None:
    built = Release(project="some", version="1.0+local.2", requires_python=">=3.8").wheel()
    assert "+" in built.filename
    index.add(built)
    path = index.path_of(built.filename)
    folder, _, name = path.rpartition("/")
    assert name == quote(built.filename)
    values = {"origin": upstream.url, "path": path, "folder": folder, "name": name, "sha256": built.sha256}
    values["md5"] = hashlib.md5(built.body).hexdigest()
    link = LINKS[kind]
    text = f"<html><head>{link.head}</head><body>{link.anchor}</body></html>".format(**values)
    upstream.serve("/simple/some/", document(text.encode(), OLD_HTML))
    http = proxy()
    (file,) = page(http, "some")["files"]
    assert file["filename"] == built.filename
    assert file["hashes"] == ({"sha256": built.sha256} if "sha256" in link.anchor else file["hashes"])
    assert isinstance(file["hashes"], dict)
    assert http.get(f"/simple/some/{name}").content == built.body
    assert http.get(f"/simple/some/{built.filename}").content == built.body


def test_pages_that_cannot_be_used(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    """Each is 502, or 503 where it may be whole the next time; and the next one that can be used is."""
    built = Release(project="page").wheel()
    index.add(built)
    good, text = index.page("page", JSON), index.page("page", OLD_HTML)
    assert isinstance(text.body, bytes)
    http = proxy(NORA_PYPI_MAX_INDEX_SIZE="1048576", NORA_PROXY_RETRIES="0")
    bad = {
        "404 page with 200": document(b"<html><title>404</title><h1>Not found</h1></html>", "text/html"),
        "a login": document(b"<form action='/login'><a href='/help'>x</a></form>", "text/html"),
        "gzip lies": lying_gzip(good),
        "half of gzip": good.plus(content_encoding="gzip").but(body=b"\x1f\x8b\x08\0\0\0\0\0\0\3KL"),
        "an encoding that nobody asked for": good.plus(content_encoding="x-unknown"),
        "huge": huge_page(good, 2 << 20),
        "huge, of unknown length": huge_page(good, 2 << 20).but(framing="chunked"),
        "empty": good.but(body=b""),
        "another version": document(b'{"meta": {"api-version": "2.0"}, "name": "page", "files": []}', JSON),
        "cut": good.but(cut=40),
        "cut where only its end could tell": text.but(cut=text.body.index(b"</body>"), framing="close"),
    }
    for what, answer in bad.items():
        upstream.serve("/simple/page/", answer)
        found = http.get("/simple/page/", headers={"accept": JSON})
        is_cut = what in ("cut", "half of gzip")
        assert found.status_code == (503 if is_cut else 502), (what, found.text)
        assert len(found.content) < 1000
    upstream.serve("/simple/page/", text.but(framing="close"))
    assert filenames(http, "page") == [built.filename], "the end is there"


# -- hostile pages ---------------------------------------------------------------------------------------


EVIL = (
    '"><script>alert(1)</script>',
    "'\"&<>",
    "a\nb\r\nset-cookie: x=1",
    "\u2028\u2029\x85",
    "\x00\x1b",
    "</a></body><!--",
    "{{7*7}}]]>",
)


class Seen(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "a":
            self.links.append(dict(attrs))

    def handle_comment(self, data: str) -> None:
        self.tags.add("comment")


def evil_file(built: Built, url: str, evil: str, **more: object) -> dict[str, object]:
    return {
        "filename": built.filename,
        "url": url,
        "hashes": {"sha256": built.sha256},
        "yanked": f"broken {evil}",
        "requires-python": None,
        "size": len(built.body),
        "upload-time": "2024-01-01T00:00:00Z",
        **more,
    }


@pytest.mark.parametrize("evil", EVIL)
def test_what_an_upstream_cannot_inject(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex, evil: str
) -> None:
    built, other = (Release(project="evil", version=version).wheel() for version in ("1.0", "2.0"))
    index.add(built)
    url = upstream.url + index.path_of(built.filename)
    files = [
        evil_file(built, url, evil),
        evil_file(other, url, evil, **{"requires-python": evil}),
        evil_file(other, url, evil, filename=f"evil-{evil}-1.0.tar.gz"),
        evil_file(other, f"{url}/{evil}", evil, filename="evil-3.0.tar.gz", provenance=f"https://x/{evil}"),
        evil_file(other, url, evil, filename="evil-4.0.tar.gz", hashes={"sha256": evil, evil: "0" * 64}),
        evil_file(other, url, evil, filename="evil-5.0.tar.gz", **{"upload-time": evil}),
    ]
    said = {
        "meta": {"api-version": "1.4"},
        "name": "evil",
        "versions": ["1.0", evil],
        "files": files,
        "project-status": {"status": "deprecated", "reason": evil},
    }
    upstream.serve("/simple/evil/", document(json.dumps(said).encode(), JSON).plus(x_evil="a"))
    http = proxy()
    found = page(http, "evil")
    assert found["name"] == "evil"
    assert built.filename in [file["filename"] for file in found["files"]]
    for file in found["files"]:
        assert not set(file["filename"]) & set("<>\"'\n\r\0/")
        assert file["url"] == quote(file["filename"], safe="+") or file["url"] == file["filename"]
    for accept in (HTML, OLD_HTML):
        answer = http.get("/simple/evil/", headers={"accept": accept})
        seen = Seen(answer.text)
        assert seen.tags <= {"html", "head", "meta", "title", "body", "h1", "a", "br"}
        assert len(seen.links) == len(found["files"])
        assert "<script" not in answer.text
        for link in seen.links:
            assert set(link) <= {
                "href",
                "data-yanked",
                "data-requires-python",
                "data-core-metadata",
                "data-dist-info-metadata",
                "data-provenance",
            }
    for path, method in itertools.product(
        ("/simple/evil/", f"/simple/evil/{quote(evil, safe='')}", f"/simple/{quote(evil, safe='')}/"),
        ("GET", "HEAD"),
    ):
        for name, value in http.request(method, path).headers.multi_items():
            assert "cookie" not in name.lower(), value
            assert not set(value) & set("\r\n\0")


def test_what_an_uploader_cannot_inject(proxy: Proxy, index: PyPIIndex) -> None:
    http = proxy()
    for number, evil in enumerate(EVIL):
        name = f"own-{number}"
        wheel = Release(project=name).wheel()
        assert upload(http, wheel, summary=evil, license=evil).status_code == 200
        for wrong in ({"name": f"own{evil}-{number}"}, {"version": f"1{evil}.0"}, {"filetype": evil}):
            refused = upload(http, wheel, **wrong)
            assert refused.status_code == 400
            assert refused.headers["content-type"] == "text/plain; charset=utf-8"
        assert http.post(f"/pypi/{name}/1.0/yank", json={"reason": f"x{evil}"}).status_code == 200
        status = {"status": "deprecated", "reason": f"x{evil}"}
        assert http.put(f"/pypi/{name}/status", json=status).status_code == 200
        text = http.get(f"/simple/{name}/").text
        assert Seen(text).tags == {"html", "head", "meta", "title", "body", "h1", "a", "br"}
        assert page(http, name)["files"][0]["yanked"]
        assert http.get(f"/pypi/{name}/json").json()["info"]["name"]


# -- statuses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["archived", "quarantined", "deprecated"])
@pytest.mark.parametrize("is_hosted", [True, False], ids=["hosted", "proxied"])
def test_statuses(proxy: Proxy, index: PyPIIndex, is_hosted: bool, status: str) -> None:
    built = Release(project="status").wheel()
    http = proxy()
    if is_hosted:
        assert upload(http, built).status_code == 200
        wish = {"status": status, "reason": "because"}
        assert http.put("/pypi/status/status", json=wish).status_code == 200
    else:
        index.add(built)
        index.projects["status"].status, index.projects["status"].reason = status, "because"
    expected = [] if status == "quarantined" else [built.filename]
    found = page(http, "status")
    assert found["project-status"] == {"status": status, "reason": "because"}
    assert [file["filename"] for file in found["files"]] == expected
    for accept in (HTML, OLD_HTML):
        text = http.get("/simple/status/", headers={"accept": accept}).text
        assert f'<meta name="pypi:project-status" content="{status}">' in text
        assert [link["href"] for link in Seen(text).links] == [f"{n}#sha256={built.sha256}" for n in expected]
    for end in ("", ".metadata"):
        answer = http.get(f"/simple/status/{built.filename}{end}")
        assert (answer.status_code == 200) == bool(expected), answer.text
        assert answer.status_code in (200, 403, 404)
    if is_hosted:
        for newer in (Release(project="status", version="2.0").wheel(), built):
            answer = upload(http, newer)
            assert answer.status_code == (200 if status == "deprecated" else 403), answer.text


# -- a very long page ------------------------------------------------------------------------------------


def stored(http: httpx.Client) -> dict[str, str]:
    """The numbers of the metrics that grow with what is read, or asked of an upstream."""
    lines = http.get("/metrics").text.splitlines()
    names = ("nora_storage_operations_total", "nora_upstream_requests_total")
    return dict(line.rsplit(" ", 1) for line in lines if line.startswith(names))


def test_a_hit_of_a_very_long_page(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    """Eleven thousand files: no look into the store, none at any file, and no request."""
    names = [f"long-{number}.0-py3-none-any.whl" for number in range(11_000)]
    files = [
        {
            "filename": name,
            "url": f"{upstream.url}/files/{name}",
            "hashes": {"sha256": f"{number:064x}"},
            "core-metadata": {"sha256": f"{number + 1:064x}"},
            "size": number,
            "upload-time": "2024-01-02T03:04:05Z",
        }
        for number, name in enumerate(names)
    ]
    said = {"meta": {"api-version": "1.4"}, "name": "long", "files": files, "versions": []}
    upstream.serve("/simple/long/", document(json.dumps(said).encode(), JSON))
    http = proxy(NORA_PYPI_METADATA_TTL="3600")
    variants = list(itertools.product((JSON, OLD_HTML), ("identity", "gzip", "zstd")))
    bodies: dict[str, set[bytes]] = {JSON: set(), OLD_HTML: set()}
    for accept, encoding in variants:
        answer = http.get("/simple/long/", headers={"accept": accept, "accept-encoding": encoding})
        assert answer.headers.get("content-encoding", "identity") == encoding
        bodies[accept].add(answer.content)
    assert all(len(found) == 1 for found in bodies.values())
    assert [file["filename"] for file in page(http, "long")["files"]] == names
    before = stored(http)
    assert before
    for accept, encoding in variants * 3:
        headers = {"accept": accept, "accept-encoding": encoding}
        answer = http.get("/simple/long/", headers=headers)
        assert answer.content in bodies[accept]
        headers |= {"if-none-match": answer.headers["etag"]}
        assert http.get("/simple/long/", headers=headers).status_code == 304
        assert http.head("/simple/long/", headers=headers).status_code == 304
    assert stored(http) == before
    assert upstream.log.paths() == ["/simple/long/"]
