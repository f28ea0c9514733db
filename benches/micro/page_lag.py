"""How long the event loop waits for others while pages of many files are made and read.

    python -m benches.micro.page_lag [files]

It makes a page in each form, and looks up files in it, as a worker does; a task that sleeps for a millisecond
again and again tells by how much it was late.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable

from nora.app import SWITCH_SECONDS
from nora.formats.pypi.index import ListedFile, Project, encode, weight
from nora.formats.pypi.names import ProjectName
from nora.formats.pypi.pages import PageType
from nora.formats.pypi.projects import _worked
from nora.formats.pypi.upstream import find_listed
from nora.http.encodings import Encoding
from nora.proxy import offload as offloading
from nora.proxy.offload import offload

TICK = 0.001


def page_of(count: int) -> bytes:
    """A page in its stored form, with files as PyPI lists them."""
    files = tuple(
        ListedFile(
            f"many-{number}.0-py3-none-any.whl",
            f"https://files.example.com/packages/{number:064x}/many-{number}.0-py3-none-any.whl",
            {"sha256": f"{number * 2654435761 % (1 << 256):064x}"},
            ">=3.8",
            {"sha256": f"{number * 40503 % (1 << 256):064x}"},
            size=number * 1000,
            upload_time="2024-01-02T03:04:05.678901Z",
        )
        for number in range(count)
    )
    return encode(Project(ProjectName("many"), files, tuple(f"{number}.0" for number in range(count))))


async def lag(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """Seconds of the longest wait of another task, and of the work itself."""
    longest = 0.0

    async def tick() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await asyncio.sleep(TICK)
            longest = max(longest, time.perf_counter() - before - TICK)

    ticking = asyncio.ensure_future(tick())
    await asyncio.sleep(0.05)
    longest, began = 0.0, time.perf_counter()
    await work()
    took = time.perf_counter() - began
    await asyncio.sleep(TICK * 2)  # what kept the loop to its end is seen after it
    ticking.cancel()
    return longest, took


async def measure(count: int) -> None:
    """Print a line for each kind of work."""
    stored = page_of(count)
    for kind in (PageType.JSON, PageType.HTML):
        for encoding in (Encoding.IDENTITY, Encoding.GZIP, Encoding.ZSTD):
            waits = [await lag(lambda: _worked(kind, encoding, 0, [stored])) for _ in range(5)]  # noqa: B023
            show(f"page {kind.name} {encoding.name}", count, waits)
    name = f"many-{count - 1}.0-py3-none-any.whl"
    waits = [await lag(lambda: offload(find_listed, stored, name, weight=weight(stored))) for _ in range(5)]
    show("a file", count, waits)


def show(what: str, count: int, waits: list[tuple[float, float]]) -> None:
    """One line: the median of the longest waits, the worst of them, and how long the work took."""
    found = sorted(wait for wait, _ in waits)
    took = sorted(seconds for _, seconds in waits)[len(waits) // 2]
    print(
        f"{count:6} files  {what:20} waits {found[len(found) // 2] * 1000:6.2f} ms"
        f" (worst {found[-1] * 1000:6.2f})  takes {took * 1000:7.1f} ms"
    )


if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.collect()
    gc.freeze()  # as the server does before it forks
    for size in map(int, sys.argv[1:] or ("100", "1000", "10000")):
        asyncio.run(measure(size))
    offloading.close()
