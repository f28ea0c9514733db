"""What the tests of real clients share: a registry with four workers, images to push, a walk to check them.

Clients of today's distributions open a new connection for each request: with four workers the requests of one
push land on different processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support import images, python_clients
from tests.support.access import PASSWORD, USER, Credentials, make_token, write_users
from tests.support.images import Layout
from tests.support.mirror import Mirror, mirrored
from tests.support.oci import DOCKER_IMAGE, DOCKER_LIST, IMAGE, INDEX, Repository, digest
from tests.support.python_clients import SETTINGS, NotInstalled, Tool
from tests.support.server import Server, running

MANIFESTS = (IMAGE, INDEX, DOCKER_IMAGE, DOCKER_LIST)
Walk = Callable[[str, str], dict[str, bytes]]


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("registry"), workers=4) as server:
        yield server


@dataclass(frozen=True, slots=True)
class Closed:
    """A registry that asks for credentials, and the secrets that it knows."""

    server: Server
    write: Credentials
    read: Credentials
    admin: Credentials
    password: Credentials

    @property
    def address(self) -> str:
        return self.server.address


@contextlib.contextmanager
def closed_registry(folder: Path, **env: str) -> Iterator[Closed]:
    users = write_users(folder / "users", **{USER: PASSWORD})
    settings = {
        "NORA_AUTH_ENABLED": "true",
        "NORA_AUTH_HTPASSWD_FILE": str(users),
        "NORA_RATE_LIMIT_ENABLED": "false",  # one address for the clients of all tests
        **env,
    }
    with running(folder, workers=4, env=settings) as server:
        tokens = {role: make_token(server, "--role", role) for role in ("write", "read", "admin")}
        yield Closed(server, **tokens, password=Credentials(USER, PASSWORD))


@pytest.fixture(scope="session")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    """Nobody gets anything without credentials."""
    with closed_registry(tmp_path_factory.mktemp("closed")) as registry:
        yield registry


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Closed]:
    """Anybody may pull; who pushes has to say who they are."""
    folder = tmp_path_factory.mktemp("mixed")
    with closed_registry(folder, NORA_AUTH_ANONYMOUS_READ="true") as registry:
        yield registry


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    """One for the tests of a file: each has projects of its own."""
    with mirrored(tmp_path_factory.mktemp("mirror")) as found:
        yield found


@pytest.fixture
def own_mirror(tmp_path: Path) -> Iterator[Mirror]:
    """One for a test that stops or changes things; pages are asked for again after a second."""
    folder = tmp_path / "own-mirror"
    folder.mkdir()
    with mirrored(folder, NORA_PYPI_METADATA_TTL="1") as found:
        yield found


def clients_folder(factory: pytest.TempPathFactory, variable: str, name: str) -> Path:
    """Where programs are put that all tests of this run share; a variable may name a folder that stays."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    return Path(os.environ.get(variable) or shared / name)


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Tool]:
    """`tool("poetry")`, `tool("pip==23.3.2", command="pip")`: from PyPI, once for all tests of this run."""
    cache = clients_folder(tmp_path_factory, "PYTHON_CLIENTS", "python-clients")

    def get(*requirements: str, command: str = "") -> Tool:
        try:
            return python_clients.install(cache, *requirements, command=command or requirements[0])
        except NotInstalled as reason:
            if os.environ.get("REQUIRE_CLIENTS") == "1":
                raise
            pytest.skip(f"missing client: {requirements[0]}: {reason}")

    return get


@pytest.fixture
def project(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Names of this test only, for mirrors that tests share."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return lambda name: f"{test}-{name}"


@pytest.fixture(autouse=True)
def settings_of_python_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client of Python reads a setting of the machine, looks for a newer self, or fetches a Python."""
    for name in [name for name in os.environ if SETTINGS.match(name)]:
        monkeypatch.delenv(name)
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "UV_NO_CONFIG": "1",
        "UV_PYTHON_DOWNLOADS": "never",
        "PDM_CHECK_UPDATE": "0",
        "POETRY_VIRTUALENVS_IN_PROJECT": "1",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def web(registry: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=registry.url, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture
def walk(web: httpx.Client) -> Walk:
    """`walk("team/app", "v1")` pulls everything below a reference, hashing each piece: bytes by digest.

    The first entry is the manifest or index that the reference names.
    """

    def pull(name: str, reference: str) -> dict[str, bytes]:
        repo, found = Repository(web, name), dict[str, bytes]()
        queue = [reference]
        while queue:
            wanted = queue.pop()
            answer = repo.get_manifest(wanted, accept=", ".join(MANIFESTS))
            assert answer.status_code == 200, f"{name} {wanted}: {answer.text}"
            # A tag may have been pushed by a digest of another algorithm.
            actual = answer.headers["docker-content-digest"]
            assert digest(answer.content, actual.partition(":")[0]) == actual
            assert wanted in (reference, actual)
            found[actual] = answer.content
            document = json.loads(answer.content)
            queue += [child["digest"] for child in document.get("manifests", [])]
            for part in [*document.get("layers", []), *filter(None, [document.get("config")])]:
                blob = repo.get_blob(part["digest"])
                assert blob.status_code == 200, f"{name} {part}: {blob.text}"
                assert digest(blob.content, part["digest"].partition(":")[0]) == part["digest"]
                found[part["digest"]] = blob.content
        return found

    return pull


# Content of each test's own: skopeo, podman and buildah remember, for the whole machine, in which compression
# a registry has a layer, and would send that instead.


@pytest.fixture
def single(tmp_path: Path, request: pytest.FixtureRequest) -> Layout:
    """An OCI layout holding an image of one platform."""
    return images.single(tmp_path / "single", request.node.name)


@pytest.fixture
def multi(tmp_path: Path, request: pytest.FixtureRequest) -> Layout:
    """An OCI layout holding an index of two platforms."""
    return images.multi(tmp_path / "multi", request.node.name)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the test's own: no client reads or leaves a setting of the machine's user."""
    folder = tmp_path / "home"
    (folder / "run").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No client goes through a proxy of the environment."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NO_PROXY", "*")
