"""What is here of an upstream that is not asked: it installs, whatever was asked for before, in any order."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass

import httpx
import pytest

from nora.blobs.layout import Layout
from tests.formats.pypi.conftest import Proxy
from tests.formats.pypi.wire import filenames, page, raw
from tests.support.pypi_index import PyPIIndex
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.waiting import wait_until
from tests.support.wheels import Built, Release

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Site:
    """A server that was online, and is not any more."""

    http: httpx.Client
    built: dict[str, Built]


ORDERS = {
    "page-first": ("page", "file", "metadata"),
    "file-only": ("file",),
    "file-first": ("file", "page", "metadata"),
    "metadata-first": ("metadata", "file"),
    "without-its-page": ("page", "file"),
}
"""What was asked for while the upstream could be, by project."""


def ask(http: httpx.Client, built: Built, what: str) -> httpx.Response:
    """A request for one of the three things that an installer asks for."""
    path = f"/simple/{built.project}/"
    ends = {"page": "", "file": built.filename, "metadata": f"{built.filename}.metadata"}
    answer = http.get(path + ends[what])
    assert answer.status_code == 200, answer.text
    return answer


def fill(http: httpx.Client, index: PyPIIndex) -> dict[str, Built]:
    built = {name: Release(project=name, requires_python=">=3.8").wheel() for name in ORDERS}
    for name, order in ORDERS.items():
        index.add(built[name], yanked="a reason")
        for what in order:
            ask(http, built[name], what)
    old, new = (Release(project="newer", version=version).wheel() for version in ("1.0", "2.0"))
    sdist = Release(project="newer").sdist()
    index.add(old, new, sdist)
    for one in (old, sdist):
        ask(http, one, "file")
    ask(http, new, "metadata")
    assert set(http.get("/pypi/newer/json").json()["releases"]) == {"1.0", "2.0"}
    poor = Release(project="poor").wheel()
    index.add(poor, metadata=False)
    ask(http, poor, "file")
    first, second = (Release(project="changed", seed=seed, summary=seed).wheel() for seed in ("one", "two"))
    index.add(first)
    ask(http, first, "file")
    index.projects["changed"].files.clear()
    index.add(second)
    http.post("/pypi/changed/refresh", json={})
    ask(http, second, "page")
    bad = Release(project="bad").wheel()
    index.add(bad)
    ask(http, bad, "file")
    index.projects["bad"].status = "quarantined"
    http.post("/pypi/bad/refresh", json={})
    ask(http, bad, "page")
    return {**built, "old": old, "new": new, "sdist": sdist, "poor": poor, "changed": first, "bad": bad}


def wait_for_rows(server: Server, paths: set[str]) -> None:
    """A client may have all of a file a moment before it has its row."""

    def missing() -> set[str]:
        with closing(sqlite3.connect(Layout(server.storage).catalog, timeout=30)) as catalog:
            return paths - {path for (path,) in catalog.execute("SELECT path FROM file")}

    wait_until(lambda: not missing(), "the rows of all files", seen=missing)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        up = stack.enter_context(running_upstream())
        index = PyPIIndex()
        index.mount(up)
        env = {
            "NORA_PYPI_PROXY": f"{up.url}/simple",
            "NORA_PROXY_MODE": "online",
            "NORA_PYPI_METADATA_TTL": "3600",
        }
        server = stack.enter_context(running(tmp_path_factory.mktemp("offline"), env=env))
        http = stack.enter_context(httpx.Client(base_url=server.url, timeout=30, trust_env=False))
        built = fill(http, index)
        wait_for_rows(
            server, {f"{one.project}/{one.filename}" for one in built.values()} - {path_of_new(built)}
        )
        server.stop()
        with closing(sqlite3.connect(Layout(server.storage).catalog)) as catalog, catalog:
            catalog.execute("DELETE FROM file WHERE path = 'without-its-page/'")
        server.env = {**server.env, "NORA_PROXY_MODE": "offline"}
        server.start()
        up.log.clear()
        yield Site(http, built)
        assert up.log.requests == []


def path_of_new(built: dict[str, Built]) -> str:
    return f"newer/{built['new'].filename}"


@pytest.mark.parametrize("name", ORDERS)
def test_a_wheel_that_is_here_installs_with_its_core_metadata(site: Site, name: str) -> None:
    built = site.built[name]
    (file,) = page(site.http, name)["files"]
    assert file["filename"] == built.filename
    assert file["hashes"] == {"sha256": built.sha256}
    assert file["core-metadata"], "it can be had"
    metadata = ask(site.http, built, "metadata").content
    assert metadata == built.metadata
    (file,) = page(site.http, name)["files"]
    assert file["core-metadata"] == {"sha256": hashlib.sha256(metadata).hexdigest()}
    assert ask(site.http, built, "file").content == built.body


def test_what_the_page_said_is_said_still(site: Site) -> None:
    (file,) = page(site.http, "file-only")["files"]
    assert (file["requires-python"], file["yanked"]) == (">=3.8", "a reason")


def test_core_metadata_that_the_upstream_never_had_is_taken_from_the_wheel(site: Site) -> None:
    assert page(site.http, "poor")["files"][0]["core-metadata"]
    assert ask(site.http, site.built["poor"], "metadata").content == site.built["poor"].metadata


def test_a_page_offers_what_is_here(site: Site) -> None:
    """Not the newer version, of which only the core metadata is: an installer would choose it and fail."""
    found = page(site.http, "newer")
    held = [site.built["old"].filename, site.built["sdist"].filename]
    assert [file["filename"] for file in found["files"]] == held
    assert found["versions"] == ["1.0"]
    assert site.http.get(f"/simple/newer/{site.built['new'].filename}").status_code == 404


def test_a_file_that_was_replaced_is_listed_as_it_is_here(site: Site) -> None:
    first = site.built["changed"]
    (file,) = page(site.http, "changed")["files"]
    assert (file["hashes"], file["size"]) == ({"sha256": first.sha256}, len(first.body))
    assert ask(site.http, first, "metadata").content == first.metadata
    assert ask(site.http, first, "file").content == first.body


def test_what_was_quarantined_is_not_offered(site: Site) -> None:
    bad = site.built["bad"]
    assert filenames(site.http, "bad") == []
    for end in ("", ".metadata"):
        assert site.http.get(f"/simple/bad/{bad.filename}{end}").status_code == 403


def test_head_and_get_agree(site: Site) -> None:
    for built in site.built.values():
        for end in ("", built.filename, f"{built.filename}.metadata", f"{built.filename}.provenance"):
            path = f"/simple/{built.project}/{end}"
            head, get = raw(site.http, path, "HEAD")[0], raw(site.http, path)[0]
            assert head.status_code == get.status_code, path
            assert head.headers.get("etag") == get.headers.get("etag"), path


def test_the_json_api_lists_what_is_here_of_what_it_has(site: Site) -> None:
    found = site.http.get("/pypi/newer/json").json()
    held = {site.built["old"].filename, site.built["sdist"].filename}
    assert {file["filename"] for files in found["releases"].values() for file in files} == held


@pytest.mark.parametrize("ttl", ["0", "3600"])
def test_core_metadata_is_taken_from_a_wheel_while_the_upstream_is_down(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex, ttl: str
) -> None:
    built = Release(project="down").wheel()
    index.add(built)
    http = proxy(NORA_PYPI_METADATA_TTL=ttl, NORA_PROXY_RETRIES="0")
    assert ask(http, built, "file").content == built.body
    wait_for_rows(http.nora, {f"down/{built.filename}"})  # type: ignore[attr-defined]
    upstream.stop()
    (file,) = page(http, "down")["files"]
    assert file["core-metadata"] == {"sha256": hashlib.sha256(built.metadata).hexdigest()}
    assert ask(http, built, "metadata").content == built.metadata


def test_core_metadata_that_is_not_what_was_told_is_not_taken_from_a_wheel(
    proxy: Proxy, upstream: Upstream, index: PyPIIndex
) -> None:
    """It would be refused by whoever asked for it; what the upstream has is worth another try."""
    told = Release(project="other", summary="told").wheel()
    built = Release(project="other", summary="inside").wheel()
    index.add(Built(built.filename, built.body, built.project, built.version, told.metadata))
    http = proxy(NORA_PROXY_RETRIES="0")
    assert ask(http, built, "file").content == built.body
    upstream.stop()
    assert http.get(f"/simple/other/{built.filename}.metadata").status_code == 503
