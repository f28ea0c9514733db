"""uv: installs through the cache, ranges, refreshes, publishes, credentials."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import Closed
from tests.contracts.installers import InstallerContract
from tests.support.answers import Answer
from tests.support.mirror import Mirror, mirrored, post_file, publish
from tests.support.python_clients import Tool, installed, module_of
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from tests.support.wheels import Release

pytestmark = pytest.mark.client
Names = Callable[[str], str]


@pytest.fixture(scope="module")
def uv(tool: Callable[..., Tool]) -> Tool:
    return tool("uv")


class Install:
    """uv pip install into a folder of its own."""

    def __init__(self, uv: Tool, folder: Path) -> None:
        self._uv = uv
        self._folder = folder
        self._count = 0
        self.cached = ("--cache-dir", str(folder / "cache"))

    def __call__(self, index: str, *words: str, fails: bool = False) -> dict[str, str]:
        """What is installed, by module name. Without a cache unless `words` have one."""
        self._count += 1
        self._folder.mkdir(exist_ok=True)
        target = self._folder / f"target{self._count}"
        cached = () if "--cache-dir" in words else ("--no-cache",)
        self._uv(
            "pip", "install", *cached, "--index-url", index, "--python", sys.executable, "--target", target,
            *words, fails=fails,
        )  # fmt: skip
        return installed(target)


@pytest.fixture
def install(uv: Tool, tmp_path: Path) -> Install:
    return Install(uv, tmp_path)


class TestUv(InstallerContract):
    """Installs like any other."""


def test_a_crowd_that_wants_the_same_asks_the_upstream_once(uv: Tool, tmp_path: Path) -> None:
    names = [f"part-{number}" for number in range(30)]
    with mirrored(tmp_path, workers=4) as mirror:
        mirror.index.add(Release(project="app", requires=names, padding=5_000_000).wheel())
        for name in names:
            mirror.index.add(Release(project=name, padding=20_000).wheel())
        clients = [Install(uv, tmp_path / str(number)) for number in range(8)]
        with ThreadPoolExecutor(len(clients)) as pool:
            found = list(pool.map(lambda install: install(mirror.simple, "app"), clients))
        assert found == [{"app": "1.0", **dict.fromkeys(map(module_of, sorted(names)), "1.0")}] * len(clients)
        asked = Counter(one.path for one in mirror.up.log.requests)
        assert {path: count for path, count in asked.items() if count > 1} == {}
        assert len(asked) == 3 * 31


def test_links_without_hashes(mirror: Mirror, install: Install, project: Names) -> None:
    app = project("app")
    mirror.index.add(Release(project=app).wheel(), hashes=False)
    assert install(mirror.simple, app) == {module_of(app): "1.0"}


def test_a_refresh_changes_nothing_when_nothing_has_changed(
    mirror: Mirror, install: Install, project: Names
) -> None:
    app = project("app")
    mirror.index.add(Release(project=app, padding=50_000).wheel())
    relay = Relay(mirror.server.url)
    with relay.running() as between:
        index = f"{between.url}/simple/"
        install(index, app, *install.cached)
        assert set(relay.statuses()) == {200}
        relay.kinds.clear()
        install(index, app, *install.cached)
        assert relay.kinds == []
        install(index, app, *install.cached, "--refresh")
        assert relay.statuses()
        assert set(relay.statuses()) == {304}


def test_python_and_yanks_are_respected(mirror: Mirror, install: Install, project: Names) -> None:
    app = project("app")
    for version, python, yanked in [
        ("1.0", ">=3.8", False),
        ("2.0", ">=3.8", "broken"),
        ("3.0", ">=3.99", False),
    ]:
        wheel = Release(project=app, version=version, requires_python=python).wheel()
        mirror.index.add(wheel, yanked=yanked)
    assert install(mirror.simple, app) == {module_of(app): "1.0"}
    assert install(mirror.simple, f"{app}==2.0") == {module_of(app): "2.0"}
    assert [one for one in mirror.asked(app) if "3.0" in one] == []


def test_metadata_that_the_upstream_announces_and_does_not_have(
    mirror: Mirror, install: Install, project: Names
) -> None:
    app, lib = project("app"), project("lib")
    mirror.index.add(Release(project=app, requires=[lib]).wheel(), serves_metadata=False)
    mirror.index.add(Release(project=lib).wheel())
    assert install(mirror.simple, app) == {module_of(app): "1.0", module_of(lib): "1.0"}


def test_metadata_is_read_out_of_a_wheel_by_ranges(own_mirror: Mirror, install: Install) -> None:
    own_mirror.index.metadata = False
    own_mirror.index.add(Release(project="app", requires=["lib"], padding=2_000_000).wheel())
    own_mirror.index.add(Release(project="lib").wheel())
    relay = Relay(own_mirror.server.url)
    with relay.running() as between:
        assert install(f"{between.url}/simple/", "app") == {"app": "1.0", "lib": "1.0"}
    assert set(relay.statuses("HEAD")) == {200}
    assert 206 in relay.statuses("GET")


def test_what_was_uploaded_later_is_not_seen(mirror: Mirror, install: Install, project: Names) -> None:
    app, own = project("app"), project("own")
    mirror.index.add(Release(project=app, version="1.0").wheel(), upload_time="2024-01-01T00:00:00Z")
    mirror.index.add(Release(project=app, version="2.0").wheel(), upload_time="2025-01-01T00:00:00.5Z")
    assert install(mirror.simple, app, "--exclude-newer", "2024-06-01") == {module_of(app): "1.0"}
    publish(mirror.server.url, Release(project=own).wheel())
    assert install(mirror.simple, own, "--exclude-newer", "2099-01-01") == {module_of(own): "1.0"}
    install(mirror.simple, own, "--exclude-newer", "2024-06-01", fails=True)


def test_the_upstream_is_down_and_comes_back(own_mirror: Mirror, install: Install) -> None:
    own_mirror.index.add(Release(project="app").wheel())
    own_mirror.index.add(Release(project="other").wheel())
    assert install(own_mirror.simple, "app") == {"app": "1.0"}
    own_mirror.up.stop()
    time.sleep(2.5)  # what is cached is not fresh any more, nor served while it is asked for
    assert install(own_mirror.simple, "app") == {"app": "1.0"}
    install(own_mirror.simple, "other", fails=True)
    own_mirror.up.start()
    page = f"{own_mirror.simple}other/"
    wait_until(lambda: httpx.get(page, trust_env=False, timeout=60).status_code == 200, "the page")
    assert install(own_mirror.simple, "other") == {"other": "1.0"}


# Publishing


def uploads(uv: Tool, url: str, *files: Path, user: tuple[str, str] = ("x", "y"), check: bool = False) -> str:
    words = ["--check-url", f"{url}/simple/"] if check else []
    name, password = user
    return uv("publish", "--publish-url", f"{url}/legacy/", "-u", name, "-p", password, *words, *files)


def test_publish_check_and_install(
    mirror: Mirror, uv: Tool, install: Install, project: Names, tmp_path: Path
) -> None:
    own = project("own")
    relay = Relay(mirror.server.url)
    with relay.running() as between:
        for version in ("1.0", "1.1"):
            release = Release(project=own, version=version)
            files = [built.write(tmp_path / version) for built in (release.wheel(), release.sdist())]
            uploads(uv, between.url, *files)
            assert install(mirror.simple, own, *install.cached) == {module_of(own): version}
        assert relay.statuses("POST") == [200] * 4
        # The same again is nothing new, and with a look at the page nothing is sent.
        uploads(uv, between.url, *files)
        assert relay.statuses("POST") == [200] * 6
        uploads(uv, between.url, *files, check=True)
        assert len(relay.statuses("POST")) == 6
    assert mirror.asked(own) == []


def test_a_lost_answer_to_an_upload(mirror: Mirror, uv: Tool, project: Names, tmp_path: Path) -> None:
    file = Release(project=project("own")).wheel().write(tmp_path)
    relay = Relay(mirror.server.url, lost=[Answer(status=502)])
    with relay.running() as between:
        uploads(uv, between.url, file, check=True)
    assert set(relay.statuses("POST")) == {200}


def test_other_bytes_are_refused_with_a_reason(
    mirror: Mirror, uv: Tool, project: Names, tmp_path: Path
) -> None:
    own = project("own")
    uploads(uv, mirror.server.url, Release(project=own).wheel().write(tmp_path / "one"))
    with pytest.raises(AssertionError, match="already exists"):
        uploads(uv, mirror.server.url, Release(project=own, seed="other").wheel().write(tmp_path / "two"))


# Credentials


@pytest.fixture(scope="module")
def own(closed: Closed) -> str:
    """A project that only who is known can see."""
    wheel = Release(project="closed-uv").wheel()
    assert post_file(closed.server.url, wheel, user=closed.write.basic).status_code == 200
    return wheel.project


def test_credentials_in_the_url_netrc_and_keyring(
    closed: Closed, own: str, install: Install, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, secret = closed.read.basic
    plain = f"{closed.server.url}/simple/"
    install(plain, own, fails=True)
    assert install(f"http://{user}:{secret}@{closed.address}/simple/", own) == {"closed_uv": "1.0"}
    stub = tmp_path / "bin" / "keyring"
    stub.parent.mkdir()
    stub.write_text(f"#!/bin/sh\necho '{secret}'\n")
    stub.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{stub.parent}:/usr/bin:/bin")
        named = f"http://{user}@{closed.address}/simple/"
        assert install(named, own, "--keyring-provider", "subprocess") == {"closed_uv": "1.0"}
    (home / ".netrc").write_text(f"machine 127.0.0.1 login {user} password {secret}\n")
    (home / ".netrc").chmod(0o600)
    assert install(plain, own) == {"closed_uv": "1.0"}


def test_publishing_with_a_token(closed: Closed, uv: Tool, tmp_path: Path) -> None:
    file = Release(project="closed-uv-own").wheel().write(tmp_path)
    for refused in (closed.read, None):
        user = ("__token__", "no such token") if refused is None else refused.basic
        with pytest.raises(AssertionError, match=r"40[13]"):
            uploads(uv, closed.server.url, file, user=user)
    uploads(uv, closed.server.url, file, user=("__token__", closed.write.secret))
