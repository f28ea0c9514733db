"""How far a long command is: a bar on a terminal, nothing in a pipe."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeVar

import click

from nora.errors import NoraError
from nora.upkeep.progress import Silent

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from nora.upkeep.progress import Progress as BytesDone

T = TypeVar("T")
TICK_SECONDS: Final = 0.2
RATE_SECONDS: Final = 5.0
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Counts(NamedTuple):
    """How far work is whose end is found on the way."""

    wanted: int
    done: int
    """Whatever became of them."""
    missing: int
    received: int
    """Bytes."""


class Progress:
    """A bar for each phase of some work, below each other, on standard error."""

    def __init__(self, phases: Mapping[str, str]) -> None:
        """`phases`: what people read of each."""
        self._phases = phases
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bars

            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            self._bars = Bars(*columns, TimeRemainingColumn(), console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def report(self, phase: str, done: int, of: int) -> None:
        """So much of a phase is done."""
        if self._bars is not None:
            if phase not in self._tasks:
                self._tasks[phase] = self._bars.add_task(self._phases[phase], total=of)
            self._bars.update(self._tasks[phase], completed=done, total=of)


class _ShownBytes:
    """See nora.upkeep.progress."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=None)

    def expect(self, total: int, what: str) -> None:
        self._bars.remove_task(self._task)
        self._task = self._bars.add_task(what, total=total)

    def advance(self, size: int) -> None:
        self._bars.advance(self._task, size)


@contextmanager
def shown_progress() -> Iterator[BytesDone]:
    """Bytes, their rate and how long it will take, on standard error."""
    if not sys.stderr.isatty():
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        yield _ShownBytes(bars)


@asynccontextmanager
async def shown_counts(state: Callable[[], Counts], what: str) -> AsyncIterator[None]:
    """How many things are done of those that are known by now, their bytes and rate and how long it will
    take, on standard error."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )
    rate = Rate()
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        line = bars.add_task(what, total=None, told="")

        async def tick() -> None:
            while True:
                now = state()
                told = f"{_size(now.received)}, {_size(rate.of(now.received))}/s, {now.missing} missing"
                bars.update(line, total=now.wanted, completed=now.done, told=told)
                await asyncio.sleep(TICK_SECONDS)

        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(tick())
            try:
                yield
            finally:
                ticking.cancel()


class Rate:
    """How much comes in a second, as it was in the last few."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def of(self, amount: int) -> float:
        """What it is now that so much has come in all."""
        now = self._clock()
        self._seen.append((now, amount))
        while now - self._seen[0][0] > RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return (amount - before) / (now - since) if now > since else 0.0


def _size(amount: float) -> str:
    """Bytes, as people read them."""
    power = min(len(_UNITS) - 1, max(int(amount).bit_length() - 1, 0) // 10)
    return f"{amount / 1024**power:,.{min(power, 1)}f} {_UNITS[power]}"


def run_long(work: Callable[[BytesDone], Awaitable[T]], interrupted: str) -> T:
    """What `work` gives; an error of ours ends the command with 1. After Ctrl-C `interrupted` says what is
    there, and what to do."""

    async def shown() -> T:
        with shown_progress() as progress:
            return await work(progress)

    try:
        return asyncio.run(shown())
    except NoraError as error:
        click.echo(str(error), err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo(f"stopped: {interrupted}", err=True)
        sys.exit(130)
