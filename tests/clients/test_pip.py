"""pip, the newest and 23: a cache of an index like PyPI, and a place for own packages."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.clients.conftest import Closed
from tests.contracts.installers import InstallerContract
from tests.support.answers import NEVER, Answer, document
from tests.support.mirror import Mirror, post_file, publish
from tests.support.python_clients import Tool, installed, module_of
from tests.support.relay import Relay
from tests.support.waiting import wait_until
from tests.support.wheels import Release

pytestmark = pytest.mark.client
Names = Callable[[str], str]


@pytest.fixture(scope="module", params=["pip", "pip==23.3.2"])
def pip(request: pytest.FixtureRequest, tool: Callable[..., Tool]) -> Tool:
    return tool(request.param, command="pip")


@pytest.fixture(scope="module")
def newest(tool: Callable[..., Tool]) -> Tool:
    return tool("pip")


class Install:
    """pip install into a folder of its own; `log` is all that pip said the last time."""

    def __init__(self, pip: Tool, folder: Path) -> None:
        self._pip = pip
        self._folder = folder
        self._count = 0
        self.log = ""

    def __call__(self, index: str, *words: str, fails: bool = False) -> dict[str, str]:
        """What is installed, by module name. Without a cache unless `words` have one."""
        self._count += 1
        target, log = self._folder / f"target{self._count}", self._folder / f"log{self._count}"
        cached = () if "--cache-dir" in words else ("--no-cache-dir",)
        try:
            self._pip(
                "install",
                *cached,
                "--log",
                log,
                "--index-url",
                index,
                "--target",
                target,
                *words,
                fails=fails,
            )
        finally:
            self.log = log.read_text(errors="replace")
        return installed(target)


@pytest.fixture
def install(pip: Tool, tmp_path: Path) -> Install:
    return Install(pip, tmp_path)


@pytest.fixture
def install_newest(newest: Tool, tmp_path: Path) -> Install:
    return Install(newest, tmp_path)


class TestPip(InstallerContract):
    """Installs like any other."""


def test_an_index_of_yesterday(own_mirror: Mirror, install: Install) -> None:
    index = own_mirror.index
    index.json = index.metadata = index.hashes = index.etags = index.ranges = False
    index.quote, index.hrefs, index.max_age = "'", "relative", None
    index.add(Release(project="App.Of", requires=["lib-x>1"]).wheel())
    index.add(
        Release(project="lib-x", version="1.0").wheel(), Release(project="lib-x", version="2.0+local").wheel()
    )
    assert install(own_mirror.simple, "app_of") == {"app_of": "1.0", "lib_x": "2.0+local"}


def test_the_newest_version_is_not_touched_by_a_python_that_is_too_old(
    mirror: Mirror, install: Install, project: Names
) -> None:
    app = project("app")
    mirror.index.add(Release(project=app, version="1.0", requires_python=">=3.8").wheel())
    mirror.index.add(Release(project=app, version="2.0", requires_python=">=3.99").wheel())
    assert install(mirror.simple, app) == {module_of(app): "1.0"}
    assert [one for one in mirror.asked(app) if "2.0" in one] == []


def test_what_is_yanked_is_skipped_and_still_there(own_mirror: Mirror, install: Install) -> None:
    one, two = (Release(project="app", version=version).wheel() for version in ("1.0", "2.0"))
    own_mirror.index.add(one)
    own_mirror.index.add(two, yanked='broken "badly" & <often>')
    assert install(own_mirror.simple, "app") == {"app": "1.0"}
    assert install(own_mirror.simple, "app==2.0") == {"app": "2.0"}
    assert 'broken "badly" & <often>' in install.log
    own_mirror.index.find(two.filename).yanked = False
    assert install_when_refreshed(install, own_mirror.simple, "app", "2.0")
    own_mirror.index.remove(two.filename)
    assert install_when_refreshed(install, own_mirror.simple, "app", "1.0")


def test_what_was_yanked_here(mirror: Mirror, install: Install, project: Names) -> None:
    own = project("own")
    publish(mirror.server.url, *(Release(project=own, version=version).wheel() for version in ("1.0", "2.0")))
    with httpx.Client(base_url=f"{mirror.server.url}/pypi/{own}/2.0", trust_env=False) as client:
        assert client.post("/yank", json={"reason": "broken & bad"}).status_code == 200
        assert install(mirror.simple, own) == {module_of(own): "1.0"}
        assert install(mirror.simple, f"{own}==2.0") == {module_of(own): "2.0"}
        assert "broken & bad" in install.log
        assert client.post("/unyank", json={}).status_code == 200
        assert install(mirror.simple, own) == {module_of(own): "2.0"}


def install_when_refreshed(install: Install, index: str, name: str, version: str) -> bool:
    """Whether `version` is what pip takes, within some refreshes of the page. Who had the page just before it
    changed may ask for a file that the upstream has removed, and is told so."""

    def is_taken() -> bool:
        try:
            return install(index, name)[name] == version
        except AssertionError:
            assert "404 Client Error" in install.log
            return False

    return wait_until(is_taken, f"{name} {version} to be taken")


def test_metadata_that_the_upstream_announces_and_does_not_have(
    mirror: Mirror, install: Install, project: Names
) -> None:
    app, lib = project("app"), project("lib")
    wheel = Release(project=app, requires=[lib]).wheel()
    mirror.index.add(wheel, serves_metadata=False)
    mirror.index.add(Release(project=lib).wheel())
    assert install(mirror.simple, app) == {module_of(app): "1.0", module_of(lib): "1.0"}
    served = httpx.get(f"{mirror.simple}{app}/{wheel.filename}.metadata", trust_env=False)
    assert (served.status_code, served.content) == (200, wheel.metadata)


def test_metadata_of_a_cached_wheel_is_announced(own_mirror: Mirror, install: Install) -> None:
    own_mirror.index.metadata = False
    own_mirror.index.add(Release(project="app").wheel())
    install(own_mirror.simple, "app")
    assert ".metadata" not in install.log
    install(own_mirror.simple, "app")
    assert ".metadata" in install.log


def test_metadata_is_read_out_of_a_wheel_by_ranges(own_mirror: Mirror, install_newest: Install) -> None:
    own_mirror.index.metadata = False
    own_mirror.index.add(Release(project="app", requires=["lib"], padding=2_000_000).wheel())
    own_mirror.index.add(Release(project="lib", padding=100_000).wheel())
    relay = Relay(own_mirror.server.url)
    with relay.running() as between:
        found = install_newest(f"{between.url}/simple/", "app", "--use-feature=fast-deps")
    assert found == {"app": "1.0", "lib": "1.0"}
    assert relay.statuses("HEAD")
    assert set(relay.statuses("HEAD")) == {200}
    assert 206 in relay.statuses("GET")


def test_what_was_uploaded_later_is_not_seen(mirror: Mirror, install_newest: Install, project: Names) -> None:
    app, own = project("app"), project("own")
    mirror.index.add(Release(project=app, version="1.0").wheel(), upload_time="2024-01-01T00:00:00Z")
    mirror.index.add(Release(project=app, version="2.0").wheel(), upload_time="2025-01-01T00:00:00.5Z")
    assert install_newest(mirror.simple, app, "--uploaded-prior-to", "2024-06-01") == {module_of(app): "1.0"}
    publish(mirror.server.url, Release(project=own).wheel())
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%d")
    assert install_newest(mirror.simple, own, "--uploaded-prior-to", tomorrow) == {module_of(own): "1.0"}
    install_newest(mirror.simple, own, "--uploaded-prior-to", "2024-06-01", fails=True)


def test_nothing_is_asked_twice_within_max_age(
    mirror: Mirror, install_newest: Install, project: Names, tmp_path: Path
) -> None:
    app = project("app")
    mirror.index.add(Release(project=app, padding=50_000).wheel())
    relay = Relay(mirror.server.url)
    with relay.running() as between:
        words = [app, "--trusted-host", urlsplit(between.url).netloc, "--cache-dir", str(tmp_path / "cache")]
        index = f"{between.url}/simple/"
        install_newest(index, *words)
        assert relay.statuses() == [200, 200, 200]
        relay.kinds.clear()
        install_newest(index, *words)
        assert relay.kinds == []
        install_newest(index, *words, "--refresh-package", ":all:")
        assert relay.statuses()
        assert set(relay.statuses()) == {304}


def test_what_was_just_published_is_installed_next(
    mirror: Mirror, install: Install, project: Names, tmp_path: Path
) -> None:
    own = project("own")
    words = [own, "--trusted-host", mirror.server.address, "--cache-dir", str(tmp_path / "cache")]
    for version in ("1.0", "1.1", "1.2"):
        publish(mirror.server.url, Release(project=own, version=version).wheel())
        assert install(mirror.simple, *words) == {module_of(own): version}


def test_the_upstream_is_down_and_comes_back(own_mirror: Mirror, install_newest: Install) -> None:
    own_mirror.index.add(Release(project="app").wheel())
    own_mirror.index.add(Release(project="other").wheel())
    assert install_newest(own_mirror.simple, "app") == {"app": "1.0"}
    own_mirror.up.stop()
    time.sleep(2.5)  # what is cached is not fresh any more, nor served while it is asked for
    assert install_newest(own_mirror.simple, "app") == {"app": "1.0"}
    page = httpx.get(f"{own_mirror.simple}app/", trust_env=False, timeout=30)
    assert (page.status_code, page.headers["x-nora-stale"]) == (200, "true")
    unknown = httpx.get(f"{own_mirror.simple}other/", trust_env=False, timeout=30)
    assert unknown.status_code == 503
    assert int(unknown.headers["retry-after"]) > 0
    own_mirror.up.start()
    # pip itself waits as long as Retry-After says.
    assert install_newest(own_mirror.simple, "other") == {"other": "1.0"}


def test_an_upstream_that_does_not_answer_in_time(own_mirror: Mirror, install_newest: Install) -> None:
    own_mirror.index.add(Release(project="app").wheel())
    assert install_newest(own_mirror.simple, "app") == {"app": "1.0"}
    own_mirror.up.fault = Answer(delay=NEVER)
    time.sleep(2.5)  # what is cached is not fresh any more, nor served while it is asked for
    assert install_newest(own_mirror.simple, "app", "--timeout", "12", "--retries", "0") == {"app": "1.0"}


def test_offline(own_mirror: Mirror, install_newest: Install) -> None:
    own_mirror.index.add(Release(project="app", requires=["lib"]).wheel(), Release(project="lib").sdist())
    own_mirror.index.add(Release(project="other").wheel())
    assert install_newest(own_mirror.simple, "app") == {"app": "1.0", "lib": "1.0"}
    own_mirror.server.env = {**own_mirror.server.env, "NORA_PROXY_MODE": "offline"}
    own_mirror.server.restart()
    connections = own_mirror.up.connections
    time.sleep(2.5)  # however old it is
    assert install_newest(own_mirror.simple, "app") == {"app": "1.0", "lib": "1.0"}
    install_newest(own_mirror.simple, "other", fails=True)
    assert own_mirror.up.connections == connections


def test_a_wheel_that_the_upstream_cuts_or_changes_is_never_kept(
    own_mirror: Mirror, install_newest: Install
) -> None:
    wheel = Release(project="app", padding=500_000).wheel()
    own_mirror.index.add(wheel)
    listed = own_mirror.index.find(wheel.filename)
    wrong = bytes(reversed(wheel.body))
    for body in (document(wheel.body, cut=len(wheel.body) // 2, ranges=False), document(wrong)):
        listed.body = body
        install_newest(own_mirror.simple, "app", "--retries", "0", "--resume-retries", "0", fails=True)
    listed.body = None
    assert install_newest(own_mirror.simple, "app") == {"app": "1.0"}


# Credentials


@pytest.fixture(scope="module")
def own(closed: Closed) -> str:
    """A project that only who is known can see."""
    wheel = Release(project="closed-own").wheel()
    assert post_file(closed.server.url, wheel, user=closed.write.basic).status_code == 200
    return wheel.project


def test_credentials_in_the_url(closed: Closed, own: str, install: Install) -> None:
    for who in (closed.read, closed.password):
        user, secret = who.basic
        url = f"http://{user}:{secret.replace(' ', '%20')}@{closed.address}/simple/"
        assert install(url, own) == {"closed_own": "1.0"}
    install(f"{closed.server.url}/simple/", own, fails=True)


def test_credentials_of_netrc(closed: Closed, own: str, install: Install, home: Path) -> None:
    user, secret = closed.read.basic
    netrc = home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {user} password {secret}\n")
    netrc.chmod(0o600)
    assert install(f"{closed.server.url}/simple/", own) == {"closed_own": "1.0"}


def test_credentials_of_a_keyring(
    closed: Closed, own: str, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, secret = closed.read.basic
    stub = tmp_path / "bin" / "keyring"
    stub.parent.mkdir()
    # Today's pip asks for JSON, and 23 for the password alone.
    found = json.dumps({"username": user, "password": secret})
    stub.write_text(
        f"#!/bin/sh\necho \"$*\" >>'{tmp_path}/asked'\n"
        f"case \"$*\" in *json*) echo '{found}' ;; *) echo '{secret}' ;; esac\n"
    )
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stub.parent}:/usr/bin:/bin")
    index = f"http://{user}@{closed.address}/simple/"
    assert install(index, own, "--keyring-provider", "subprocess") == {"closed_own": "1.0"}
    assert "get" in (tmp_path / "asked").read_text()


def test_who_may_not(closed: Closed, own: str) -> None:
    page = f"{closed.server.url}/simple/{own}/"
    anonymous = httpx.get(page, trust_env=False)
    assert anonymous.status_code == 401
    assert re.match(r'Basic realm="', anonymous.headers["www-authenticate"])
    assert httpx.get(page, headers=closed.read.bearer, trust_env=False).status_code == 200
    wheel = Release(project=own, version="2.0").wheel()
    refused = [
        post_file(closed.server.url, wheel, user=user).status_code for user in (closed.read.basic, None)
    ]
    assert refused == [403, 401]
