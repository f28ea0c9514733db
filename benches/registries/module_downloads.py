"""How long `go mod download` takes from a warm cache, beside the same files served by nginx."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from benches.registries import measure, rivals, seed
from benches.registries.gates import GO_DOWNLOAD, Check
from benches.registries.generators import LoadFailed
from benches.registries.installs import nginx
from benches.registries.modules import path_of
from benches.registries.rivals import Running
from benches.registries.seed import KIB
from tests.support.go_client import Go, write_program
from tests.support.go_modules import Module, ModuleProxy
from tests.support.upstream_process import upstream_process

GO_SECONDS = 120.0
FILE = 20 * KIB
KINDS = ("info", "mod", "zip")


@dataclass(frozen=True, slots=True)
class Amounts:
    """How many modules are downloaded how often from each of the two."""

    modules: int = 100
    pairs: int = 11


SMOKE = Amounts(modules=10, pairs=1)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratio of wall times, in pairs by turns; each time go has no module yet."""
    amounts = SMOKE if smoke else Amounts()
    proxy, modules = ModuleProxy(), modules_of(amounts.modules)
    for module in modules:
        proxy.add(module)
        static_copy(place / "nginx" / "static", proxy, module)
    program = write_program(place / "program", {module.path: module.version for module in modules})
    with upstream_process() as upstream:
        upstream.mount("/", proxy)
        nora = rivals.nora(settings={"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": "off"})
        rival = nginx(ready=path_of(modules[0], "info"))
        with rival.running(place / "nginx") as other, nora.running(place / "nora") as server:
            taken: dict[str, list[float]] = {server.url: [], other.url: []}
            for one in (server, other):
                download(one, program, place / "go", len(modules))  # warm
            for number in range(amounts.pairs):
                for one in (server, other) if number % 2 else (other, server):
                    taken[one.url].append(download(one, program, place / "go", len(modules)))
    return [GO_DOWNLOAD.check(measure.paired(taken[server.url], taken[other.url]))]


def modules_of(count: int) -> list[Module]:
    """A chain: each needs the next one."""
    paths = [f"example.com/module{number}" for number in range(count)]
    return [
        Module(
            path,
            requires=dict.fromkeys(paths[number + 1 : number + 2], "v1.0.0"),
            more={"data.bin": bytes(seed.blob(FILE, path).data)},
        )
        for number, path in enumerate(paths)
    ]


def static_copy(root: Path, proxy: ModuleProxy, module: Module) -> None:
    """The files of a module, where NORA has them."""
    for kind in KINDS:
        path = root / path_of(module, kind).lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(proxy.files[f"{module.path}/@v/{module.version}.{kind}"])


def download(server: Running, program: Path, home: Path, modules: int) -> float:
    """Seconds that go takes. Raises LoadFailed."""
    go = Go(home, {"GOPROXY": f"{server.url}/go", "GOFLAGS": "-mod=mod -modcacherw"})
    begun = time.perf_counter()
    try:
        go("mod", "download", cwd=program, timeout=GO_SECONDS)
    except AssertionError as failure:
        raise LoadFailed(str(failure)[-500:]) from failure
    taken = time.perf_counter() - begun
    found = len(go.hashes())
    shutil.rmtree(home)
    if found != modules:
        raise LoadFailed(f"go downloaded {found} modules of {modules}")
    return taken
