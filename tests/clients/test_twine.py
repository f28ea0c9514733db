"""twine: uploads, again and again, with answers that get lost, with credentials good and bad."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.clients.conftest import Closed
from tests.support.answers import Answer
from tests.support.mirror import Mirror
from tests.support.python_clients import Tool
from tests.support.relay import Relay
from tests.support.wheels import Release

pytestmark = pytest.mark.client
Names = Callable[[str], str]
CUT = Answer(raw=b"")


@pytest.fixture(scope="module")
def twine(tool: Callable[..., Tool]) -> Tool:
    return tool("twine")


def upload(
    twine: Tool, url: str, *files: Path, user: tuple[str, str] = ("x", "y"), fails: bool = False
) -> str:
    name, password = user
    return twine(
        "upload", "--non-interactive", "--disable-progress-bar", "--verbose",
        "--repository-url", f"{url}/legacy/", "-u", name, "-p", password, *files, fails=fails,
    )  # fmt: skip


def listed(url: str, name: str) -> list[str]:
    """The file names on the page of a project."""
    accept = {"accept": "application/vnd.pypi.simple.v1+json"}
    page = httpx.get(f"{url}/simple/{name}/", headers=accept, trust_env=False)
    assert page.status_code == 200
    return sorted(file["filename"] for file in page.json()["files"])


def test_a_wheel_and_an_sdist_and_both_again(
    mirror: Mirror, twine: Tool, project: Names, tmp_path: Path
) -> None:
    own = Release(project=project("own"), requires=["x>=1"], requires_python=">=3.8")
    files = [built.write(tmp_path) for built in (own.wheel(), own.sdist())]
    for _ in range(2):
        upload(twine, mirror.server.url, *files)
        assert listed(mirror.server.url, own.project) == sorted(file.name for file in files)
    assert mirror.asked(own.project) == []


@pytest.mark.parametrize("path", ["/legacy/", "/legacy", "/simple/", "/simple"])
def test_wherever_it_is_sent(mirror: Mirror, twine: Tool, project: Names, tmp_path: Path, path: str) -> None:
    own = project("own")
    file = Release(project=own).wheel().write(tmp_path)
    twine("upload", "-u", "x", "-p", "y", "--repository-url", f"{mirror.server.url}{path}", file)
    assert listed(mirror.server.url, own) == [file.name]


def test_other_bytes_are_refused_with_a_reason(
    mirror: Mirror, twine: Tool, project: Names, tmp_path: Path
) -> None:
    own = project("own")
    upload(twine, mirror.server.url, Release(project=own).wheel().write(tmp_path / "one"))
    other = Release(project=own, seed="other").wheel().write(tmp_path / "two")
    said = upload(twine, mirror.server.url, other, fails=True)
    assert "409" in said
    assert "File already exists" in said


def test_an_answer_that_got_lost(mirror: Mirror, twine: Tool, project: Names, tmp_path: Path) -> None:
    own = project("own")
    file = Release(project=own, padding=200_000).wheel().write(tmp_path)
    relay = Relay(mirror.server.url, lost=[Answer(status=502), Answer(status=503)])
    with relay.running() as between:
        upload(twine, between.url, file)
    assert relay.statuses("POST") == [200, 200, 200]
    again = Release(project=own, version="2.0").wheel().write(tmp_path)
    relay = Relay(mirror.server.url, lost=[CUT])
    with relay.running() as between:
        upload(twine, between.url, again, fails=True)
        upload(twine, between.url, again)
    assert relay.statuses("POST") == [200, 200]
    assert listed(mirror.server.url, own) == [file.name, again.name]


def test_credentials(closed: Closed, twine: Tool, tmp_path: Path) -> None:
    files = [Release(project="closed-twine", version=str(n)).wheel().write(tmp_path) for n in range(3)]
    url = closed.server.url
    assert "403" in upload(twine, url, files[0], user=closed.read.basic, fails=True)
    assert "401" in upload(twine, url, files[0], user=("__token__", "no such token"), fails=True)
    upload(twine, url, files[0], user=("__token__", closed.write.secret))
    upload(twine, url, files[1], user=closed.write.basic)
    upload(twine, url, files[2], user=closed.password.basic)


def test_a_pypirc(closed: Closed, twine: Tool, tmp_path: Path, home: Path) -> None:
    (home / ".pypirc").write_text(
        f"[distutils]\nindex-servers = nora\n\n[nora]\nrepository = {closed.server.url}/legacy/\n"
        f"username = __token__\npassword = {closed.write.secret}\n"
    )
    twine("upload", "--repository", "nora", Release(project="closed-pypirc").wheel().write(tmp_path))
