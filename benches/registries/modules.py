"""Modules: the `.info` and the `.mod` of a version that is cached, beside nginx with the same files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benches.registries import generators, measure, rivals
from benches.registries.gates import MODULES, Check
from benches.registries.generators import Fetch
from benches.registries.installs import nginx
from benches.registries.rivals import Running
from benches.registries.wire import Wire
from tests.support.answers import document
from tests.support.go_modules import Module
from tests.support.upstream_process import UpstreamProcess, upstream_process

NEEDS = 40
READERS = 64
HEADERS = "User-Agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n"


@dataclass(frozen=True, slots=True)
class Amounts:
    """Rounds of so many seconds of each load."""

    rounds: int = 5
    seconds: float = 4.0


SMOKE = Amounts(rounds=1, seconds=1)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratios of rates, in pairs by turns."""
    amounts = SMOKE if smoke else Amounts()
    module = Module("example.com/bench", requires={f"example.com/need{n}": "v1.0.0" for n in range(NEEDS)})
    files = {"info": module.info, "mod": module.go_mod}
    for kind, content in files.items():
        static = place / "nginx" / "static" / path_of(module, kind).lstrip("/")
        static.parent.mkdir(parents=True, exist_ok=True)
        static.write_bytes(content)
    with upstream_process() as upstream:
        serve(upstream, module, files)
        nora = rivals.nora(settings={"NORA_GO_PROXY": upstream.url, "NORA_GO_SUMDB": "off"})
        rival = nginx(ready=path_of(module, "info"), workers="1")
        with rival.running(place / "nginx") as other, nora.running(place / "nora") as server:
            rates: dict[tuple[str, str], list[float]] = {}
            for number in range(amounts.rounds):
                for kind in MODULES:
                    for one in (server, other) if number % 2 else (other, server):
                        rate = load(one, path_of(module, kind), amounts.seconds)
                        rates.setdefault((kind, one.registry.name), []).append(rate)
    return [
        promise.check(measure.paired(rates[kind, server.registry.name], rates[kind, other.registry.name]))
        for kind, promise in MODULES.items()
    ]


def path_of(module: Module, kind: str) -> str:
    """Where both have a file."""
    return f"/go/{module.url(kind)}"


def serve(upstream: UpstreamProcess, module: Module, files: dict[str, bytes]) -> None:
    """A module proxy with one version."""
    for kind, content in files.items():
        upstream.serve(f"/{module.url(kind)}", document(content, "text/plain"))


def load(server: Running, path: str, seconds: float) -> float:
    """GETs a second of a file."""
    with Wire(server.address) as wire:
        for _ in range(3):  # it comes in, it is read, it is kept
            answer = wire.ask("GET", path, HEADERS).expect(200)
    fetch = Fetch([path], answer.size, HEADERS, connections=READERS, verify=False)
    done = generators.wrk(server.url, fetch, seconds)
    return done.operations / done.seconds
