"""A collection that kills its own process: `python -m tests.faults.collecting FOLDER MOMENT`.

A moment is a phase of nora.blobs.collection, which it dies in the middle of; `object`, between an object and
its row; or `done`, at which it lives.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from nora.blobs import collection
from nora.blobs.collection import Collector, Phase
from nora.blobs.layout import Layout
from nora.blobs.local import LocalBlobStore
from nora.catalog.records import Blob
from nora.catalog.sqlite import SQLiteCatalog

MOMENTS = ("blobs", "objects", "dooming", "removing", "object", "done")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Dying(SQLiteCatalog):
    """Dies before it removes rows."""

    async def remove_doomed(self, blobs: Sequence[Blob]) -> None:
        die()


async def collect(folder: Path, moment: str) -> None:
    layout = Layout(folder)
    catalog = (Dying if moment == "object" else SQLiteCatalog).open(layout.catalog)
    with closing(LocalBlobStore(layout, reserve_bytes=0)) as store:
        collector = Collector(
            catalog, store, grace=0.0, unlink_delay=-1.0, removal_lock=folder / "removal.lock"
        )
        reports = 0

        def report(phase: Phase, done: int, of: int) -> None:
            nonlocal reports
            reports += phase == moment
            if reports == 3:
                die()

        await collector.collect(report)
        await catalog.close()


if __name__ == "__main__":
    collection.PAGE = 5
    asyncio.run(collect(Path(sys.argv[1]), sys.argv[2]))
