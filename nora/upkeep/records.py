"""When long work was done last, and how that went: for the pages, whoever did it. See nora.http.jobs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from nora.blobs.scratch import ScratchLayout
from nora.errors import NoraError
from nora.http.jobs import JobRecords


class Tell(Protocol):
    """Takes what came of some work, and what is wrong all the same."""

    def __call__(self, result: str, problem: str = "") -> None: ...


@contextmanager
def noted(root: Path, job: str) -> Iterator[Tell]:
    """Note what is done in the block on the storage at `root`. What is yielded is told what came of it, and
    what is wrong all the same."""
    records, began_at = JobRecords(Path(ScratchLayout(root).locks)), time.time()
    told = ["", ""]

    def tell(result: str, problem: str = "") -> None:
        told[:] = problem, result

    try:
        yield tell
    except NoraError as error:
        records.note(job, began_at, str(error))
        raise
    except BaseException:
        records.note(job, began_at, "stopped")
        raise
    records.note(job, began_at, *told)
