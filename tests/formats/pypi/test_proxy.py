"""Projects of an upstream through `/simple/`: pages, files, core metadata, and an upstream in trouble."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import httpx
import orjson
import pytest

from nora.blobs.layout import Layout
from tests.formats.pypi.conftest import Proxy
from tests.formats.pypi.wire import JSON, filenames, page, upload
from tests.support.answers import Answer, absent, document
from tests.support.pypi_index import PyPIIndex
from tests.support.server import Server
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.waiting import wait_until
from tests.support.wheels import Release


def test_one_request_each(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    built = Release(project="Foo.Bar", requires_python=">=3.8", padding=200_000).wheel()
    index.add(built)
    http = proxy()
    for _ in range(2):
        (file,) = page(http, "foo-bar")["files"]
        assert file["url"] == file["filename"] == built.filename
        assert file["hashes"] == {"sha256": built.sha256}
        assert file["requires-python"] == ">=3.8"
        assert file["upload-time"] == "2024-01-02T03:04:05.678901Z"
        assert http.get(f"/simple/foo-bar/{built.filename}.metadata").content == built.metadata
        answer = http.get(f"/simple/foo-bar/{built.filename}")
        assert answer.content == built.body
        assert answer.headers["etag"] == f'"{built.sha256}"'
    assert sorted(upstream.log.paths()) == sorted(
        ["/simple/foo-bar/", index.path_of(built.filename), index.path_of(built.filename) + ".metadata"]
    )


def test_what_clients_may_keep(proxy: Proxy, index: PyPIIndex) -> None:
    index.add(Release(project="kept").wheel())
    http = proxy()
    answer = http.get("/simple/kept/", headers={"accept": JSON})
    scope, _, age = answer.headers["cache-control"].partition(", max-age=")
    assert scope == "public"
    assert 40 < int(age) <= 66
    assert "x-nora-stale" not in answer.headers
    etag = answer.headers["etag"]
    assert http.get("/simple/kept/", headers={"accept": JSON, "if-none-match": etag}).status_code == 304


def test_old_upstreams(proxy: Proxy, index: PyPIIndex) -> None:
    """HTML only, without core metadata: after the first download of a wheel its core metadata is offered."""
    index.json = index.metadata = False
    built = Release(project="old").wheel()
    index.add(built)
    http = proxy()
    assert page(http, "old")["files"][0]["core-metadata"] is False
    assert http.get(f"/simple/old/{built.filename}.metadata").status_code == 404
    assert http.get(f"/simple/old/{built.filename}").content == built.body
    wait_until(lambda: page(http, "old")["files"][0]["core-metadata"] is not False, "the core metadata")
    sha256 = hashlib.sha256(built.metadata).hexdigest()
    assert page(http, "old")["files"][0]["core-metadata"] == {"sha256": sha256}
    assert http.get(f"/simple/old/{built.filename}.metadata").content == built.metadata


def is_stored(server: Server, path: str) -> bool:
    """Whether a file has its row: a client may have all of it a moment before."""
    with sqlite3.connect(Layout(server.storage).catalog, timeout=30) as catalog:
        return bool(catalog.execute("SELECT count(*) FROM file WHERE path = ?", [path]).fetchone()[0])


@pytest.mark.parametrize("lie", [absent(), document(b"Metadata-Version: 2.1\nName: other\n")])
def test_core_metadata_that_cannot_be_had(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex, lie: Answer
) -> None:
    """What a page announces is served: from the wheel, where the upstream does not have it or has another."""
    built = Release(project="lies").wheel()
    index.add(built)
    upstream.serve(index.path_of(built.filename) + ".metadata", lie)
    http = proxy()
    for _ in range(2):
        assert http.get(f"/simple/lies/{built.filename}.metadata").content == built.metadata
    assert upstream.log.count("GET", index.path_of(built.filename)) == 1


def test_core_metadata_that_is_none(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    """A page that announces it without a hash lets through no page of a portal, which would stay for good."""
    built = Release(project="portal").wheel()
    index.add(built)
    announced = orjson.loads(index.page("portal", JSON, upstream.url.partition("//")[2]).body)
    announced["files"][0]["core-metadata"] = True
    upstream.serve("/simple/portal/", document(orjson.dumps(announced), JSON))
    upstream.serve(index.path_of(built.filename) + ".metadata", document(b"<html>log in</html>", "text/html"))
    assert proxy().get(f"/simple/portal/{built.filename}.metadata").content == built.metadata


def test_yanked_and_status(proxy: Proxy, index: PyPIIndex) -> None:
    index.add(Release(project="yanked").wheel(), yanked="it is broken")
    index.add(Release(project="yanked", version="2.0").wheel(), yanked=True)
    index.add(Release(project="bad").wheel())
    index.projects["bad"].status, index.projects["bad"].reason = "quarantined", "malware"
    http = proxy()
    assert [file["yanked"] for file in page(http, "yanked")["files"]] == ["it is broken", True]
    found = page(http, "bad")
    assert found["files"] == []
    assert found["project-status"] == {"status": "quarantined", "reason": "malware"}


def test_what_is_quarantined_later_is_not_offered_any_more(proxy: Proxy, index: PyPIIndex) -> None:
    built = Release(project="turned").wheel()
    index.add(built)
    http = proxy(NORA_PYPI_METADATA_TTL="0")
    path = f"/simple/turned/{built.filename}"
    assert http.get(path).content == built.body
    assert http.get(f"{path}.metadata").content == built.metadata
    server: Server = http.nora  # type: ignore[attr-defined]
    wait_until(lambda: is_stored(server, f"turned/{built.filename}"), "the row of the file")
    index.projects["turned"].status = "quarantined"
    assert page(http, "turned")["files"] == []
    for method in ("GET", "HEAD"):
        assert http.request(method, path).status_code == 403
        assert http.request(method, f"{path}.metadata").status_code == 403
    index.projects["turned"].status = "active"
    page(http, "turned")
    assert http.get(path).content == built.body


def test_an_upstream_that_is_gone(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    """What is cached goes on, marked as stale; what is not is 503, never 404; and then it is back."""
    built = Release(project="here").wheel()
    index.add(built, Release(project="there").wheel())
    http = proxy(NORA_PYPI_METADATA_TTL="0")
    assert filenames(http, "here") == [built.filename]
    assert http.get(f"/simple/here/{built.filename}").status_code == 200
    upstream.stop()
    answer = http.get("/simple/here/", headers={"accept": JSON})
    assert answer.status_code == 200
    assert answer.headers["x-nora-stale"] == "true"
    assert answer.headers["cache-control"] == "no-cache"
    assert http.get(f"/simple/here/{built.filename}").content == built.body
    for path in ("/simple/there/", f"/simple/there/{built.filename}", "/pypi/there/json"):
        answer = http.get(path)
        assert answer.status_code == 503, path
        assert int(answer.headers["retry-after"]) >= 1
    upstream.start()
    wait_until(lambda: http.get("/simple/there/").status_code == 200, "the page")


@pytest.mark.parametrize(("status", "expected"), [(500, 503), (429, 503), (403, 502), (404, 404), (410, 404)])
def test_what_upstreams_answer(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex, status: int, expected: int
) -> None:
    upstream.serve("/simple/some/", Answer(status=status, headers={"retry-after": "30"}))
    http = proxy(NORA_PROXY_RETRIES="0")
    for _ in range(2):
        assert http.get("/simple/some/").status_code == expected
    if expected == 404:  # remembered
        assert upstream.log.count("GET", "/simple/some/") == 1


def test_slow_is_not_absent(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    upstream.serve("/simple/slow/", document(b"{}", JSON, delay=30))
    http = proxy(NORA_PYPI_PROXY_TIMEOUT="1", NORA_PROXY_RETRIES="0")
    answer = http.get("/simple/slow/")
    assert (answer.status_code, int(answer.headers["retry-after"]) > 0) == (503, True)


def test_pages_that_are_none(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    upstream.serve("/simple/broken/", document(b'{"meta": {"api-version": "9.0"}}', JSON))
    upstream.serve("/simple/cut/", document(b'{"files": [', JSON))
    http = proxy()
    for name in ("broken", "cut"):
        assert http.get(f"/simple/{name}/").status_code == 502


def test_wrong_bytes_never_arrive(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    built = Release(project="wrong", padding=300_000).wheel()
    index.add(built)
    path = index.path_of(built.filename)
    upstream.serve(path, document(bytes(len(built.body))))
    http = proxy(NORA_PROXY_RETRIES="0")
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(f"/simple/wrong/{built.filename}")
    upstream.forget(path)
    assert http.get(f"/simple/wrong/{built.filename}").content == built.body


# -- names that are ours ---------------------------------------------------------------------------------


def test_a_hosted_name_is_never_asked(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    mine = Release(project="corp-lib", version="1.0").wheel()
    planted = Release(project="corp-lib", version="99.0").wheel()
    index.add(planted)
    http = proxy()
    assert upload(http, mine).status_code == 200
    assert filenames(http, "corp-lib") == [mine.filename]
    for path in (
        "/simple/Corp_Lib/",
        "/simple/corp.lib",
        f"/simple/corp-lib/{planted.filename}",
        f"/simple/corp-lib/{planted.filename}.metadata",
        f"/simple/CORP--lib/{planted.filename}",
        f"/simple/corp-lib/{planted.filename}.provenance",
        "/pypi/corp-lib/json",
        "/pypi/Corp_Lib/99.0/json",
        f"/integrity/corp-lib/99.0/{planted.filename}/provenance",
        "/r/pypi-proxy/simple/corp-lib/",
        f"/r/pypi-proxy/simple/corp-lib/{planted.filename}",
    ):
        assert http.head(path).status_code == (answer := http.get(path)).status_code
        assert answer.status_code in (301, 403, 404) or "99.0" not in answer.text, path
    assert upstream.log.requests == []


@pytest.mark.parametrize("path", ["/simple/corp-x/", "/simple/Corp_X/", "/simple/corp-x/corp_x-1.0.tar.gz"])
def test_a_reserved_name_is_refused(proxy: Proxy, upstream: Upstream, index: PyPIIndex, path: str) -> None:
    http = proxy(NORA_PROXY_RESERVED="corp-*")
    answer = http.get(path, follow_redirects=True)
    assert answer.status_code == 403
    assert "corp-x" in answer.text
    assert http.get("/pypi/corp.x/json").status_code == 403
    assert upstream.log.requests == []


def test_an_extended_name_is_merged(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    ours = Release(project="shared", seed="ours").wheel()
    theirs = Release(project="shared", seed="theirs").wheel()
    newer = Release(project="shared", version="2.0").wheel()
    for built in (theirs, newer):
        url = f"{upstream.url}/integrity/shared/{built.version}/{built.filename}/provenance"
        index.add(built, provenance=url)
    http = proxy(NORA_PROXY_EXTEND="shared")
    assert upload(http, ours).status_code == 200
    found = {file["filename"]: file["hashes"]["sha256"] for file in page(http, "shared")["files"]}
    assert found == {ours.filename: ours.sha256, newer.filename: newer.sha256}
    assert http.get(f"/simple/shared/{ours.filename}").content == ours.body
    assert http.get(f"/simple/shared/{newer.filename}").content == newer.body
    assert http.get(f"/simple/shared/{newer.filename}.provenance").status_code == 200
    for path in (f"/simple/shared/{ours.filename}.", f"/integrity/shared/1.0/{ours.filename}/"):
        assert http.get(f"{path}provenance").status_code == 404, "that is about theirs"
    upstream.stop()
    assert http.get("/simple/shared/").status_code == 200


def test_offline(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    built = Release(project="offline").wheel()
    index.add(built, Release(project="never").wheel())
    http = proxy()
    filenames(http, "offline")
    http.get(f"/simple/offline/{built.filename}")
    server: Server = http.nora  # type: ignore[attr-defined]
    wait_until(lambda: is_stored(server, f"offline/{built.filename}"), "the row of the file")
    server.env = {**server.env, "NORA_PROXY_MODE": "offline"}
    server.restart()
    upstream.log.clear()
    assert filenames(http, "offline") == [built.filename]
    assert http.get(f"/simple/offline/{built.filename}").content == built.body
    assert http.get("/simple/never/").status_code == 404
    assert upstream.log.requests == []


# -- beside the pages ------------------------------------------------------------------------------------


def test_attestations(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    built = Release(project="signed").wheel()
    url = f"{upstream.url}/integrity/signed/1.0/{built.filename}/provenance"
    index.add(built, provenance=url)
    http = proxy()
    for path in (
        f"/simple/signed/{built.filename}.provenance",
        f"/integrity/signed/1.0/{built.filename}/provenance",
    ):
        answer = http.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/vnd.pypi.integrity.v1+json"
        assert answer.json()["of"] == built.filename
        assert http.get(path, headers={"accept": "text/html"}).status_code == 406
    assert upstream.log.count("GET", f"/integrity/signed/1.0/{built.filename}/provenance") == 1


def test_legacy_json(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    built = Release(project="json-api").wheel()
    index.add(built)
    http = proxy()
    for path in ("/pypi/json-api/json", "/pypi/Json_API/1.0/json"):
        answer = http.get(path)
        assert answer.status_code == 200
        url = f"{str(http.base_url).rstrip('/')}/simple/json-api/{built.filename}"
        assert [file["url"] for file in answer.json()["urls"]] == [url]
        assert upstream.url not in answer.text
        assert http.get(url).content == built.body
    assert http.get("/pypi/nothing/json").status_code == 404


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"info": 1}', b'{"info": {}, "x": %b1%b}' % (b"[" * 400, b"]" * 400)]
)
def test_legacy_json_that_is_none(proxy: Proxy, upstream: Upstream, index: PyPIIndex, body: bytes) -> None:
    """What can be read but not passed on, as what is nested too deeply, is no better."""
    upstream.serve("/pypi/odd/json", document(body, "application/json"))
    http = proxy(NORA_PROXY_RETRIES="0")
    for _ in range(2):
        assert http.get("/pypi/odd/json").status_code == 502


def test_refresh(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    """What is cached of a page, or of its absence, is asked for again when somebody says so."""
    first, second = (Release(project="fresh", version=version).wheel() for version in ("1.0", "2.0"))
    http = proxy(NORA_PYPI_METADATA_TTL="3600", NORA_PROXY_ABSENT_TTL="3600")
    assert http.get("/simple/fresh/").status_code == 404
    index.add(first)
    assert http.get("/simple/fresh/").status_code == 404
    assert http.post("/pypi/fresh/refresh", json={}).status_code == 200
    assert filenames(http, "fresh") == [first.filename]
    index.add(second)
    assert filenames(http, "fresh") == [first.filename]
    assert http.post("/pypi/fresh/refresh", json={}).json()["refreshed"] is True
    assert filenames(http, "fresh") == [first.filename, second.filename]


def test_two_upstreams(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    """The first one that has a project gives it; that one fails does not hide what the other has."""
    both = [Release(project="both", seed=seed).wheel() for seed in ("first", "second")]
    only = Release(project="only").wheel()
    index.add(both[0])
    with running_upstream() as other:
        more = PyPIIndex()
        more.add(both[1], only)
        more.mount(other)
        http = proxy(NORA_PYPI_PROXIES=f"{upstream.url}/simple,{other.url}/simple")
        assert page(http, "both")["files"][0]["hashes"]["sha256"] == both[0].sha256
        assert http.get(f"/simple/both/{both[0].filename}").content == both[0].body
        assert http.get(f"/simple/only/{only.filename}").content == only.body
        assert other.log.count("GET", "/simple/both/") == 0
        upstream.stop()
        assert http.get(f"/simple/only/{only.filename}").content == only.body
        assert http.get("/simple/nowhere/").status_code == 503


GROUP = """
[repositories.down]
format = "pypi"
kind = "proxy"
upstreams = ["{down}/simple"]

[repositories.up]
format = "pypi"
kind = "proxy"
upstreams = ["{up}/simple"]

[repositories.ours]
format = "pypi"

[repositories.both]
format = "pypi"
kind = "group"
members = ["ours", "down", "up"]
"""


def test_a_proxy_that_is_down_hands_no_name_to_another(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex, tmp_path: Path
) -> None:
    """But for those that the other was found to have while it was up."""
    built, stale, new = (Release(project=name).wheel() for name in ("behind", "stale", "new"))
    index.add(stale)
    with running_upstream() as other:
        more = PyPIIndex()
        more.add(built, stale, provenance=f"{other.url}/integrity/behind/1.0/{built.filename}/provenance")
        more.add(new)
        more.mount(other)
        config = tmp_path / "config.toml"
        config.write_text(GROUP.format(down=upstream.url, up=other.url))
        http = proxy(NORA_PROXY_RETRIES="0", NORA_CONFIG_PATH=str(config))
        for one in (stale, built):
            assert filenames(http, one.filename.partition("-")[0], "/r/both") == [one.filename]
        upstream.stop()
        other.log.clear()
        path = f"/r/both/simple/behind/{built.filename}"
        assert http.get(f"{path}.metadata").content == built.metadata
        assert http.get(f"{path}.provenance").json()["of"] == built.filename
        assert http.get(path).content == built.body
        for end in ("", ".metadata", ".provenance"):
            assert http.get(f"/r/both/simple/behind/behind-2.0-py3-none-any.whl{end}").status_code == 404
            for unknown in (f"new/{new.filename}", "nothing/nothing-1.0.tar.gz"):
                assert http.get(f"/r/both/simple/{unknown}{end}").status_code == 503, unknown
        assert http.get(f"/r/both/simple/stale/{stale.filename}").status_code == 503
        assert not [one for one in other.log.paths() if "/behind/" not in one and built.filename not in one]


def test_a_page_that_is_large(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    """Made once for all workers, in another process, and sent from a file."""
    built = Release(project="large").wheel()
    template = {"requires-python": ">=3.8", "size": 1, "upload-time": "2024-01-02T03:04:05Z", "yanked": False}
    files = [
        {
            "filename": f"large-{number}.0-py3-none-any.whl",
            "url": f"{upstream.url}/files/large-{number}.0-py3-none-any.whl",
            "hashes": {"sha256": hashlib.sha256(str(number).encode()).hexdigest()},
            **template,
        }
        for number in range(12_000)
    ]
    files[1] |= {"hashes": {"sha256": built.sha256}, "size": len(built.body)}
    body = {"meta": {"api-version": "1.4"}, "name": "large", "files": files, "versions": ["1.0"]}
    upstream.serve("/simple/large/", document(orjson.dumps(body), JSON))
    upstream.serve(f"/files/{built.filename}", document(built.body))
    http = proxy(workers=2)
    for _ in range(6):
        assert len(page(http, "large", **{"accept-encoding": "identity"})["files"]) == len(files)
    server: Server = http.nora  # type: ignore[attr-defined]
    (kept,) = (server.storage / "render_cache").iterdir()
    assert kept.stat().st_size > 1 << 20
    assert upstream.log.count("GET", "/simple/large/") == 1
    assert http.get(f"/simple/large/{built.filename}").content == built.body


def test_a_file_that_is_replaced(proxy: Proxy, upstream: Upstream, index: PyPIIndex) -> None:
    """PyPI never does that; other indexes let a file be uploaded again. Page and bytes stay of one mind."""
    first, second = (
        Release(project="again", seed=seed, summary=f"The {seed}").wheel() for seed in ("first", "second")
    )
    http = proxy(NORA_PYPI_METADATA_TTL="3600")
    path = f"/simple/again/{first.filename}"
    for built in (first, second, first):
        index.projects.clear()
        index.add(built)
        assert http.post("/pypi/again/refresh", json={}).status_code == 200
        assert page(http, "again")["files"][0]["hashes"]["sha256"] == built.sha256
        for _ in range(2):
            assert http.get(f"{path}.metadata").content == built.metadata
            assert http.get(path).content == built.body
