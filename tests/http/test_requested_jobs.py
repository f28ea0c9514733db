"""Work that somebody asks for: done once, told to all, taken up again when its process has ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nora.errors import Conflict, NotFound, StorageFailed
from nora.http.requested_jobs import ATTEMPTS, Example, Outcome, Part, Report, RequestedJobs

pytestmark = pytest.mark.anyio
FOUND = Outcome((Part("unneeded", 2, 30),), (Example("unneeded", "sha256:1", 10),))


class Workers:
    """Two workers of one server."""

    def __init__(self, folder: Path) -> None:
        self.first, self.second = RequestedJobs(folder), RequestedJobs(folder)
        self.done: list[str] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.first.offer("collect", lambda report: self.work("first", report))
        self.second.offer("collect", lambda report: self.work("second", report))

    async def work(self, worker: str, report: Report) -> Outcome:
        self.done.append(worker)
        report("blobs", 5, 10)
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        return FOUND


@pytest.fixture
def workers(tmp_path: Path) -> Workers:
    return Workers(tmp_path)


async def test_another_process_does_it_once_and_all_are_told(workers: Workers) -> None:
    assert await workers.first.read("collect") is None
    asked = await workers.first.ask("collect", "alice")
    assert (asked.state, asked.by) == ("waiting", "alice")
    with pytest.raises(Conflict, match="already"):
        await workers.second.ask("collect", "bob")
    await workers.second.look()
    await workers.first.look()
    found = await workers.first.read("collect")
    assert workers.done == ["second"]
    assert found is not None
    assert (found.state, found.by, found.phase, found.done, found.of) == ("done", "alice", "blobs", 5, 10)
    assert found.outcome == FOUND
    await workers.first.ask("collect", "bob")


async def test_the_end_of_a_process_is_not_the_end_of_its_work(workers: Workers) -> None:
    await workers.first.ask("collect", "alice")
    workers.gate = asyncio.Event()
    for attempt in range(1, ATTEMPTS + 1):
        doing = asyncio.ensure_future(workers.first.look())
        while len(workers.done) < attempt:
            await asyncio.sleep(0)
        await workers.second.look()
        assert len(workers.done) == attempt, "while it is done nobody else does it"
        with pytest.raises(Conflict, match="already"):
            await workers.second.ask("collect", "bob")
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    await workers.second.look()
    found = await workers.second.read("collect")
    assert found is not None
    assert (found.state, found.problem) == ("failed", "3 processes have ended while they did it")
    assert len(workers.done) == ATTEMPTS


async def test_a_failure_is_told(workers: Workers) -> None:
    for failure, told in ((StorageFailed("the disk is gone"), "the disk is gone"), (KeyError(), "KeyError")):
        workers.failure = failure
        await workers.first.ask("collect", "alice")
        await workers.first.look()
        found = await workers.first.read("collect")
        assert found is not None
        assert (found.state, found.problem, found.outcome) == ("failed", told, None)


async def test_who_is_asked_does_it_at_once(workers: Workers) -> None:
    task = workers.first.start()
    await workers.first.ask("collect", "alice")
    async with asyncio.timeout(60):
        while (found := await workers.second.read("collect")) is None or found.is_open:
            await asyncio.sleep(0.01)
    assert found.outcome == FOUND
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_what_is_not_offered_and_files_that_are_damaged(workers: Workers, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there are collect"):
        await workers.first.ask("paint", "alice")
    (tmp_path / "collect.asked").write_bytes(b'{"state":"running"')
    assert await workers.first.read("collect") is None
    await workers.first.look()
    assert workers.done == []
    (tmp_path / "collect.asked").unlink()
    (tmp_path / "collect.asked").mkdir()
    with pytest.raises(StorageFailed, match="cannot note"):
        await workers.first.ask("collect", "alice")
