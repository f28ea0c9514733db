"""docker at a registry that asks who is asking: login, push and pull, by password and by token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Closed
from tests.support import containers
from tests.support.access import Credentials, wrong_credentials
from tests.support.containers import Docker

pytestmark = pytest.mark.client("docker", "dockerd", "containerd")
Names = Callable[[str], str]
REFUSED = ("unauthorized", "denied", "no basic auth credentials")


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    with containers.docker() as client:
        yield client


@pytest.fixture
def image(docker: Docker, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The id of an image that no registry has."""
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "file").write_text(f"{request.node.name}\n" * 1000)
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY file /file\n")
    return docker("build", "--quiet", folder).strip()


def login(docker: Docker, address: str, who: Credentials, fails: bool = False) -> str:
    return docker("login", "--username", who.user, "--password", who.secret, address, fails=fails)


def push(docker: Docker, image: str, reference: str, fails: bool = False) -> str:
    docker("tag", image, reference)
    return docker("push", reference, fails=fails)


def pull(docker: Docker, image: str, reference: str, fails: bool = False) -> str:
    docker("image", "rm", "--force", image)
    return docker("pull", reference, fails=fails)


def assert_refused(output: str) -> None:
    assert any(word in output for word in REFUSED), output


@pytest.mark.parametrize("kind", ["write", "password"])
def test_login_push_and_pull(
    closed: Closed, docker: Docker, image: str, repository: Names, home: Path, kind: str
) -> None:
    reference = f"{closed.address}/{repository('app')}:1"
    assert_refused(push(docker, image, reference, fails=True))
    assert "Login Succeeded" in login(docker, closed.address, getattr(closed, kind))
    # What docker keeps is a token that opens sessions; the secret itself is not on the disk.
    (kept,) = json.loads((home / ".docker" / "config.json").read_text())["auths"].values()
    assert kept["identitytoken"].count(".") == 2
    push(docker, image, reference)
    pull(docker, image, reference)
    push(docker, image, f"{closed.address}/{repository('other')}:1")  # its layers are mounted
    docker("logout", closed.address)
    assert_refused(pull(docker, image, reference, fails=True))


def test_the_latest_tag_moves_with_a_push(
    closed: Closed, docker: Docker, image: str, tmp_path: Path, repository: Names
) -> None:
    login(docker, closed.address, closed.write)
    reference = f"{closed.address}/{repository('app')}:latest"
    push(docker, image, reference)
    (tmp_path / "image" / "file").write_text("changed")
    push(docker, docker("build", "--quiet", tmp_path / "image").strip(), reference)


@pytest.mark.parametrize("kind", ["password", "write"])
def test_a_wrong_secret_does_not_log_in(closed: Closed, docker: Docker, kind: str) -> None:
    who: Credentials = getattr(closed, kind)
    wrong = Credentials(who.user, who.secret[:-1] + ("x" if who.secret[-1] != "x" else "y"))
    assert_refused(login(docker, closed.address, wrong, fails=True))


def test_who_may_read_pulls_and_does_not_push(
    closed: Closed, docker: Docker, image: str, repository: Names
) -> None:
    reference = f"{closed.address}/{repository('app')}:1"
    login(docker, closed.address, closed.write)
    push(docker, image, reference)
    login(docker, closed.address, closed.read)
    pull(docker, image, reference)
    assert_refused(push(docker, image, f"{closed.address}/{repository('other')}:1", fails=True))


def test_anybody_pulls_and_who_is_known_pushes(
    mixed: Closed, docker: Docker, image: str, repository: Names
) -> None:
    reference = f"{mixed.address}/{repository('app')}:1"
    assert_refused(push(docker, image, reference, fails=True))
    assert_refused(login(docker, mixed.address, wrong_credentials(), fails=True))
    login(docker, mixed.address, mixed.write)
    push(docker, image, reference)
    docker("logout", mixed.address)
    pull(docker, image, reference)


def test_the_credentials_of_another_registry_do_not_keep_from_what_is_public(
    mixed: Closed, docker: Docker, image: str, repository: Names, home: Path
) -> None:
    reference = f"{mixed.address}/{repository('app')}:1"
    login(docker, mixed.address, mixed.write)
    push(docker, image, reference)
    auths = {mixed.address: {"auth": "c29tZWJvZHk6ZWxzZQ=="}}  # somebody:else
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
    pull(docker, image, reference)
