"""Work that somebody asks for and that takes long: one of all processes does it, and all tell how far it is.

A file for each job, `<name>.asked` beside the locks, replaced as a whole: by who asks, then by the process
that does it. That holds a lock meanwhile, which the kernel frees when it is killed; then another one begins
anew, so the work has to be such that it may be done again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import orjson

from nora.errors import Conflict, NoraError, NotFound, StorageFailed, quoted
from nora.http.jobs import LONGEST_PROBLEM
from nora.http.tasks import spawn
from nora.locks import FileLock

MOST_EXAMPLES: Final = 100
LARGEST: Final = 1024 * 1024
"""Bytes of a file."""
LOOK_SECONDS: Final = 2.0
"""Between looks whether there is something to do; who is asked looks at once."""
NOTE_SECONDS: Final = 1.0
"""Between notes of how far it is."""
ATTEMPTS: Final = 3
"""Processes that may end with it; then it is taken for the reason."""

_log = logging.getLogger(__name__)

State = Literal["waiting", "running", "done", "failed"]
Report = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much of it; 0: of nobody knows how much."""


@dataclass(frozen=True, slots=True)
class Part:
    """How much of one kind there is."""

    kind: str
    count: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Example:
    """One of it."""

    kind: str
    name: str
    bytes: int | None = None
    """None: that is not known."""
    repository: str = ""
    package: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was found, or done."""

    parts: tuple[Part, ...]
    examples: tuple[Example, ...] = ()
    """The first of it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A job that was asked for, and how far it is."""

    state: State
    by: str
    """Who has asked."""
    asked_at: float
    """Seconds since the epoch, as all times here."""
    ended_at: float | None = None
    attempts: int = 0
    phase: str = ""
    done: int = 0
    of: int = 0
    """0: that is not known."""
    problem: str = ""
    """Why it failed."""
    outcome: Outcome | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be done, or being done."""
        return self.state in ("waiting", "running")


Work = Callable[[Report], Awaitable[Outcome]]


class RequestedJobs:
    """Those of one worker, whose files all workers see."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """`folder` exists, and is that of the locks."""
        self._folder = folder
        self._clock = clock
        self._works: dict[str, Work] = {}
        self._wake = asyncio.Event()

    def offer(self, name: str, work: Work) -> None:
        """Work that may be asked for."""
        self._works[name] = work

    def __contains__(self, name: str) -> bool:
        return name in self._works

    @property
    def names(self) -> Sequence[str]:
        """All that may be asked for."""
        return [*self._works]

    async def read(self, name: str) -> Asked | None:
        """The last time that a job was asked for; None: it was not yet. Raises NotFound."""
        self._require(name)
        return await asyncio.to_thread(self._read, name)

    async def ask(self, name: str, by: str) -> Asked:
        """Let it be done. Raises NotFound, Conflict while it is being done, StorageFailed."""
        self._require(name)
        asked = Asked("waiting", by, self._clock())
        await asyncio.to_thread(self._ask, name, asked)
        self._wake.set()
        return asked

    def start(self) -> asyncio.Task[None]:
        """Do what is asked for, by turns with the other processes."""
        return spawn(self._run(), "jobs that somebody asks for")

    async def look(self) -> None:
        """Do what is due, and nobody else does."""
        for name in self._works:
            found = await asyncio.to_thread(self._take, name)
            if found is not None:
                lock, asked = found
                try:
                    await self._perform(name, asked)
                finally:
                    lock.close()

    async def _run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.look()
            except NoraError as error:
                _log.warning("jobs that somebody asks for: %s", error)

    async def _perform(self, name: str, asked: Asked) -> None:
        """Whatever becomes of it is noted; who is stopped leaves it to another."""
        far: list[tuple[str, int, int]] = [("", 0, 0)]

        def report(phase: str, done: int, of: int) -> None:
            far[0] = (phase, done, of)

        def noted() -> Asked:
            phase, done, of = far[0]
            return replace(asked, phase=phase, done=done, of=of)

        async def note() -> None:
            while True:
                await asyncio.sleep(NOTE_SECONDS)
                with suppress(StorageFailed):  # who looks sees less
                    await asyncio.to_thread(self._write, name, noted())

        noting = spawn(note(), f"noting how far {name} is")
        try:
            outcome = await self._works[name](report)
            ended = replace(noted(), state="done", outcome=outcome)
        except Exception as error:  # noqa: BLE001 - who has asked is told
            problem = str(error) if isinstance(error, NoraError) else type(error).__name__
            ended = replace(noted(), state="failed", problem=problem[:LONGEST_PROBLEM])
            _log.warning("%s, asked for by %s, failed", name, asked.by, exc_info=error)
        finally:
            noting.cancel()
            await asyncio.gather(noting, return_exceptions=True)
        await asyncio.to_thread(self._write, name, replace(ended, ended_at=self._clock()))

    # -- files: for a thread -------------------------------------------------------------------------------

    def _require(self, name: str) -> None:
        if name not in self._works:
            raise NotFound(f"no job {quoted(name)} may be asked for; there are {', '.join(self._works)}")

    def _ask(self, name: str, asked: Asked) -> None:
        lock = FileLock(self._folder / f"{name}.asked.lock")
        try:
            found = self._read(name)
            if not lock.acquire(block=False) or (found is not None and found.is_open):
                raise Conflict(f"{name} is being done already: wait for its end")
            self._write(name, asked)
        finally:
            lock.close()

    def _take(self, name: str) -> tuple[FileLock, Asked] | None:
        """The lock, and what is to be done."""
        found = self._read(name)
        if found is None or not found.is_open:
            return None
        lock = FileLock(self._folder / f"{name}.asked.lock")
        taken = None
        try:
            if lock.acquire(block=False):
                taken = self._begin(name)
        finally:
            if taken is None:
                lock.close()
        return None if taken is None else (lock, taken)

    def _begin(self, name: str) -> Asked | None:
        """Who holds the lock notes that it is done now."""
        found = self._read(name)  # who had the lock may have ended it
        if found is None or not found.is_open:
            return None
        if found.attempts == ATTEMPTS:
            problem = f"{ATTEMPTS} processes have ended while they did it"
            self._write(name, replace(found, state="failed", problem=problem, ended_at=self._clock()))
            return None
        taken = replace(found, state="running", attempts=found.attempts + 1, phase="", done=0, of=0)
        self._write(name, taken)
        return taken

    def _read(self, name: str) -> Asked | None:
        try:
            with (self._folder / f"{name}.asked").open("rb") as file:
                return _asked(orjson.loads(file.read(LARGEST)))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _write(self, name: str, asked: Asked) -> None:
        path = self._folder / f"{name}.asked"
        try:
            path.with_suffix(".asking").write_bytes(orjson.dumps(asdict(asked)))
            path.with_suffix(".asking").replace(path)
        except OSError as error:
            raise StorageFailed(f"cannot note in {path} what is asked for: {error.strerror}") from error


def _asked(fields: dict[str, Any]) -> Asked:
    outcome = fields.pop("outcome")
    if outcome is not None:
        parts = tuple(Part(**one) for one in outcome["parts"])
        outcome = Outcome(parts, tuple(Example(**one) for one in outcome["examples"]))
    return Asked(**fields, outcome=outcome)
