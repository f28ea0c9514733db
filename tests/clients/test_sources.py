"""Two upstreams, one of them down or lying: what pip, uv, docker and containerd end up with.

The one on the left is the team's own, the one on the right is public and has later versions of everything.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import containers, images
from tests.support.containers import Containerd, Docker
from tests.support.images import Layout
from tests.support.python_clients import Tool, installed, module_of
from tests.support.server import Server, running
from tests.support.wheels import Release
from tests.trust.sites import Fault, Outcome, Site, sites

Names = Callable[[str], str]
Install = Callable[..., dict[str, str]]
BROKEN: tuple[Outcome, ...] = ("401", "403", "500", "cut")

CONFIG = """
[proxy]
mode = "online"
retries = 0
absent_ttl = 0
[circuit_breaker]
enabled = false
[pypi]
metadata_ttl = 0
upstreams = ["{left}/simple", "{right}/simple"]
[docker]
metadata_ttl = 0
upstreams = ["{left}", "{right}"]
"""


@dataclass(frozen=True, slots=True)
class Place:
    server: Server
    left: Site
    right: Site

    @property
    def simple(self) -> str:
        return f"{self.server.url}/simple/"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("sources")
    with ExitStack() as stack:
        left, right = stack.enter_context(sites("left", "right"))
        (folder / "config.toml").write_text(CONFIG.format(left=left.up.url, right=right.up.url))
        env = {"NORA_CONFIG_PATH": str(folder / "config.toml"), "NORA_PROXY_MODE": "online"}
        server = stack.enter_context(running(folder, workers=4, env=env))
        yield Place(server, left, right)


# -- pip and uv ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["pip", "uv"])
def program(request: pytest.FixtureRequest, tool: Callable[..., Tool]) -> Tool:
    return tool(request.param)


@pytest.fixture
def install(program: Tool, tmp_path: Path, place: Place) -> Install:
    """Installs from the registry into a folder of its own; what is there, by module name."""

    def run(*words: str, fails: bool = False) -> dict[str, str]:
        target = tmp_path / f"target{len(list(tmp_path.iterdir()))}"
        if program.command == "uv":
            command = ["pip", "install", "--no-cache", "--python", sys.executable]
        else:
            command = ["install", "--no-cache-dir", "--retries", "0"]
        env = {"UV_HTTP_RETRIES": "0"}
        program(*command, "--index-url", place.simple, "--target", target, *words, env=env, fails=fails)
        return installed(target)

    return run


@pytest.mark.client
def test_the_later_version_of_a_public_index_is_not_installed(
    place: Place, install: Install, project: Names
) -> None:
    name = project("own")
    place.left.stock_project(name, "1.0")
    place.right.stock_project(name, "1.0", "99.0")
    assert install(name) == {module_of(name): "1.0"}
    install(f"{name}==99.0", fails=True)
    assert place.right.seen(name) == []


@pytest.mark.client
@pytest.mark.parametrize("outcome", BROKEN)
def test_nothing_is_installed_from_the_public_index_while_the_own_one_fails(
    place: Place, install: Install, project: Names, outcome: Outcome
) -> None:
    name = project("own")
    place.left.stock_project(name, "1.0")
    place.right.stock_project(name, "99.0")
    place.left.faults[name] = Fault(outcome)
    install(name, fails=True)
    assert place.right.seen(name) == []
    del place.left.faults[name]
    assert install(name) == {module_of(name): "1.0"}


@pytest.mark.client
def test_what_is_public_is_installed_while_the_own_index_is_down(
    place: Place, install: Install, project: Names
) -> None:
    app, unknown = project("app"), project("unknown")
    place.right.index.add(Release(project=app, version="2.0").wheel())
    place.right.stock_project(unknown, "1.0")
    assert install(app) == {module_of(app): "2.0"}
    place.left.up.stop()
    try:
        assert install(app) == {module_of(app): "2.0"}
        install(unknown, fails=True)
    finally:
        place.left.up.start()
    assert place.right.seen(unknown) == []


# -- docker and containerd -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Puller:
    """A client that pulls; `config_of` is the digest of the config of what it has then."""

    pull: Callable[..., None]
    has: Callable[[str, Layout], bool]


def _docker(client: Docker) -> Puller:
    def has(reference: str, layout: Layout) -> bool:
        (found,) = json.loads(client("image", "inspect", reference))
        return bool(found["Id"] == _config_of(layout))

    def pull(reference: str, fails: bool = False) -> None:
        held = client("image", "ls", "--quiet", "--no-trunc").split()
        if held:
            client("image", "rm", "--force", *set(held))
        client("pull", reference, fails=fails)

    return Puller(pull, has)


def _ctr(client: Containerd) -> Puller:
    def has(reference: str, layout: Layout) -> bool:
        listed = client.ctr("images", "ls", f"name=={reference}")
        return layout.digest in listed

    def pull(reference: str, fails: bool = False) -> None:
        if reference in client.ctr("images", "ls", "--quiet").split():
            client.ctr("images", "rm", "--sync", reference)
        words = ("images", "pull", "--plain-http", "--snapshotter", "native", reference)
        if fails:
            with pytest.raises(AssertionError):
                client.ctr(*words)
        else:
            client.ctr(*words)

    return Puller(pull, has)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("docker", marks=pytest.mark.client("docker", "dockerd", "containerd")),
        pytest.param("ctr", marks=pytest.mark.client("ctr", "containerd")),
    ],
)
def puller(request: pytest.FixtureRequest) -> Iterator[Puller]:
    if request.param == "docker":
        with containers.docker() as docker:
            yield _docker(docker)
    else:
        with containers.containerd() as containerd:
            yield _ctr(containerd)


def _config_of(layout: Layout) -> str:
    return str(json.loads(layout.blob(layout.digest))["config"]["digest"])


@pytest.fixture
def image(request: pytest.FixtureRequest, project: Names) -> str:
    return f"team/{project('app')[-60:].strip('-')}"


@pytest.fixture
def layouts(tmp_path: Path, image: str) -> tuple[Layout, Layout]:
    """An image of our own, and another one that somebody else has under its name."""
    return images.single(tmp_path / "own", f"own {image}"), images.single(
        tmp_path / "other", f"other {image}"
    )


def test_the_image_is_that_of_the_own_registry(
    place: Place, puller: Puller, image: str, layouts: tuple[Layout, Layout]
) -> None:
    own, other = layouts
    place.left.registry.add(image, own, "1")
    for tag in ("1", "2"):
        place.right.registry.add(image, other, tag)
    puller.pull(f"{place.server.address}/{image}:1")
    assert puller.has(f"{place.server.address}/{image}:1", own)
    puller.pull(f"{place.server.address}/{image}:2", fails=True)
    assert place.right.seen(image) == []


@pytest.mark.parametrize("outcome", BROKEN)
def test_nothing_is_pulled_from_the_public_registry_while_the_own_one_fails(
    place: Place, puller: Puller, image: str, layouts: tuple[Layout, Layout], outcome: Outcome
) -> None:
    own, other = layouts
    place.left.registry.add(image, own, "1")
    place.right.registry.add(image, other, "1")
    place.left.faults[image] = Fault(outcome)
    reference = f"{place.server.address}/{image}:1"
    puller.pull(reference, fails=True)
    assert place.right.seen(image) == []
    del place.left.faults[image]
    puller.pull(reference)
    assert puller.has(reference, own)


def test_what_is_public_is_pulled_while_the_own_registry_is_down(
    place: Place, puller: Puller, image: str, layouts: tuple[Layout, Layout]
) -> None:
    _, other = layouts
    place.right.registry.add(image, other, "1")
    reference = f"{place.server.address}/{image}:1"
    puller.pull(reference)
    place.left.up.stop()
    try:
        puller.pull(reference)
        assert puller.has(reference, other)
    finally:
        place.left.up.start()
