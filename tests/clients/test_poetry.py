"""poetry: locks and installs through the cache, publishes, skips what is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Closed
from tests.support.mirror import Mirror, post_file, publish
from tests.support.python_clients import Tool, installed, module_of
from tests.support.relay import Relay
from tests.support.wheels import Release, project_folder

pytestmark = pytest.mark.client
Names = Callable[[str], str]


@pytest.fixture(scope="module")
def poetry(tool: Callable[..., Tool]) -> Tool:
    return tool("poetry")


def consumer(folder: Path, index: str, *requirements: str) -> Path:
    """A project that needs `requirements` from one index."""
    folder.mkdir()
    needs = ", ".join(f'"{one}"' for one in requirements)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "consumer"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{needs}]\n'
        f"[tool.poetry]\npackage-mode = false\n"
        f'[[tool.poetry.source]]\nname = "nora"\nurl = "{index}"\npriority = "primary"\n'
    )
    return folder


def install(poetry: Tool, folder: Path) -> dict[str, str]:
    poetry("install", "--no-interaction", cwd=folder)
    return installed(folder / ".venv")


def test_cold_and_warm(mirror: Mirror, poetry: Tool, project: Names, tmp_path: Path, home: Path) -> None:
    app, lib = project("app"), project("lib")
    mirror.index.add(Release(project=app, requires=[f"{lib}>=1"], requires_python=">=3.8").wheel())
    mirror.index.add(Release(project=lib, version="1.5").wheel(), Release(project=lib, version="1.5").sdist())
    mirror.index.add(Release(project=lib, version="2.0").wheel(), yanked="no")
    expected = {module_of(app): "1.0", module_of(lib): "1.5"}
    assert install(poetry, consumer(tmp_path / "one", mirror.simple, app)).items() >= expected.items()
    mirror.up.log.clear()
    env = {"POETRY_CACHE_DIR": str(home / "other-cache")}
    folder = consumer(tmp_path / "two", mirror.simple, app)
    poetry("install", "--no-interaction", cwd=folder, env=env)
    assert installed(folder / ".venv").items() >= expected.items()
    assert mirror.up.log.requests == []


def test_metadata_is_read_out_of_a_wheel_by_ranges(own_mirror: Mirror, poetry: Tool, tmp_path: Path) -> None:
    own_mirror.index.metadata = False
    own_mirror.index.add(Release(project="app", requires=["lib"], padding=2_000_000).wheel())
    own_mirror.index.add(Release(project="lib").wheel())
    relay = Relay(own_mirror.server.url)
    with relay.running() as between:
        poetry("lock", "--no-interaction", cwd=consumer(tmp_path / "one", f"{between.url}/simple/", "app"))
    assert 206 in relay.statuses("GET")


def publishes(
    poetry: Tool, folder: Path, url: str, user: tuple[str, str], *words: str, fails: bool = False
) -> str:
    env = {"POETRY_REPOSITORIES_NORA_URL": f"{url}/legacy/"}
    name, password = user
    return poetry(
        "publish", "--no-interaction", "--repository", "nora", "-u", name, "-p", password, *words,
        cwd=folder, env=env, fails=fails,
    )  # fmt: skip


def test_publish_twice_and_skip(mirror: Mirror, poetry: Tool, project: Names, tmp_path: Path) -> None:
    own = project("own")
    folder = project_folder(tmp_path / "own", Release(project=own))
    for _ in range(2):
        publishes(poetry, folder, mirror.server.url, ("x", "y"))
    other = project_folder(tmp_path / "other", Release(project=own, seed="other"))
    said = publishes(poetry, other, mirror.server.url, ("x", "y"), fails=True)
    assert "409" in said
    publishes(poetry, other, mirror.server.url, ("x", "y"), "--skip-existing")
    found = install(poetry, consumer(tmp_path / "consumer", mirror.simple, own))
    assert found[module_of(own)] == "1.0"
    assert mirror.asked(own) == []


def test_what_was_just_published_is_found_next(
    mirror: Mirror, poetry: Tool, project: Names, tmp_path: Path
) -> None:
    own = project("own")
    folder = consumer(tmp_path / "consumer", mirror.simple, f"{own}>=1")
    for version in ("1.0", "1.1"):
        publish(mirror.server.url, Release(project=own, version=version).wheel())
        poetry("update", "--no-interaction", cwd=folder)
        assert installed(folder / ".venv")[module_of(own)] == version


def test_credentials(closed: Closed, poetry: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = project_folder(tmp_path / "own", Release(project="closed-poetry"))
    publishes(poetry, folder, closed.server.url, closed.read.basic, fails=True)
    publishes(poetry, folder, closed.server.url, ("__token__", closed.write.secret))
    assert post_file(closed.server.url, Release(project="closed-poetry").wheel()).status_code == 401
    user, secret = closed.read.basic
    reader = consumer(tmp_path / "consumer", f"{closed.server.url}/simple/", "closed-poetry")
    poetry("install", "--no-interaction", cwd=reader, fails=True)
    monkeypatch.setenv("POETRY_HTTP_BASIC_NORA_USERNAME", user)
    monkeypatch.setenv("POETRY_HTTP_BASIC_NORA_PASSWORD", secret)
    assert install(poetry, reader)["closed_poetry"] == "1.0"


KEYRING = """from keyring.backend import KeyringBackend
from keyring.credentials import SimpleCredential


class Keyring(KeyringBackend):
    priority = 9

    def get_password(self, service, username):
        return None

    def set_password(self, service, username, password):
        raise NotImplementedError

    def get_credential(self, service, username):
        return SimpleCredential({user!r}, {secret!r}) if "127.0.0.1" in service else None
"""


def test_credentials_in_the_url_netrc_and_keyring(
    closed: Closed, poetry: Tool, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = Release(project="closed-poetry-read").wheel()
    assert post_file(closed.server.url, wheel, user=closed.write.basic).status_code == 200
    user, secret = closed.read.basic
    plain, name = f"{closed.server.url}/simple/", wheel.project

    def installs(folder: str, index: str) -> bool:
        return install(poetry, consumer(tmp_path / folder, index, name))["closed_poetry_read"] == "1.0"

    poetry("lock", "--no-interaction", cwd=consumer(tmp_path / "none", plain, name), fails=True)
    assert installs("url", f"http://{user}:{secret}@{closed.address}/simple/")
    with monkeypatch.context() as patched:
        stub = tmp_path / "stub"
        stub.mkdir()
        (stub / "stub_of_a_keyring.py").write_text(KEYRING.format(user=user, secret=secret))
        patched.setenv("PYTHONPATH", str(stub))
        patched.setenv("PYTHON_KEYRING_BACKEND", "stub_of_a_keyring.Keyring")
        assert installs("keyring", plain)
    netrc = home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {user} password {secret}\n")
    netrc.chmod(0o600)
    assert installs("netrc", plain)
