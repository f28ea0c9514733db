"""helm, oras and crane at a registry that asks who is asking."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.conftest import Closed
from tests.support.access import Credentials, wrong_credentials
from tests.support.command import run
from tests.support.images import Layout

Names = Callable[[str], str]
REFUSED = ("unauthorized", "denied", "UNAUTHORIZED", "DENIED", "basic credential not found")
KINDS = pytest.mark.parametrize("kind", ["write", "password"])


def assert_refused(output: str) -> None:
    assert any(word in output for word in REFUSED), output


def words_of(who: Credentials) -> tuple[str, ...]:
    return "--username", who.user, "--password", who.secret


# -- helm --------------------------------------------------------------------------------------------------


@pytest.fixture
def chart(tmp_path: Path) -> Path:
    run("helm", "create", "web", cwd=tmp_path)
    run("helm", "package", "web", "--version=1.2.3", cwd=tmp_path)
    return tmp_path / "web-1.2.3.tgz"


def helm_login(address: str, who: Credentials, fails: bool = False) -> str:
    return run("helm", "registry", "login", "--plain-http", *words_of(who), address, fails=fails)


@pytest.mark.client("helm")
@KINDS
def test_helm(closed: Closed, repository: Names, chart: Path, tmp_path: Path, kind: str) -> None:
    target = f"oci://{closed.address}/{repository('charts')}"
    out = tmp_path / "out"
    out.mkdir()
    pull = ("helm", "pull", f"{target}/web", "--version=1.2.3", "--plain-http", f"--destination={out}")
    assert_refused(run("helm", "push", chart, target, "--plain-http", fails=True))
    helm_login(closed.address, wrong_credentials(), fails=True)
    helm_login(closed.address, getattr(closed, kind))
    run("helm", "push", chart, target, "--plain-http")
    run(*pull)
    helm_login(closed.address, closed.read)
    run(*pull)
    assert_refused(run("helm", "push", chart, f"{target}/more", "--plain-http", fails=True))
    run("helm", "registry", "logout", closed.address)
    assert_refused(run(*pull, fails=True))


# -- oras --------------------------------------------------------------------------------------------------


def oras_login(address: str, who: Credentials, fails: bool = False) -> str:
    return run("oras", "login", "--plain-http", *words_of(who), address, fails=fails)


@pytest.mark.client("oras")
@KINDS
def test_oras(closed: Closed, repository: Names, tmp_path: Path, kind: str) -> None:
    reference = f"{closed.address}/{repository('artifact')}:v1"
    (tmp_path / "file").write_text(repository(kind))

    def push(target: str, fails: bool = False) -> str:
        return run("oras", "push", "--plain-http", target, "file:text/plain", cwd=tmp_path, fails=fails)

    pull = ("oras", "pull", "--plain-http", "--output", tmp_path / "out", reference)
    assert_refused(push(reference, fails=True))
    oras_login(closed.address, wrong_credentials(), fails=True)
    oras_login(closed.address, getattr(closed, kind))
    push(reference)
    run(*pull)
    run("oras", "attach", "--plain-http", "--artifact-type=text/x", reference, "file", cwd=tmp_path)
    run(
        "oras",
        "cp",
        "--from-plain-http",
        "--to-plain-http",
        reference,
        f"{closed.address}/{repository('b')}:v1",
    )
    oras_login(closed.address, closed.read)
    run(*pull)
    assert_refused(push(f"{reference}2", fails=True))
    run("oras", "logout", closed.address)
    assert_refused(run(*pull, fails=True))


# -- crane -------------------------------------------------------------------------------------------------


def crane(*words: str | Path, fails: bool = False) -> str:
    return run("crane", "--insecure", *words, fails=fails).strip()


@pytest.mark.client("crane")
@KINDS
def test_crane(closed: Closed, repository: Names, multi: Layout, tmp_path: Path, kind: str) -> None:
    name = f"{closed.address}/{repository('app')}"
    assert_refused(crane("push", multi.path, f"{name}:v1", fails=True))
    crane("auth", "login", closed.address, *words_of(getattr(closed, kind)))
    crane("push", multi.path, f"{name}:v1")
    assert crane("digest", f"{name}:v1") == multi.digest
    crane("copy", f"{name}:v1", f"{closed.address}/{repository('copy')}:v1")
    assert repository("app") in crane("catalog", closed.address).split()
    assert_refused(crane("delete", f"{name}@{multi.digest}", fails=True))
    crane("auth", "login", closed.address, *words_of(closed.read))
    crane("pull", "--format=oci", f"{name}:v1", tmp_path / "back")
    assert_refused(crane("push", multi.path, f"{name}:v2", fails=True))
    crane("auth", "login", closed.address, *words_of(closed.admin))
    crane("delete", f"{name}@{multi.digest}")
    crane("auth", "logout", closed.address)
    assert_refused(crane("ls", name, fails=True))


@pytest.mark.client("crane")
def test_crane_pulls_what_is_public(mixed: Closed, repository: Names, multi: Layout, tmp_path: Path) -> None:
    name = f"{mixed.address}/{repository('app')}"
    assert_refused(crane("push", multi.path, f"{name}:v1", fails=True))
    crane("auth", "login", mixed.address, *words_of(mixed.write))
    crane("push", multi.path, f"{name}:v1")
    crane("auth", "logout", mixed.address)
    assert crane("digest", f"{name}:v1") == multi.digest
    assert repository("app") in crane("catalog", mixed.address).split()
    crane("pull", "--format=oci", f"{name}:v1", tmp_path / "back")
