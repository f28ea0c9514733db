"""How long `uv pip install` takes from a warm cache, beside a static copy served by nginx."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benches.registries import measure, python_rivals, rivals, upstreams
from benches.registries.gates import INSTALL, Check
from benches.registries.generators import LoadFailed
from benches.registries.rivals import CORES, Command, Registry, StartFailed
from tests.support.pypi_index import JSON, PyPIIndex
from tests.support.python_clients import SETTINGS, Tool
from tests.support.wheels import Built

UV_SECONDS = 120.0
NGINX = """\
user root;
worker_processes {workers};
error_log stderr error;
pid {place}/nginx.pid;
events {{}}
http {{
    access_log off;
    sendfile on;
    gzip_static on;
    types {{ {json} json; }}
    client_body_temp_path {place}/body;
    proxy_temp_path {place}/proxy;
    fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi;
    scgi_temp_path {place}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {place}/static;
        index index.json;
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many packages are installed how often from each of the two."""

    packages: int = 60
    pairs: int = 11


SMOKE = Amounts(packages=10, pairs=1)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratio of wall times, in pairs by turns; each into a fresh folder, uv's own cache off."""
    amounts = SMOKE if smoke else Amounts()
    files = upstreams.requirements(amounts.packages)
    uv = python_rivals.tool(python_rivals.UV, "uv")
    static_copy(place / "nginx" / "static", files)
    with upstreams.package_index(*files) as upstream:
        nora = rivals.nora(settings={"NORA_PYPI_PROXY": f"{upstream.url}/simple"})
        with nginx().running(place / "nginx") as static, nora.running(place / "nora") as cache:
            taken: dict[str, list[float]] = {cache.url: [], static.url: []}
            urls = list(taken)
            for url in urls:
                install(uv, url, place / "target", amounts.packages)  # warm
            for number in range(amounts.pairs):
                for url in urls if number % 2 else reversed(urls):
                    taken[url].append(install(uv, url, place / "target", amounts.packages))
    return [INSTALL.check(measure.paired(taken[cache.url], taken[static.url]))]


def static_copy(root: Path, files: tuple[Built, ...]) -> None:
    """The index as files: pages, also compressed, wheels and their core metadata."""
    index = PyPIIndex(hrefs="root")
    index.add(*files)
    for name in index.projects:
        body = index.page(name, JSON).body
        assert isinstance(body, bytes)
        page = root / "simple" / name / "index.json"
        page.parent.mkdir(parents=True)
        page.write_bytes(body)
        page.with_name("index.json.gz").write_bytes(gzip.compress(body, 6))
    for built in files:
        path = built.write((root / index.path_of(built.filename).lstrip("/")).parent)
        path.with_name(f"{path.name}.metadata").write_bytes(built.metadata)


def nginx(ready: str = f"/simple/{upstreams.SET}/", workers: str = "auto") -> Registry:
    """nginx, serving the folder `static` of its own, in which there is `ready`."""

    def find() -> str:
        if not (found := shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")):
            raise StartFailed("nginx is not installed: apt-get install nginx-light")
        return found

    def command(directory: Path, port: int) -> Command:
        config = directory / "nginx.conf"
        config.write_text(NGINX.format(place=directory, port=port, json=JSON, workers=workers))
        return Command([find(), "-p", str(directory), "-c", str(config), "-g", "daemon off;"])

    def version() -> str:
        done = subprocess.run([find(), "-v"], capture_output=True, text=True, check=True)
        return done.stderr.strip().rpartition("/")[2]

    return Registry("nginx", "nginx", CORES, ready, command, version)


def install(uv: Tool, url: str, target: Path, packages: int) -> float:
    """Seconds that the installation of the set takes. Raises LoadFailed."""
    argv = [
        *(str(uv.program), "pip", "install", "--no-cache", "--no-config", "--only-binary", ":all:"),
        *("--python", sys.executable, "--target", str(target), "--index-url", f"{url}/simple/"),
        upstreams.SET,
    ]
    env = {name: value for name, value in os.environ.items() if not SETTINGS.match(name)}
    begun = time.perf_counter()
    done = subprocess.run(
        argv,
        env=env,
        capture_output=True,
        text=True,
        timeout=UV_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    taken = time.perf_counter() - begun
    found = len(list(target.glob("*.dist-info"))) if target.exists() else 0
    shutil.rmtree(target, ignore_errors=True)
    if done.returncode or found != packages:
        raise LoadFailed(f"uv installed {found} packages of {packages}: {done.stderr[-500:]}")
    return taken
