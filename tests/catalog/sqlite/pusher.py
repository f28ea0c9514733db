"""A process that writes a catalog until it is killed or its time is up.

    python -m tests.catalog.sqlite.pusher CATALOG NAME AWAITERS SECONDS

Waits for a line on its standard input; then prints the content of each release when it is acknowledged, and
whatever goes wrong.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from pathlib import Path

from nora.catalog.sqlite import SQLiteCatalog
from nora.errors import NoraError
from tests.contracts.catalog import HOSTED, LEASE, release


async def push(path: Path, name: str, awaiters: int, seconds: float) -> None:
    catalog = SQLiteCatalog.open(path)
    hosted = (await catalog.sync_repositories([HOSTED]))["hosted"].id
    print("ready", flush=True)
    sys.stdin.readline()
    deadline = time.monotonic() + seconds
    numbers = itertools.count()

    async def one() -> None:
        while time.monotonic() < deadline:
            content = f"{name}-{next(numbers)}"
            try:
                await catalog.publish(release(hosted, name, content), LEASE)
                print(content, flush=True)
            except NoraError as error:
                print(f"error {error!r}", flush=True)

    await asyncio.gather(*(one() for _ in range(awaiters)))
    await catalog.close()


if __name__ == "__main__":
    asyncio.run(push(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
