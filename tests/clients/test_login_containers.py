"""skopeo and podman at a registry that asks who is asking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.conftest import Closed
from tests.support import containers
from tests.support.access import Credentials, wrong_credentials
from tests.support.command import run
from tests.support.containers import Tool
from tests.support.images import Layout

Names = Callable[[str], str]
REFUSED = ("unauthorized", "denied", "authentication required", "DENIED")


@pytest.fixture
def skopeo(tmp_path: Path) -> Callable[..., str]:
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def call(*words: str | Path, fails: bool = False) -> str:
        return run("skopeo", "--policy", policy, *words, fails=fails)

    return call


@pytest.fixture
def podman() -> Iterator[Tool]:
    with containers.tool("podman") as program:
        yield program


def login(program: Callable[..., str], address: str, who: Credentials, fails: bool = False) -> str:
    words = ("--tls-verify=false", f"--username={who.user}", f"--password={who.secret}")
    return program("login", *words, address, fails=fails)


def assert_refused(output: str) -> None:
    assert any(word in output for word in REFUSED), output


class Skopeo:
    """Push and pull, as the tests below want it."""

    def __init__(self, call: Callable[..., str], layout: Layout, folder: Path) -> None:
        self.call = call
        self.source = f"oci:{layout.path}:v1"
        self.folder = folder

    def push(self, reference: str, fails: bool = False) -> str:
        return self.call("copy", "--dest-tls-verify=false", self.source, f"docker://{reference}", fails=fails)

    def pull(self, reference: str, fails: bool = False) -> str:
        out = f"dir:{self.folder / 'out'}"
        return self.call("copy", "--src-tls-verify=false", f"docker://{reference}", out, fails=fails)


class Podman:
    """The same."""

    def __init__(self, call: Tool, layout: Layout) -> None:
        self.call = call
        self.image = call("pull", "--quiet", f"oci:{layout.path}:v1").strip()

    def push(self, reference: str, fails: bool = False) -> str:
        return self.call("push", "--tls-verify=false", self.image, reference, fails=fails)

    def pull(self, reference: str, fails: bool = False) -> str:
        return self.call("pull", "--tls-verify=false", reference, fails=fails)


@pytest.fixture(
    params=[
        pytest.param("skopeo", marks=pytest.mark.client("skopeo")),
        pytest.param("podman", marks=pytest.mark.client("podman")),
    ]
)
def client(request: pytest.FixtureRequest, single: Layout, tmp_path: Path) -> Skopeo | Podman:
    if request.param == "skopeo":
        return Skopeo(request.getfixturevalue("skopeo"), single, tmp_path)
    return Podman(request.getfixturevalue("podman"), single)


@pytest.mark.parametrize("kind", ["write", "password"])
def test_login_push_and_pull(closed: Closed, client: Skopeo | Podman, repository: Names, kind: str) -> None:
    reference = f"{closed.address}/{repository('app')}:1"
    assert_refused(client.push(reference, fails=True))
    assert "Login Succeeded" in login(client.call, closed.address, getattr(closed, kind))
    client.push(reference)
    client.pull(reference)
    client.push(f"{closed.address}/{repository('other')}:1")
    client.call("logout", closed.address)
    assert_refused(client.pull(reference, fails=True))


def test_a_wrong_secret_does_not_log_in(closed: Closed, client: Skopeo | Podman) -> None:
    wrong = wrong_credentials()
    output = login(client.call, closed.address, wrong, fails=True)
    assert "invalid username/password" in output or any(word in output for word in REFUSED)


def test_who_may_read_pulls_and_does_not_push(
    closed: Closed, client: Skopeo | Podman, repository: Names
) -> None:
    reference = f"{closed.address}/{repository('app')}:1"
    login(client.call, closed.address, closed.write)
    client.push(reference)
    login(client.call, closed.address, closed.read)
    client.pull(reference)
    assert_refused(client.push(f"{closed.address}/{repository('other')}:1", fails=True))


def test_anybody_pulls_and_who_is_known_pushes(
    mixed: Closed, client: Skopeo | Podman, repository: Names
) -> None:
    reference = f"{mixed.address}/{repository('app')}:1"
    assert_refused(client.push(reference, fails=True))
    login(client.call, mixed.address, mixed.write)
    client.push(reference)
    client.call("logout", mixed.address)
    client.pull(reference)


@pytest.mark.client("skopeo")
def test_deleting_is_for_administrators(
    closed: Closed, skopeo: Callable[..., str], single: Layout, repository: Names, tmp_path: Path
) -> None:
    reference = f"{closed.address}/{repository('app')}:1"
    login(skopeo, closed.address, closed.write)
    Skopeo(skopeo, single, tmp_path).push(reference)
    assert_refused(skopeo("delete", "--tls-verify=false", f"docker://{reference}", fails=True))
    login(skopeo, closed.address, closed.admin)
    skopeo("delete", "--tls-verify=false", f"docker://{reference}")
