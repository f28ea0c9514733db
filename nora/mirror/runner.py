"""What is wanted, asked for side by side, and what is missing of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from nora.errors import NoraError
from nora.formats.mirroring import Registry, Want


@dataclass(frozen=True, slots=True)
class Lost:
    """Something that could not be had."""

    name: str
    reason: str


@dataclass(slots=True)
class Report:
    """What became of what was wanted."""

    wanted: int = 0
    done: int = 0
    """Those that are here now, or were already."""
    missing: list[Lost] = field(default_factory=list)


class Runner:
    """Asks a registry for all that is wanted, and for what that wants in turn, each once."""

    def __init__(self, registry: Registry, concurrency: int) -> None:
        """At most `concurrency` are asked for at a time."""
        self._registry = registry
        self._concurrency = concurrency
        self._queue: asyncio.Queue[Want] = asyncio.Queue()
        self._seen: set[Want] = set()
        self.report = Report()
        """How far it is, also of a run that was stopped."""

    async def run(self, wants: Iterable[Want]) -> Report:
        """Until nothing is wanted any more. Once."""
        self._add(wants)
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(self._work()) for _ in range(self._concurrency)]
            await self._queue.join()
            for worker in workers:
                worker.cancel()
        self.report.missing.sort(key=lambda one: one.name)
        return self.report

    def _add(self, wants: Iterable[Want]) -> None:
        for want in wants:
            if want not in self._seen:
                self._seen.add(want)
                self.report.wanted += 1
                self._queue.put_nowait(want)

    async def _work(self) -> None:
        while True:
            want = await self._queue.get()
            try:
                self._add(await want.fetch(self._registry))
                self.report.done += 1
            except NoraError as error:
                self.report.missing.append(Lost(want.title, str(error)))
            self._queue.task_done()
