"""Crates: an index file and a 304 of it beside nginx with the same file; the last of many versions beside the
first."""

from __future__ import annotations

import gzip
import hashlib
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benches.registries import generators, measure, rivals
from benches.registries.gates import CRATES, Check
from benches.registries.generators import Fetch
from benches.registries.installs import nginx
from benches.registries.rivals import Running
from benches.registries.wire import Wire
from tests.support.answers import document
from tests.support.crates import Built
from tests.support.upstream_process import UpstreamProcess, upstream_process

NAME = "bench-crate"
PATH = f"/cargo/index/be/nc/{NAME}"
NEW = "/cargo/api/v1/crates/new"
VERSIONS = 150
"""44 KB, 7 KB compressed."""
READERS = 64
# As cargo asks over TLS.
HEADERS = "Accept: text/plain\r\nAccept-Encoding: deflate, gzip\r\nCargo-Protocol: version=1\r\n"
LINE = (
    '{"name":"%s","vers":"1.%d.0","deps":[{"name":"serde","req":"^1.0","features":["derive"],"optional":false,'
    '"default_features":true,"target":null,"kind":"normal"}],"cksum":"%s","features":{"default":["std"],"std":[]'
    '},"yanked":false}\n'
)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Rounds of so many seconds of each load; how many versions are published."""

    rounds: int = 5
    seconds: float = 4.0
    published: int = 200


SMOKE = Amounts(rounds=1, seconds=1, published=20)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratios of rates, in pairs by turns, and of the time that publications take."""
    amounts = SMOKE if smoke else Amounts()
    file = index_file()
    static = place / "nginx" / "static" / PATH.lstrip("/")
    static.parent.mkdir(parents=True)
    static.write_bytes(file)
    static.with_name(f"{NAME}.gz").write_bytes(gzip.compress(file, 6))
    with upstream_process() as upstream:
        serve(upstream, file)
        settings = {"NORA_CARGO_PROXY": upstream.url, "NORA_CARGO_METADATA_TTL": "3600"}
        nora = rivals.nora(settings=settings)
        rival = nginx(ready=PATH, workers="1")
        with rival.running(place / "nginx") as other, nora.running(place / "nora") as server:
            rates: dict[tuple[str, str], list[float]] = {}
            for number in range(amounts.rounds):
                for what in CRATES:
                    for one in (server, other) if number % 2 else (other, server):
                        rate = load(one, what, amounts.seconds)
                        rates.setdefault((what, one.registry.name), []).append(rate)
            slower = publications(server, amounts.published)
    checks = [
        promise.check(measure.paired(rates[what, server.registry.name], rates[what, other.registry.name]))
        for what, promise in CRATES.items()
    ]
    name = f"time of the last of {amounts.published} publications of a crate, beside the first"
    return [*checks, Check(name, slower, "x", 1.5)]


def index_file() -> bytes:
    """That of the upstream, and of nginx."""
    sums = (hashlib.sha256(str(number).encode()).hexdigest() for number in range(VERSIONS))
    return "".join(LINE % (NAME, number, sha256) for number, sha256 in enumerate(sums)).encode()


def serve(upstream: UpstreamProcess, file: bytes) -> None:
    """A sparse index with one crate."""
    upstream.serve(PATH.removeprefix("/cargo/index"), document(file, "text/plain"))


def load(server: Running, what: str, seconds: float) -> float:
    """GETs a second of the index file: `index`, or `unchanged`, by who has it."""
    with Wire(server.address) as wire:
        answer = wire.ask("GET", PATH, HEADERS).expect(200)
        headers = HEADERS
        if what == "unchanged":
            headers += f"If-None-Match: {answer.headers['etag']}\r\n"
            answer = wire.ask("GET", PATH, headers).expect(304)
    size = 0 if what == "unchanged" else answer.size
    escaped = headers.replace('"', '\\"')
    done = generators.wrk(
        server.url, Fetch([PATH], size, escaped, connections=READERS, verify=False), seconds
    )
    return done.operations / done.seconds


def publications(server: Running, count: int) -> float:
    """How much longer the last tenth of the versions takes than the first, by their medians."""
    taken = []
    with Wire(server.address) as wire:
        for body in bodies(count):
            begun = time.perf_counter()
            wire.ask("PUT", NEW, "Content-Type: application/octet-stream\r\n", [body]).expect(200)
            taken.append(time.perf_counter() - begun)
    tenth = max(1, count // 10)
    return statistics.median(taken[-tenth:]) / statistics.median(taken[:tenth])


def bodies(count: int) -> Iterator[bytes]:
    """Publications of one crate, one version after the other."""
    for number in range(count):
        yield Built("published", f"1.{number}.0").publication()
