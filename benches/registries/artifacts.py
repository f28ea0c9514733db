"""Maven artifacts: small POMs, their checksums and a large jar beside nginx with the same files; the last
deploys of many beside the first."""

from __future__ import annotations

import hashlib
import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from benches.registries import generators, measure, rivals
from benches.registries.gates import ARTIFACTS, Check
from benches.registries.generators import Fetch
from benches.registries.installs import nginx
from benches.registries.lines import LARGE_READERS
from benches.registries.rivals import Running
from benches.registries.seed import KIB, MIB
from benches.registries.wire import Wire

FOLDER = "/maven2/com/example"
ARTIFACTS_COUNT = 200
POM_BYTES = 5 * KIB
"""The median of those in a local repository."""
JAR_BYTES = 10 * MIB
READERS = 32
# As Maven 3.8 asks.
HEADERS = "Accept-Encoding: gzip,deflate\r\nCache-control: no-cache\r\nPragma: no-cache\r\n"
TYPE = "Content-Type: application/octet-stream\r\n"


@dataclass(frozen=True, slots=True)
class Amounts:
    """Rounds of so many seconds of each load; how many versions are deployed."""

    rounds: int = 5
    seconds: float = 4.0
    deployed: int = 500


SMOKE = Amounts(rounds=1, seconds=1, deployed=20)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratios of rates, in pairs by turns, and of the time that deploys take."""
    amounts = SMOKE if smoke else Amounts()
    poms = {path_of(f"lib-{number}", "1.0"): os.urandom(POM_BYTES) for number in range(ARTIFACTS_COUNT)}
    jar = {path_of("large", "1.0", "jar"): os.urandom(JAR_BYTES)}
    sums = {f"{path}.sha1": sha1(body) for path, body in poms.items()}
    for path, body in (poms | sums | jar).items():
        file = place / "nginx" / "static" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
    loads = {
        "pom": Fetch([*poms], POM_BYTES, HEADERS, READERS),
        "checksum": Fetch([*sums], 40, HEADERS, READERS),
        "jar": Fetch([*jar], JAR_BYTES, HEADERS, LARGE_READERS, verify=False),
    }
    rates: dict[tuple[str, str], list[float]] = {}
    rival = nginx(ready=next(iter(poms)), workers="1")
    with rival.running(place / "nginx") as other, rivals.nora().running(place / "nora") as server:
        fill(server, poms | jar)
        for number in range(amounts.rounds):
            for what, fetch in loads.items():
                for one in (server, other) if number % 2 else (other, server):
                    done = generators.wrk(one.url, fetch, amounts.seconds)
                    rates.setdefault((what, one.registry.name), []).append(done.operations / done.seconds)
        slower = deploys(server, amounts.deployed)
    checks = [
        promise.check(measure.paired(rates[what, server.registry.name], rates[what, other.registry.name]))
        for what, promise in ARTIFACTS.items()
    ]
    name = f"time of the last of {amounts.deployed} deploys of an artifact, beside the first"
    return [*checks, Check(name, slower, "x", 1.5)]


def path_of(name: str, version: str, kind: str = "pom") -> str:
    """Where both have a file."""
    return f"{FOLDER}/{name}/{version}/{name}-{version}.{kind}"


def sha1(body: bytes) -> bytes:
    return hashlib.sha1(body, usedforsecurity=False).hexdigest().encode()


def fill(server: Running, files: dict[str, bytes]) -> None:
    """Publish all of them."""
    with Wire(server.address) as wire:
        for path, body in files.items():
            wire.ask("PUT", path, TYPE, [body]).expect(201)


def deploys(server: Running, count: int) -> float:
    """How much longer the last tenth of the versions takes than the first, by their medians: a POM, its
    checksum, and the metadata of the artifact."""
    taken = []
    with Wire(server.address) as wire:
        for number in range(count):
            path, body = path_of("deployed", f"1.{number}"), os.urandom(POM_BYTES)
            begun = time.perf_counter()
            wire.ask("PUT", path, TYPE, [body]).expect(201)
            wire.ask("PUT", f"{path}.sha1", TYPE, [sha1(body)]).expect(201)
            wire.ask("PUT", f"{FOLDER}/deployed/maven-metadata.xml", TYPE, [b"<metadata/>"]).expect(201)
            taken.append(time.perf_counter() - begun)
    tenth = max(1, count // 10)
    return statistics.median(taken[-tenth:]) / statistics.median(taken[:tenth])
