"""Garbage collection by the server: what is done, and who is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nora.blobs.collection import Collected, Garbage, Sum
from nora.config.collection import GcSettings
from nora.errors import StorageFailed
from nora.http.collection_job import CollectionJob
from nora.http.jobs import Job
from nora.http.tasks import Exclusive
from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from tests.support.waiting import until

ONE, TWO, FIVE = Sum(1, 10), Sum(2, 20), Sum(5, 50)
SETTINGS = GcSettings(enabled=True, interval=1, unlink_delay=1)


class Evictor:
    def __init__(self) -> None:
        self.evictions = 0

    async def plan(self) -> Sum:
        return ONE

    async def evict(self) -> Sum:
        self.evictions += 1
        return ONE


class Collector:
    def __init__(self, failure: Exception | None = None) -> None:
        self.failure = failure
        self.collections = 0

    async def plan(self) -> Garbage:
        return Garbage(TWO, FIVE, Sum(), 9)

    async def collect(self) -> Collected:
        if self.failure is not None:
            raise self.failure
        self.collections += 1
        return Collected(TWO, FIVE, TWO)

    async def remove_doomed(self) -> Sum:
        return ONE


class Audit:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str, str]] = []

    def observe_job(self, job: str, noted: Any, registry: str) -> None:
        self.lines.append((job, noted.action, noted.name))


class Server:
    """The jobs of one worker."""

    def __init__(self, folder: Path, settings: GcSettings, failure: Exception | None = None) -> None:
        self.metrics = Metrics(SharedMemory(1), 0, version="1", compiled=True)
        self.audit, self.collector, self.evictor = Audit(), Collector(failure), Evictor()
        self._exclusive = Exclusive(str(folder))
        self._job = CollectionJob(
            settings,
            self.collector,  # type: ignore[arg-type]
            self.evictor,  # type: ignore[arg-type]
            self.audit,  # type: ignore[arg-type]
            self.metrics,
        )

    def run(self, are_so: Callable[[dict[str, Job]], bool]) -> dict[str, Job]:
        """The jobs when they are so."""

        async def work() -> dict[str, Job]:
            tasks = [*self._job.jobs(self._exclusive)]

            def found() -> dict[str, Job]:
                return {one.name: one for one in self._exclusive.jobs()}

            await until(lambda: are_so(found()), "the jobs to be so", seen=found)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            return found()

        return asyncio.run(work())

    def value(self, family: str) -> float:
        return sum(value for _, value in self.metrics.values(family)[family])


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr("nora.http.tasks.asyncio.sleep", lambda seconds: sleep(min(seconds, 0.01)))


def both(jobs: dict[str, Job]) -> bool:
    return all(one.last is not None for one in jobs.values())


def result(job: Job) -> tuple[str, str]:
    assert job.last is not None
    return job.last.result, job.last.problem


def test_it_collects_counts_and_tells(tmp_path: Path) -> None:
    server = Server(tmp_path, SETTINGS)
    jobs = server.run(both)
    assert result(jobs["collect-garbage"]) == (
        "collected 3 blobs (30 bytes), removed 5 objects (50 bytes)",
        "",
    )
    assert server.audit.lines == [("collect-garbage", "delete", "3 blobs (30 bytes)")]
    assert (server.collector.collections, server.evictor.evictions) == (1, 1), "as often as it is due"
    assert server.value("nora_gc_blobs_removed") >= 6
    assert server.value("nora_gc_bytes_freed") >= 60
    assert server.value("nora_gc_last_run_timestamp") > 0
    assert server.value("nora_gc_stat_failures") == 0


def test_a_dry_run_only_tells(tmp_path: Path) -> None:
    server = Server(tmp_path, replace(SETTINGS, dry_run=True))
    jobs = server.run(both)
    assert result(jobs["collect-garbage"])[0] == (
        "nobody used 1 blob (10 bytes) of upstreams; nothing needs 2 blobs (20 bytes); "
        "no row names 5 objects (50 bytes)"
    )
    assert (server.collector.collections, server.evictor.evictions, server.audit.lines) == (0, 0, [])


def test_without_it_what_a_command_has_doomed_is_removed(tmp_path: Path) -> None:
    server = Server(tmp_path, replace(SETTINGS, enabled=False))
    jobs = server.run(both)
    assert set(jobs) == {"remove-collected"}
    assert server.value("nora_gc_blobs_removed") >= 1
    assert server.collector.collections == 0


def test_a_read_that_fails_is_counted_and_told(tmp_path: Path) -> None:
    server = Server(tmp_path, SETTINGS, StorageFailed("the storage failed: Input/output error"))
    jobs = server.run(both)
    assert result(jobs["collect-garbage"]) == ("", "the storage failed: Input/output error")
    assert server.value("nora_gc_stat_failures") >= 1
    assert server.value("nora_gc_last_run_timestamp") == 0
