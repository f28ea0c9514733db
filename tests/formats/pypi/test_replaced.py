"""Upstreams that replace files under their names: pages, bytes and core metadata stay of one mind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest

from tests.formats.pypi.wire import JSON, page, raw
from tests.support.answers import document
from tests.support.pypi_index import PyPIIndex
from tests.support.server import running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.waiting import wait_until
from tests.support.wheels import Built, Release

pytestmark = pytest.mark.slow

CONFIG = """
[repositories.volatile]
format = "pypi"
kind = "proxy"
upstreams = [{{ url = "{url}/simple", volatile = true }}]
"""
IMMUTABLE = "public, max-age=365000000, immutable"
KINDS = ("sha256", "sha512", "md5")


@dataclass(frozen=True, slots=True)
class Place:
    """A server whose `/simple/` asks `up`, and `/r/volatile/simple/` asks it as one that replaces files."""

    http: httpx.Client
    up: Upstream

    def serve(self, built: Built, *kinds: str, **said: Any) -> None:
        """List one file by these hashes, and have its page asked for again."""
        path = f"/there/{built.filename}"
        hashes = {kind: hashlib.new(kind, built.body).hexdigest() for kind in kinds}
        file = {"filename": built.filename, "url": f"{self.up.url}{path}", "hashes": hashes, **said}
        found = {"meta": {"api-version": "1.0"}, "name": built.project, "files": [file]}
        self.up.serve(f"/simple/{built.project}/", document(orjson.dumps(found), JSON))
        self.up.serve(path, document(built.body))
        for prefix in ("", "/r/volatile"):
            assert self.http.post(f"{prefix}/pypi/{built.project}/refresh", json={}).status_code == 200

    def listed(self, project: str, prefix: str = "") -> tuple[str, Mapping[str, Any]]:
        """The address of the one file of a page, and what is said of it."""
        (file,) = page(self.http, project, prefix)["files"]
        return f"{prefix}/simple/{project}/{file['url']}", file


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        up = stack.enter_context(running_upstream())
        PyPIIndex().mount(up)
        folder = tmp_path_factory.mktemp("replaced")
        (folder / "config.toml").write_text(CONFIG.format(url=up.url))
        env = {
            "NORA_PYPI_PROXY": f"{up.url}/simple",
            "NORA_PROXY_MODE": "online",
            "NORA_PYPI_METADATA_TTL": "3600",
            "NORA_CONFIG_PATH": str(folder / "config.toml"),
        }
        server = stack.enter_context(running(folder / "one", env=env))
        yield Place(stack.enter_context(httpx.Client(base_url=server.url, timeout=30, trust_env=False)), up)


def versions(project: str) -> list[Built]:
    """The same file three times, with other bytes and other core metadata."""
    return [Release(project=project, seed=seed, summary=f"The {seed}").wheel() for seed in "abc"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_replaced_is_fetched_anew_whatever_hashes_are_listed(place: Place, kind: str) -> None:
    for built in versions(f"by-{kind}"):
        place.serve(built, kind)
        for _ in range(2):
            address, _ = place.listed(built.project)
            assert place.http.get(address).content == built.body
            assert place.http.get(f"/simple/{built.project}/{built.filename}").content == built.body


def test_hashes_of_another_kind_are_compared_with_the_bytes(place: Place) -> None:
    """What came in under a sha256 is listed by its md5 now: it is the same file, and then another one."""
    first, second, _ = versions("other-kind")
    place.serve(first, "sha256")
    path = f"/simple/other-kind/{first.filename}"
    assert place.http.get(path).content == first.body
    asked = place.up.log.count("GET", f"/there/{first.filename}")
    place.serve(first, "md5")
    page(place.http, "other-kind")
    assert place.http.get(path).content == first.body
    assert place.up.log.count("GET", f"/there/{first.filename}") == asked
    place.serve(second, "md5")
    page(place.http, "other-kind")
    assert place.http.get(path).content == second.body


def test_a_source_that_was_not_seen_to_replace_files_has_plain_addresses(place: Place) -> None:
    built = versions("plain")[0]
    place.serve(built, "sha256")
    address, file = place.listed("plain")
    assert file["url"] == built.filename
    assert place.http.get(address).headers["cache-control"] == IMMUTABLE


def test_an_address_is_unique_once_a_file_was_seen_to_be_replaced(place: Place) -> None:
    built = versions("seen")
    addresses = []
    for one in built:
        place.serve(one, "sha256")
        address, _ = place.listed("seen")
        addresses.append(address)
        assert place.http.get(address).content == one.body
    assert len(set(addresses)) == 3
    assert place.http.get(addresses[-1]).headers["cache-control"] == IMMUTABLE
    assert place.http.get(addresses[0]).headers["cache-control"] == "no-cache", "the plain one of before"


@pytest.mark.parametrize("kind", KINDS)
def test_volatile_sources_have_unique_addresses(place: Place, kind: str) -> None:
    first, second, _ = versions(f"marked-{kind}")
    told = {"sha256": hashlib.sha256(first.metadata).hexdigest()}
    place.serve(first, kind, **{"core-metadata": told})
    place.up.serve(f"/there/{first.filename}.metadata", document(first.metadata))
    before, file = place.listed(first.project, "/r/volatile")
    assert file["url"] == f"{hashlib.new(kind, first.body).hexdigest()[:32]}/{first.filename}"
    for end, body in (("", first.body), (".metadata", first.metadata)):
        answer, found = raw(place.http, before + end)
        assert (answer.status_code, found) == (200, body)
        assert answer.headers["cache-control"] == IMMUTABLE
        assert raw(place.http, before + end, "HEAD")[0].status_code == 200
        plain = f"/r/volatile/simple/{first.project}/{first.filename}{end}"
        assert place.http.get(plain).headers["cache-control"] == "no-cache"
    told = {"sha256": hashlib.sha256(second.metadata).hexdigest()}
    place.serve(second, kind, **{"core-metadata": told})
    place.up.serve(f"/there/{first.filename}.metadata", document(second.metadata))
    after, _ = place.listed(first.project, "/r/volatile")
    assert after != before
    assert place.http.get(f"{after}.metadata").content == second.metadata
    assert place.http.get(after).content == second.body
    for end in ("", ".metadata"):
        gone = place.http.get(before + end)
        assert gone.status_code == 404, "never other bytes under an address that is said to be immutable"
        assert "was replaced" in gone.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", ["", "/r/volatile"])
def test_core_metadata_goes_with_the_wheel_that_it_was_taken_from(
    place: Place, kind: str, prefix: str
) -> None:
    first, second, _ = versions(f"inside-{kind}{prefix[3:]}")
    for built in (first, second):
        place.serve(built, kind)
        address, file = place.listed(built.project, prefix)
        assert file["core-metadata"] is False, "of this wheel nothing is known yet"
        assert place.http.get(address).content == built.body
        # A client may have all of a file a moment before it is looked into.
        told = wait_until(
            lambda: place.listed(built.project, prefix)[1]["core-metadata"],  # noqa: B023
            f"the core metadata of {built.filename}",
        )
        assert told == {"sha256": hashlib.sha256(built.metadata).hexdigest()}
        assert place.http.get(f"{address}.metadata").content == built.metadata


def test_a_file_without_hashes_is_never_said_to_be_immutable_where_files_are_replaced(place: Place) -> None:
    built = versions("no-hashes")[0]
    place.serve(built)
    address, file = place.listed("no-hashes", "/r/volatile")
    assert file["url"] == built.filename
    assert place.http.get(address).headers["cache-control"] == "no-cache"


def test_a_mark_of_no_file_is_not_found(place: Place) -> None:
    built = versions("no-such-mark")[0]
    place.serve(built, "sha256")
    for mark in ("0" * 32, "x", built.sha256):
        for end in ("", ".metadata", ".provenance"):
            path = f"/r/volatile/simple/no-such-mark/{mark}/{built.filename}{end}"
            assert place.http.get(path).status_code == place.http.head(path).status_code == 404
