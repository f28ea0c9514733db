"""What a process tree costs: CPU time and memory, from /proc, and the arithmetic of samples."""

from __future__ import annotations

import math
import os
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
SAMPLE_SECONDS = 0.1
PACED_A_SECOND = 200
# A CPU that is this busy has nothing left to give: the rest is the scheduler's and the kernel's own.
BUSY = 0.95


def tree(pid: int) -> list[int]:
    """The process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = parse_parent(Path(f"/proc/{entry}/stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for member in found:
        found.extend(children.get(member, ()))
    return found


def parse_parent(stat: str) -> int:
    """The parent's pid in /proc/<pid>/stat; the command before it may hold spaces and parentheses."""
    return int(stat.rpartition(")")[2].split()[1])


def parse_cpu_ticks(stat: str) -> int:
    """CPU ticks of /proc/<pid>/stat: user and system, of the process and of its reaped children."""
    fields = stat.rpartition(")")[2].split()
    return sum(map(int, fields[11:15]))


def cpu_seconds(pid: int) -> float:
    """CPU time used so far by the whole tree, in seconds."""
    ticks = 0
    for member in tree(pid):
        try:
            ticks += parse_cpu_ticks(Path(f"/proc/{member}/stat").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return ticks / TICKS_PER_SECOND


def parse_pss(rollup: str) -> int:
    """Proportional set size in bytes of /proc/<pid>/smaps_rollup."""
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def pss_bytes(pid: int) -> int:
    """Proportional set size of the whole tree, in bytes."""
    total = 0
    for member in tree(pid):
        try:
            total += parse_pss(Path(f"/proc/{member}/smaps_rollup").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


class Watch:
    """Watches a process tree while a load runs: ``with Watch(pid) as watch: …``.

    Afterwards ``seconds``, ``cpu`` and ``machine_cpu`` (seconds), ``idle_pss`` and ``peak_pss`` (bytes)
    hold what was seen.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.seconds = self.cpu = self.machine_cpu = 0.0
        self.idle_pss = self.peak_pss = 0
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="pss", daemon=True)

    def __enter__(self) -> Watch:
        self.idle_pss = self.peak_pss = pss_bytes(self.pid)
        self.cpu = cpu_seconds(self.pid)
        self.machine_cpu = machine_cpu_seconds()
        self.seconds = time.monotonic()
        self._sampler.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.cpu = cpu_seconds(self.pid) - self.cpu
        self.machine_cpu = machine_cpu_seconds() - self.machine_cpu
        self.seconds = time.monotonic() - self.seconds
        self._done.set()
        self._sampler.join()

    @property
    def growth(self) -> int:
        """How far the tree grew above what it held at the beginning, in bytes."""
        return self.peak_pss - self.idle_pss

    def _sample(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self.peak_pss = max(self.peak_pss, pss_bytes(self.pid))


def machine_cpu_seconds() -> float:
    """CPU time that the whole machine has spent working, in seconds: everything but idle and waiting."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / TICKS_PER_SECOND


def percentile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank percentile of an ascending sequence; NaN when it is empty."""
    if not ordered:
        return math.nan
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def paired(values: Sequence[float], others: Sequence[float]) -> float:
    """The median of the ratios of each round: a machine that slows down slows both."""
    return statistics.median(value / other for value, other in zip(values, others, strict=True))


def paced_p99(ask: Callable[[], object], seconds: float) -> float:
    """The p99 in seconds of what one client asks at a fixed pace, after one that is not counted."""
    ask()
    taken = []
    start = time.perf_counter()
    for number in range(int(PACED_A_SECOND * seconds)):
        time.sleep(max(0.0, start + number / PACED_A_SECOND - time.perf_counter()))
        begun = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - begun)
    return percentile(sorted(taken), 0.99)


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several rounds, with the worst and the best of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Raises statistics.StatisticsError when there is no value."""
        return cls(statistics.median(values), min(values), max(values))


def generator_is_limit(
    generator_cores: float, generator_threads: int, server_cores: float, server_limit: float, cores: int
) -> bool:
    """Whether a round says more about the load generator than about the registry.

    That is so when the generator is out of CPU while the registry is not: the generator uses what its
    threads can use, and the registry less than what is left for it: its own limit (a registry with one
    worker cannot use a second core) or what the generator leaves of the machine, whichever is less.
    """
    left = min(server_limit, cores - generator_cores)
    return generator_cores >= BUSY * min(generator_threads, cores) and server_cores < BUSY * left
