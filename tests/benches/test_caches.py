"""What the benches of caches are fed with, and what they understand of pages."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from benches.registries import installs, maven_builds, module_downloads, npm, packages, refreshes, upstreams
from benches.registries.wire import Answer
from tests.support.answers import Asked, document
from tests.support.go_modules import ModuleProxy
from tests.support.npm_registry import NpmRegistry
from tests.support.pypi_index import JSON

PAGE = orjson.dumps({"files": [{"url": "../f/a-1.whl#sha256=00"}, {"url": "b-1.whl"}]})


@pytest.mark.parametrize(
    ("kind", "coding", "body"),
    [
        (JSON, "", PAGE),
        (JSON, "gzip", gzip.compress(PAGE)),
        (
            "text/html; charset=utf-8",
            "",
            b'<a href="../f/a-1.whl#sha256=00">a</a>\n<a x="y" href="b-1.whl">b</a>',
        ),
    ],
    ids=["json", "gzip", "html"],  # else ids have the time of compression in them, and workers differ
)
def test_pages_are_read_in_every_dress(kind: str, coding: str, body: bytes) -> None:
    answer = Answer(200, {"content-type": kind, "content-encoding": coding}, body, len(body))
    assert packages.links(answer) == ["../f/a-1.whl", "b-1.whl"]


def test_a_page_has_the_size_that_was_asked_for_and_names_its_folder() -> None:
    pages = [upstreams.page_of(100_000, f"http://127.0.0.1/{name}") for name in "ab"]
    assert all(90_000 < len(page) < 110_000 for page in pages)
    assert pages[0] != pages[1]
    first = orjson.loads(pages[0])["files"][0]
    assert first["url"] == f"http://127.0.0.1/a/{first['url'].split('/')[-2]}/{first['filename']}"


def test_one_requirement_installs_the_set() -> None:
    files = upstreams.requirements(5)
    assert len({built.filename for built in files}) == 5
    assert files[0].project == upstreams.SET
    assert files[0].metadata.count(b"Requires-Dist: ") == 4


def test_a_static_copy_has_pages_wheels_and_core_metadata(tmp_path: Path) -> None:
    files = upstreams.requirements(2)
    installs.static_copy(tmp_path, files)
    for built in files:
        folder = tmp_path / "simple" / built.project
        page = (folder / "index.json").read_bytes()
        assert gzip.decompress((folder / "index.json.gz").read_bytes()) == page
        (listed,) = orjson.loads(page)["files"]
        assert (tmp_path / listed["url"].lstrip("/")).read_bytes() == built.body
        assert (tmp_path / f"{listed['url'].lstrip('/')}.metadata").read_bytes() == built.metadata


def test_modules_are_a_chain_whose_files_are_static(tmp_path: Path) -> None:
    proxy, modules = ModuleProxy(), module_downloads.modules_of(3)
    assert [len(module.requires) for module in modules] == [1, 1, 0]
    for module in modules:
        module_downloads.static_copy(tmp_path, proxy, proxy.add(module))
    found = {path.relative_to(tmp_path / "go").as_posix(): path for path in tmp_path.rglob("*.*.*")}
    assert {name: path.read_bytes() for name, path in found.items() if path.is_file()} == proxy.files


def test_artifacts_are_static_with_their_checksums(tmp_path: Path) -> None:
    repository = maven_builds.repository_of(["lib-0", "lib-1"])
    maven_builds.static_copy(tmp_path, repository)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert len(repository.files) == 4
    assert found == {name + end for name in repository.files for end in ("", ".sha1")}


def test_a_page_that_changes_is_another_one_each_time() -> None:
    changing = refreshes.Changing((document(b"a"), document(b"b")))
    answers = [changing(Asked("GET", "/", {})).body for _ in range(4)]
    assert answers == [b"b", b"a", b"b", b"a"]


@pytest.mark.parametrize("coding", ["", "gzip"])
def test_packuments_are_read_in_every_dress(coding: str) -> None:
    body = gzip.compress(b'{"versions": {}}') if coding else b'{"versions": {}}'
    answer = Answer(200, {"content-encoding": coding}, body, len(body))
    assert npm.document(answer) == {"versions": {}}


def test_a_large_packument_has_the_size_that_was_asked_for() -> None:
    registry = NpmRegistry(url="http://127.0.0.1:12345/reg")
    registry.add(*npm.large(100_000))
    assert 90_000 < len(orjson.dumps(registry.packument(npm.LARGE))) < 110_000
