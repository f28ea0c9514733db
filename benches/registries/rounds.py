"""Alternating rounds: every line on every registry in turn, each from a fresh start and a fresh directory."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import SubprocessError
from typing import Literal

from benches.registries import measure
from benches.registries.generators import Load, LoadFailed
from benches.registries.lines import Line
from benches.registries.measure import Spread, Watch
from benches.registries.rivals import CORES, Registry, Running, StartFailed
from benches.registries.seed import Sizes
from benches.registries.wire import WireError

VOID_RETRIES = 2

Metric = Literal["rate", "cpu_us", "peak_pss"]
Say = Callable[[str], None]
Fill = Callable[[Running, Sizes], None]
"""What puts into a registry what the lines read."""


@dataclass(frozen=True, slots=True)
class Round:
    """One line on one registry, once. ``others_cores`` is what the machine did beside the bench."""

    line: str
    registry: str
    number: int
    load: Load
    server_cpu: float
    peak_pss: int
    server_cores: float
    generator_cores: float
    others_cores: float
    void: bool

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.load.operations / self.load.seconds

    @property
    def megabytes(self) -> float:
        """Body bytes a second, in MB (10^6)."""
        return self.load.body_bytes / self.load.seconds / 1e6

    @property
    def cpu_us(self) -> float:
        """Server CPU for each operation, in µs."""
        return self.server_cpu / self.load.operations * 1e6


@dataclass(frozen=True, slots=True)
class Failure:
    """A round without a number, and why."""

    line: str
    registry: str
    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Cell:
    """What all rounds of one line on one registry say together. ``void``: no round was valid."""

    rate: Spread
    megabytes: Spread
    p50_us: Spread
    p99_us: Spread
    cpu_us: Spread
    peak_pss: Spread
    rounds: int
    void: bool


@dataclass(slots=True)
class Results:
    """Everything that was seen, void rounds and failures included."""

    rounds: list[Round] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def add(self, others: Results) -> None:
        """Take in what another table has shown: no line is in two of them."""
        self.rounds += others.rounds
        self.failures += others.failures

    def cell(self, line: str, registry: str) -> Cell | None:
        """The medians of the valid rounds; of the void ones where no other exists; None without any."""
        seen = [one for one in self.rounds if (one.line, one.registry) == (line, registry)]
        valid = [one for one in seen if not one.void]
        if not (used := valid or seen):
            return None
        return Cell(
            Spread.of([one.rate for one in used]),
            Spread.of([one.megabytes for one in used]),
            Spread.of([one.load.p50_us for one in used]),
            Spread.of([one.load.p99_us for one in used]),
            Spread.of([one.cpu_us for one in used]),
            Spread.of([one.peak_pss for one in used]),
            len(used),
            not valid,
        )

    def ratio(self, line: str, ours: str, theirs: str, metric: Metric) -> float:
        """Ours by theirs: the median of the ratios of each round, since what slows the machine slows both;
        of the medians where no round has both. NaN when there is nothing to compare."""
        mine, others = self._valid(line, ours, metric), self._valid(line, theirs, metric)
        common = [number for number in mine if others.get(number)]
        if common:
            return statistics.median(mine[number] / others[number] for number in common)
        one, other = self.cell(line, ours), self.cell(line, theirs)
        if one is None or other is None or not getattr(other, metric).median:
            return math.nan
        return float(getattr(one, metric).median / getattr(other, metric).median)

    def _valid(self, line: str, registry: str, metric: Metric) -> dict[int, float]:
        return {
            one.number: getattr(one, metric)
            for one in self.rounds
            if (one.line, one.registry) == (line, registry) and not one.void
        }


def run(
    registries: Sequence[Registry], lines: Sequence[Line], sizes: Sizes, work: Path, say: Say, fill: Fill
) -> Results:
    """Fill each registry once, then run the rounds, each on copies of what it was filled with."""
    results = Results()
    filled: list[Registry] = []
    for registry in registries:
        say(f"filling {registry.title}")
        try:
            with registry.running(_template(work, registry)) as server:
                fill(server, sizes)
            filled.append(registry)
        except (LoadFailed, OSError, StartFailed, SubprocessError, WireError) as error:
            results.failures.append(Failure("filling", registry.name, 0, str(error)))
            say(f"  {registry.title}: {error}")
    for number in range(sizes.rounds):
        for line, registry, directory in _turns(filled, lines, work, number):
            try:
                for one in _measure(line, registry, directory, sizes, number):
                    results.rounds.append(one)
                    say(_sentence(one, number, sizes))
            except (LoadFailed, OSError, StartFailed, WireError) as error:
                results.failures.append(Failure(line.name, registry.name, number, str(error)))
                say(f"  {line.name} on {registry.title}: {error}")
    return results


def _turns(
    registries: Sequence[Registry], lines: Sequence[Line], work: Path, number: int
) -> Iterator[tuple[Line, Registry, Path]]:
    """The order of one round: each line on all registries before the next, the first one changing.

    The copies stay until all is over. For minutes after many files were removed ext4 looks for an inode that
    was not in use lately, and making a file costs half a millisecond more.
    """
    copies = {registry.name: work / f"{registry.name}.{number}" for registry in registries}
    for registry in registries:
        subprocess.run(["cp", "-a", _template(work, registry), copies[registry.name]], check=True)
    os.sync()
    for index, line in enumerate(lines):
        shift = (number + index) % max(1, len(registries))
        for registry in (*registries[shift:], *registries[:shift]):
            yield line, registry, copies[registry.name]


def _measure(line: Line, registry: Registry, directory: Path, sizes: Sizes, number: int) -> Iterator[Round]:
    """Rounds until one is valid, a bounded number of times."""
    for _ in range(1 + VOID_RETRIES):
        with registry.running(directory) as server:
            try:
                if sizes.warmup:
                    line.drive(server, sizes, sizes.warmup)
                with Watch(server.process.pid) as watch:
                    load = line.drive(server, sizes, sizes.seconds)
            except LoadFailed as error:
                raise LoadFailed(f"{error}\n{server.last_words()}") from error
        if line.writes:
            os.sync()  # what this round left to write must not be paid by the next one
        one = _judge(line, registry, number, load, watch)
        yield one
        if not one.void:
            return


def _judge(line: Line, registry: Registry, number: int, load: Load, watch: Watch) -> Round:
    server_cores = watch.cpu / load.seconds
    generator_cores = load.generator_cpu / load.seconds
    void = measure.generator_is_limit(
        generator_cores, load.generator_threads, server_cores, registry.cores, CORES
    )
    others = max(0.0, watch.machine_cpu - watch.cpu - load.generator_cpu) / watch.seconds
    return Round(
        line.name,
        registry.name,
        number,
        load,
        watch.cpu,
        watch.peak_pss,
        server_cores,
        generator_cores,
        others,
        void,
    )


def _template(work: Path, registry: Registry) -> Path:
    return work / registry.name


def _sentence(one: Round, number: int, sizes: Sizes) -> str:
    return (
        f"{number + 1}/{sizes.rounds} {one.line:16} {one.registry:16} {one.rate:10.1f}/s "
        f"{one.cpu_us:9.0f} µs  server {one.server_cores:.2f}, generator {one.generator_cores:.2f}, "
        f"others {one.others_cores:.2f} cores{'  VOID' if one.void else ''}"
    )
