"""Lock files of many tools are mirrored from public registries by one NORA, carried in one archive, and
installed by the tools themselves from another NORA, which has nobody to ask.

Each says `ran`, or `not reached` where the registry is not to be had from here.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.clients.test_live_mirror import Record, online
from tests.support import images, js_clients
from tests.support.cargo_client import Cargo, write_crate
from tests.support.command import daemon, run
from tests.support.js_clients import Client
from tests.support.python_clients import Tool, environment, installed
from tests.support.server import Server, free_port, running

pytestmark = [pytest.mark.live, pytest.mark.client("cargo", "node", "npm", "docker-registry", "skopeo")]
NORA = (sys.executable, "-m", "nora")
LEAST = 50
"""Packages of each lock file."""
IMAGES = 5
PYTHON = (
    *("flask==3.1.2", "httpx[http2]==0.28.1", "pytest-xdist==3.8.0", "ipython==9.6.0", "django==5.2.7"),
    *("typer==0.19.2", "celery", "djangorestframework", "gunicorn", "marshmallow", "starlette", "wtforms"),
    *("sortedcontainers", "attrs", "tqdm", "tenacity", "structlog"),
)
"""Small ones: a lock file names the files of all platforms, and all of these are fetched."""
CRATES = {
    "tokio": '{ version = "=1.47.1", features = ["full"] }',
    "clap": '{ version = "=4.5.48", features = ["derive"] }',
}
YARN = (
    ("install", "--mode=update-lockfile"),
    ("install", "--immutable", "--mode=skip-build"),
    "yarn.lock",
)
PNPM = (
    ("install", "--lockfile-only"),
    ("install", "--frozen-lockfile", "--ignore-scripts"),
    "pnpm-lock.yaml",
)
EXPRESS = {"name": "app", "version": "1.0.0", "dependencies": {"express": "4.21.2"}}
REPLACED = """
[source.crates-io]
replace-with = "mirror"
[source.mirror]
registry = "sparse+{url}/cargo/index/"
"""


@dataclass
class Road(ABC):
    """A tool that makes a lock file with one NORA and installs from another of the same address."""

    folder: Path
    probe: str = field(init=False, default="")
    """A path that is there when the registry is reached."""

    @property
    def env(self) -> dict[str, str]:
        """Nothing of the machine's user."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        return {"HOME": str(home), "NO_PROXY": "*", "no_proxy": "*", "XDG_CACHE_HOME": str(home / "cache")}

    @abstractmethod
    def lock(self, url: str) -> list[str | Path]:
        """Make a lock file; what `nora mirror` is given for it."""

    @abstractmethod
    def install(self, url: str) -> int:
        """Install from it with an empty cache; how many packages that is."""


@dataclass
class Pip(Road):
    uv: Tool
    pip: Tool

    def __post_init__(self) -> None:
        self.probe = "/simple/flask/"
        self.file = self.folder / "requirements.txt"

    def lock(self, url: str) -> list[str | Path]:
        wanted = self.folder / "requirements.in"
        wanted.write_text("\n".join(PYTHON))
        index = ("--default-index", f"{url}/simple/", "--no-emit-index-url", "--no-config")
        self.uv(
            "pip", "compile", "--quiet", "--generate-hashes", *index, "-o", self.file, wanted, env=self.env
        )
        return ["pip", "--lockfile", self.file]

    def install(self, url: str) -> int:
        target = self.folder / "target"
        words = ("--isolated", "install", "--quiet", "--no-cache-dir", "--require-hashes", "--no-compile")
        index = ("--index-url", f"{url}/simple/", "--target", target, "-r", self.file)
        run(self.pip.python, "-m", "pip", *words, *index, env=self.env)
        return len(installed(target))


@dataclass
class Uv(Road):
    uv: Tool

    def __post_init__(self) -> None:
        self.probe = "/simple/flask/"

    def lock(self, url: str) -> list[str | Path]:
        needs = ", ".join(f'"{one}"' for one in PYTHON)
        (self.folder / "pyproject.toml").write_text(
            f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = [{needs}]\n'
        )
        self.uv("lock", "--quiet", "--default-index", f"{url}/simple/", cwd=self.folder, env=self.env)
        return ["uv", "--lockfile", self.folder / "uv.lock"]

    def install(self, url: str) -> int:
        words = ("--frozen", "--quiet", "--no-cache", "--no-install-project", "--link-mode", "copy")
        index = ("--default-index", f"{url}/simple/", "--python", sys.executable)
        self.uv("sync", *words, *index, cwd=self.folder, env=self.env)
        return len(installed(self.folder / ".venv"))


@dataclass
class Poetry(Road):
    poetry: Tool

    def __post_init__(self) -> None:
        self.probe = "/simple/flask/"

    @property
    def env(self) -> dict[str, str]:
        own = {"POETRY_VIRTUALENVS_IN_PROJECT": "true", "POETRY_NO_INTERACTION": "1"}
        return super().env | own

    def lock(self, url: str) -> list[str | Path]:
        needs = ", ".join(f'"{one}"' for one in PYTHON)
        (self.folder / "pyproject.toml").write_text(
            f'[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.11,<3.14"\n'
            f"dependencies = [{needs}]\n[tool.poetry]\npackage-mode = false\n"
            f'[[tool.poetry.source]]\nname = "nora"\nurl = "{url}/simple/"\npriority = "primary"\n'
        )
        self.poetry("lock", cwd=self.folder, env=self.env)
        return ["poetry", "--lockfile", self.folder / "poetry.lock"]

    def install(self, url: str) -> int:
        cold = {"POETRY_CACHE_DIR": str(self.folder / "cold")}
        environment(self.folder / ".venv")
        self.poetry("install", cwd=self.folder, env=self.env | cold)
        return len(installed(self.folder / ".venv"))


@dataclass
class Crates(Road):
    def __post_init__(self) -> None:
        self.probe = "/cargo/index/cl/ap/clap"

    def _cargo(self, home: str, url: str) -> Cargo:
        cargo = Cargo(self.folder / home, {"NO_PROXY": "*", "no_proxy": "*"})
        cargo.configure(REPLACED.format(url=url))
        return cargo

    def lock(self, url: str) -> list[str | Path]:
        needs = "[dependencies]\n" + "".join(f"{name} = {said}\n" for name, said in CRATES.items())
        write_crate(self.folder / "app", "app", more=needs, source="fn main() {}")
        self._cargo("one", url)("generate-lockfile", cwd=self.folder / "app")
        return ["cargo", "--lockfile", self.folder / "app" / "Cargo.lock"]

    def install(self, url: str) -> int:
        cold = self._cargo("two", url)
        cold("fetch", "--locked", cwd=self.folder / "app")
        return len(list((cold.home / "registry" / "cache").rglob("*.crate")))


@dataclass
class Script(Road):
    tool: str
    program: Path
    making: tuple[str, ...]
    installing: tuple[str, ...]
    file: str

    def __post_init__(self) -> None:
        self.probe = "/npm/express/4.21.2"

    def _client(self, home: str, url: str) -> Client:
        own = self.folder / home
        own.mkdir()
        client = Client(self.tool, self.program, own, f"{url}/npm/")
        lock = self.folder / "app" / self.file
        kept = lock.read_text() if lock.exists() else None
        client.configure(self.folder / "app")
        if kept is not None:
            lock.write_text(kept)
        return client

    def lock(self, url: str) -> list[str | Path]:
        app = self.folder / "app"
        app.mkdir()
        (app / "package.json").write_text(json.dumps(EXPRESS))
        self._client("one", url)(*self.making, cwd=app)
        return [self.tool.rstrip("14"), "--lockfile", app / self.file]

    def install(self, url: str) -> int:
        self._client("two", url)(*self.installing, cwd=self.folder / "app")
        modules = self.folder / "app" / "node_modules"
        found = {one.parent.resolve() for one in modules.rglob("package.json")}
        return len(
            [one for one in found if one.parent.name == "node_modules" or one.parent.name.startswith("@")]
        )


@dataclass
class Images(Road):
    registry: str

    def __post_init__(self) -> None:
        self.probe = "/v2/team/app0/manifests/1"

    def lock(self, url: str) -> list[str | Path]:
        names = self.folder / "images.txt"
        names.write_text("".join(f"team/app{number}:1\n" for number in range(IMAGES)))
        return ["docker", "--images-file", names]

    def install(self, url: str) -> int:
        blobs = 0
        for number in range(IMAGES):
            to = self.folder / f"pulled{number}"
            source = f"docker://{url.partition('//')[2]}/team/app{number}:1"
            run("skopeo", "--insecure-policy", "copy", "--all", "--src-tls-verify=false", source, f"dir:{to}")
            blobs += len(list(to.iterdir())) - 1
        return blobs


@dataclass(frozen=True)
class Carried:
    """What has come of each tool outside, and the NORA inside."""

    inside: Server
    roads: dict[str, Road]
    told: dict[str, str]


def nora(server: Server, *words: str | Path) -> str:
    return run(*NORA, *words, env=server.environment(), cwd=server.data, timeout=600)


def mirrored(outside: Server, road: Road) -> str:
    """Lock and mirror; what there is to say."""
    status = httpx.get(outside.url + road.probe, timeout=90, trust_env=False).status_code
    if status in (502, 503, 504):
        return f"not reached: {status}"
    assert status == 200, f"{road.probe} answers {status}"
    words = road.lock(outside.url)
    done = json.loads(nora(outside, "mirror", "--registry", outside.url, *words, "--json"))
    assert not done["missing"]
    return f"{done['done']} things, {done['received_bytes']} bytes"


@pytest.fixture(scope="module")
def carried(tmp_path_factory: pytest.TempPathFactory, tool: Callable[..., Tool]) -> Iterator[Carried]:
    folder = tmp_path_factory.mktemp("carried")
    clients = Path(os.environ.get("JS_CLIENTS") or folder / "clients")
    origin = f"127.0.0.1:{free_port()}"
    uv = tool("uv")
    made: dict[str, Callable[[Path], Road]] = {
        "pip": lambda own: Pip(own, uv, tool("pip")),
        "uv": lambda own: Uv(own, uv),
        "poetry": lambda own: Poetry(own, tool("poetry")),
        "cargo": Crates,
        "yarn": lambda own: Script(own, "yarn4", js_clients.install(clients, "yarn4"), *YARN),
        "pnpm": lambda own: Script(own, "pnpm", js_clients.install(clients, "pnpm"), *PNPM),
        "docker": lambda own: Images(own, origin),
    }
    roads = {}
    for name, make in made.items():
        (folder / name).mkdir()
        roads[name] = make(folder / name)
    env = {**online(), "NORA_DOCKER_UPSTREAMS": f"http://{origin}"}
    archive = folder / "site.tar.zst"
    with running(folder / "outside", env=env) as outside:
        with local_registry(folder, origin), ThreadPoolExecutor(3) as several:
            told = dict(
                zip(roads, several.map(lambda road: mirrored(outside, road), roads.values()), strict=True)
            )
        nora(outside, "mirror", "export", "-o", archive)
        port = outside.port
    (folder / "inside").mkdir()
    offline = {"NORA_DOCKER_UPSTREAMS": env["NORA_DOCKER_UPSTREAMS"], "NORA_PROXY_MODE": "offline"}
    inside = Server(folder / "inside" / "data", folder / "inside" / "log", port=port, env=offline)
    try:
        inside.start()
        nora(inside, "mirror", "import", "-i", archive)
        yield Carried(inside, roads, told)
        inside.stop()
    finally:
        inside.kill()


@contextlib.contextmanager
def local_registry(folder: Path, origin: str) -> Iterator[None]:
    """Debian's docker-registry with images in it."""
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{origin}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: {folder / 'origin'}}}}}\n"
    )

    def ready() -> bool:
        with contextlib.suppress(httpx.TransportError):
            return httpx.get(f"http://{origin}/v2/", trust_env=False).status_code == 200
        return False

    with daemon("docker-registry", "serve", config, log=folder / "registry.log", ready=ready):
        for number in range(IMAGES):
            made = images.single(folder / f"layout{number}", seed=str(number))
            to = f"docker://{origin}/team/app{number}:1"
            words = ("--insecure-policy", "copy", "--dest-tls-verify=false")
            run("skopeo", *words, f"oci:{made.path}:{made.tag}", to)
        yield


@pytest.mark.parametrize("name", ["pip", "uv", "poetry", "cargo", "yarn", "pnpm", "docker"])
def test_a_lock_file_is_installed_where_no_network_is(
    carried: Carried, name: str, record_property: Record
) -> None:
    told = carried.told[name]
    if not told.startswith("not reached"):
        count = carried.roads[name].install(carried.inside.url)
        least = LEAST if name != "docker" else IMAGES * 4
        assert count >= least
        told = f"ran: {count} packages; {told}"
    record_property("run", told)
