"""Raw files: a small one, put and had, beside nginx with the same file; a listing beside ever more files."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benches.registries import generators, measure
from benches.registries.gates import FILES, Check
from benches.registries.generators import Fetch
from benches.registries.installs import nginx
from benches.registries.rivals import NORA, Running
from benches.registries.scale import CATALOG
from benches.registries.wire import Wire

PATH = "/raw/bench/small.bin"
SMALL = bytes(range(256)) * 16
READERS = 64
FEW = 1000
# Beside those that are there: the bytes of the small file again, under other paths.
POPULATE = """
INSERT INTO file (repository_id, path, blob_id, size, media_type, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :count)
SELECT repository_id, printf('many/%07d', i), blob_id, size, media_type, created_at
FROM n CROSS JOIN file ON file.path = 'bench/small.bin'"""


@dataclass(frozen=True, slots=True)
class Amounts:
    """Rounds of so many seconds of each load; how many files are put, and listed."""

    rounds: int = 5
    seconds: float = 4.0
    put: int = 500
    many: int = 1_000_000


SMOKE = Amounts(rounds=1, seconds=1, put=20, many=2000)


def run(place: Path, *, smoke: bool) -> list[Check]:
    """The ratio of rates, in pairs by turns, and what listings and uploads beside many files take."""
    amounts = SMOKE if smoke else Amounts()
    static = place / "nginx" / "static" / PATH.lstrip("/")
    static.parent.mkdir(parents=True)
    static.write_bytes(SMALL)
    rival = nginx(ready=PATH, workers="1")
    rates: dict[str, list[float]] = {}
    with rival.running(place / "nginx") as other, NORA.running(place / "nora") as server:
        put(server, PATH)
        for number in range(amounts.rounds):
            for one in (server, other) if number % 2 else (other, server):
                rates.setdefault(one.registry.name, []).append(load(one, amounts.seconds))
    paired = measure.paired(rates[NORA.name], rates[rival.name])
    return [FILES.check(paired), *beside_many(place / "nora", amounts)]


def load(server: Running, seconds: float) -> float:
    """GETs a second of the small file."""
    done = generators.wrk(
        server.url, Fetch([PATH], len(SMALL), "", connections=READERS, verify=False), seconds
    )
    return done.operations / done.seconds


def beside_many(store: Path, amounts: Amounts) -> Iterator[Check]:
    """What is done beside many files, as a multiple of the time that it takes beside few."""
    taken: dict[int, tuple[float, float]] = {}
    for count in (FEW, amounts.many):
        with sqlite3.connect(store / CATALOG) as db:
            db.execute("DELETE FROM file WHERE path LIKE 'many/%'")
            db.execute(POPULATE, {"count": count})
        with NORA.running(store) as server:
            taken[count] = median(listed(server, amounts)), median(puts(server, amounts, count))
    for number, what in enumerate(("a page of a listing", "an upload")):
        ratio = taken[amounts.many][number] / taken[FEW][number]
        yield Check(f"time of {what} beside {amounts.many:,} files, beside {FEW:,}", ratio, "x", 1.5)


def listed(server: Running, amounts: Amounts) -> Iterator[float]:
    """Seconds of each of some pages of a hundred."""
    with Wire(server.address) as wire:
        for number in range(amounts.put):
            begun = time.perf_counter()
            wire.ask("GET", f"/raw/many/?list&limit=100&after={number:07}").expect(200)
            yield time.perf_counter() - begun


def puts(server: Running, amounts: Amounts, count: int) -> Iterator[float]:
    """Seconds of each of some uploads."""
    for number in range(amounts.put):
        begun = time.perf_counter()
        put(server, f"/raw/new/{count}/{number}")
        yield time.perf_counter() - begun


def put(server: Running, path: str) -> None:
    with Wire(server.address) as wire:
        wire.ask("PUT", path, "Content-Type: application/octet-stream\r\n", [SMALL]).expect(201)


def median(values: Iterator[float]) -> float:
    return statistics.median(values)
