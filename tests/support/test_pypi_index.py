"""The index of a test is one that pip itself installs from, in each of its dresses."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.command import run
from tests.support.pypi_index import HTML, JSON, OLD_HTML, PyPIIndex, huge_page, lying_gzip
from tests.support.upstream import Upstream
from tests.support.wheels import Release

pytestmark = pytest.mark.slow

DRESSES: list[dict[str, Any]] = [
    {},
    {"json": False, "metadata": False, "hashes": False, "quote": "'", "hrefs": "relative"},
    {"json": False, "base": "{origin}/files/", "hrefs": "relative"},
]


@pytest.mark.parametrize("dress", DRESSES)
def test_pip_installs_a_wheel_and_an_sdist_from_it(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dress: dict[str, Any]
) -> None:
    index = PyPIIndex(**dress)
    index.add(Release(project="Foo.Bar", requires=["baz>=1"], requires_python=">=3.8").wheel())
    index.add(Release(project="baz", version="1.5").sdist(), Release(project="baz", version="0.5").wheel())
    index.add(Release(project="baz", version="2.0").wheel(), yanked="no")
    index.mount(upstream)
    for name in ("PIP_FIND_LINKS", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    words = ["--isolated", "--disable-pip-version-check", "--no-cache-dir", "-q"]
    pip: list[str | Path] = [sys.executable, "-m", "pip", "install", *words, "--target", tmp_path / "out"]
    run(*pip, "--index-url", f"{upstream.url}/simple/", "foo-bar", env={"NO_PROXY": "*"})
    assert sorted(one.name for one in (tmp_path / "out").glob("*.dist-info")) == [
        "baz-1.5.dist-info",
        "foo_bar-1.0.dist-info",
    ]


def test_pages_and_faults(upstream: Upstream) -> None:
    index = PyPIIndex()
    wheel = Release(project="foo", extras={"more": ["bar"]}, padding=100_000).wheel()
    index.add(wheel, provenance="https://example.com/p")
    index.projects["foo"].status = "archived"
    index.mount(upstream)
    with httpx.Client(base_url=upstream.url, trust_env=False) as client:
        kinds = {
            kind: client.get("/simple/foo/", headers={"accept": kind}) for kind in (JSON, HTML, OLD_HTML)
        }
        assert [page.headers["content-type"] for page in kinds.values()] == [JSON, HTML, OLD_HTML]
        page = kinds[JSON].json()
        assert page["project-status"]["status"] == "archived"
        assert client.get(page["files"][0]["url"]).content == wheel.body
        assert client.get(page["files"][0]["url"] + ".metadata").content == wheel.metadata
        assert client.get("/simple/FOO/").headers["location"] == "/simple/foo/"
        assert client.get("/pypi/foo/1.0/json").json()["urls"][0]["filename"] == wheel.filename
        assert client.get("/simple/").text.count("<a ") == 1
        upstream.once("/simple/foo/", lying_gzip(index.page("foo")), huge_page(index.page("foo"), 2_000_000))
        with pytest.raises(httpx.DecodingError):
            client.get("/simple/foo/")
        assert len(json.loads(client.get("/simple/foo/").content)["_padding"]) == 2_000_000


def test_wheels_are_the_same_each_time_and_can_lack_a_file(tmp_path: Path) -> None:
    release = Release(project="foo")
    assert release.wheel() == release.wheel()
    assert release.sdist() == release.sdist()
    with zipfile.ZipFile(release.wheel(without="RECORD").write(tmp_path)) as archive:
        assert [name for name in archive.namelist() if "RECORD" in name] == []
