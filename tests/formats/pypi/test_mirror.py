"""`nora mirror pip`, `uv` and `poetry`: what they name is here afterwards, and is what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.answers import Answer, document
from tests.support.mirroring import mirror
from tests.support.pypi_index import PyPIIndex
from tests.support.server import Server, running
from tests.support.upstream import Upstream
from tests.support.upstream import upstream as running_upstream
from tests.support.wheels import Built, Release

pytestmark = pytest.mark.slow


class Index:
    """An index, and a NORA that asks it."""

    def __init__(self, up: Upstream, server: Server) -> None:
        self.up = up
        self.server = server
        self.listed = PyPIIndex()
        self.listed.mount(up)

    def add(self, project: str, version: str = "1.0", **more: object) -> tuple[Built, Built]:
        release = Release(project=project, version=version)
        built = release.wheel(), release.sdist()
        for one in built:
            self.listed.add(one, **more)
        return built

    def is_fetched(self, built: Built) -> bool:
        """Whether NORA has asked the index for it."""
        return self.up.log.count("GET", self.listed.path_of(built.filename)) > 0

    def kept(self, *builds: Built) -> list[bool]:
        """Which of them a NORA serves that may ask nobody."""
        online = self.server.env
        self.server.env = {**online, "NORA_PROXY_MODE": "offline"}
        self.server.restart()
        try:
            with httpx.Client(base_url=self.server.url, timeout=30, trust_env=False) as http:
                urls = [f"/simple/{one.project.lower()}/{one.filename}" for one in builds]
                return [http.get(url).content == one.body for url, one in zip(urls, builds, strict=True)]
        finally:
            self.server.env = online
            self.server.restart()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    folder = tmp_path_factory.mktemp("mirror")
    with running_upstream() as up:
        env = {"NORA_PROXY_MODE": "online", "NORA_PYPI_PROXY": f"{up.url}/simple"}
        with running(folder, env=env) as server:
            yield Index(up, server)


def locked(*builds: Built) -> str:
    """A uv.lock."""
    text = "version = 1\n"
    for one in builds:
        text += (
            f'[[package]]\nname = "{one.project}"\nversion = "{one.version}"\n'
            'source = { registry = "https://index.example.com/simple" }\n'
            f'wheels = [{{ path = "{one.filename}", hash = "sha256:{one.sha256}" }}]\n'
        )
    return text


def test_a_lock_file_is_here_afterwards(index: Index, tmp_path: Path) -> None:
    (one, sdist), (other, _) = index.add("kept-one"), index.add("kept-other", "2.0")
    file = tmp_path / "uv.lock"
    file.write_text(locked(one, other))
    done = mirror(index.server, "uv", "--lockfile", file, "--json")
    assert done.code == 0, done.stderr
    assert done.json["missing"] == []
    assert done.json["done"] == done.json["wanted"] == 6  # two pages, two wheels, their metadata
    assert done.json["received_bytes"] >= len(one.body) + len(other.body)
    assert done.stderr == ""
    assert index.kept(one, other, sdist) == [True, True, False]


def test_a_second_run_asks_the_index_nothing(index: Index, tmp_path: Path) -> None:
    wheel, _ = index.add("again")
    file = tmp_path / "uv.lock"
    file.write_text(locked(wheel))
    assert mirror(index.server, "uv", "--lockfile", file).code == 0
    index.up.log.clear()
    done = mirror(index.server, "uv", "--lockfile", file)
    assert done.code == 0
    assert "3 of 3 are there, 0 missing" in done.stdout
    assert index.up.log.paths() == []


def test_what_is_missing_is_named_with_its_reason(index: Index, tmp_path: Path) -> None:
    wheel, _ = index.add("half")
    other, _ = index.add("other-half", "3.0")
    absent = Release(project="never-made").wheel()
    file = tmp_path / "uv.lock"
    text = locked(wheel, absent) + locked(other).partition("\n")[2].replace("3.0", "3.1")
    file.write_text(text)
    done = mirror(index.server, "uv", "--lockfile", file, "--json")
    assert done.code == 1
    assert {*done.missing} == {"never-made 1.0", "other_half-3.1-py3-none-any.whl"}
    assert "404" in done.missing["never-made 1.0"]
    assert "lists no such file" in done.missing["other_half-3.1-py3-none-any.whl"]
    assert index.is_fetched(wheel), "the rest is here"
    told = mirror(index.server, "uv", "--lockfile", file)
    assert "missing: never-made 1.0: 404" in told.stderr


def test_another_hash_than_the_lock_file_has_is_named(index: Index, tmp_path: Path) -> None:
    wheel, _ = index.add("changed")
    file = tmp_path / "uv.lock"
    file.write_text(locked(wheel).replace(wheel.sha256, "0" * 64))
    done = mirror(index.server, "uv", "--lockfile", file, "--json")
    assert done.code == 1
    assert f"its sha256 is {wheel.sha256} here, and {'0' * 64}" in done.missing[wheel.filename]


def test_requirements_name_all_files_of_a_version(index: Index, tmp_path: Path) -> None:
    index.add("pinned", "0.9")
    wheel, sdist = index.add("pinned", "1.0")
    file = tmp_path / "requirements.txt"
    file.write_text("Pinned==1.0\n")
    assert mirror(index.server, "pip", "--lockfile", file).code == 0
    assert index.is_fetched(wheel)
    assert index.is_fetched(sdist)
    file.write_text("pinned==1.1\n")
    done = mirror(index.server, "pip", "--lockfile", file, "--json")
    assert done.code == 1
    assert "no file of this version" in done.missing["pinned 1.1"]


def test_hashes_choose_the_files(index: Index, tmp_path: Path) -> None:
    wheel, sdist = index.add("chosen")
    file = tmp_path / "requirements.txt"
    file.write_text(f"chosen==1.0 --hash=sha256:{wheel.sha256} --hash=sha256:{'0' * 64}\n")
    done = mirror(index.server, "pip", "--lockfile", file, "--json")
    assert done.code == 1
    assert done.missing == {"chosen 1.0": f"no file of it here has the hash sha256:{'0' * 64}"}
    assert index.is_fetched(wheel)
    assert not index.is_fetched(sdist)


def test_the_bytes_decide_where_the_index_tells_no_hash(index: Index, tmp_path: Path) -> None:
    wheel, sdist = index.add("untold", hashes=False)
    file = tmp_path / "requirements.txt"
    file.write_text(f"untold==1.0 --hash=sha256:{wheel.sha256}\n")
    done = mirror(index.server, "pip", "--lockfile", file, "--json")
    assert index.is_fetched(wheel)
    assert {*done.missing} == {sdist.filename}
    assert f"its sha256 is {sdist.sha256}" in done.missing[sdist.filename]


def test_packages_that_are_named_are_the_newest_release(index: Index) -> None:
    old, _ = index.add("newest", "1.9")
    new, _ = index.add("newest", "1.10")
    early, _ = index.add("newest", "2.0rc1")
    assert mirror(index.server, "pip", "--packages", "Newest").code == 0
    assert [index.is_fetched(one) for one in (old, new, early)] == [False, True, False]
    assert mirror(index.server, "pip", "--packages", "newest==2.0rc1").code == 0
    assert [index.is_fetched(one) for one in (old, new, early)] == [False, True, True]
    assert mirror(index.server, "pip", "--packages", "newest", "--all-versions").code == 0
    assert index.is_fetched(old)


def test_an_index_that_is_away_for_a_moment_is_asked_again(index: Index, tmp_path: Path) -> None:
    wheel, _ = index.add("patient")
    index.up.once(index.listed.path_of(wheel.filename), *[Answer(status=503)] * 3)
    file = tmp_path / "uv.lock"
    file.write_text(locked(wheel))
    done = mirror(index.server, "uv", "--lockfile", file)
    assert done.code == 0, done.stderr
    assert index.is_fetched(wheel)


def test_a_file_that_is_not_what_the_index_says_is_missing(index: Index, tmp_path: Path) -> None:
    wheel, _ = index.add("lying", body=document(b"something else"))
    file = tmp_path / "uv.lock"
    file.write_text(locked(wheel))
    done = mirror(index.server, "uv", "--lockfile", file, "--json")
    assert done.code == 1
    assert "attempts)" in done.missing[wheel.filename]
