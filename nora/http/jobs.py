"""When work that is done again and again was done last, for all processes to see, also after a restart.

A small file for each job, `<name>.run` beside its lock, replaced as a whole by the process that does the job.
What cannot be written is not told: a job is not worse for that.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

BACKUP: Final = "backup"
VERIFICATION: Final = "verify"
"""What commands do, and note here as well."""
LONGEST_PROBLEM: Final = 300
LARGEST: Final = 4096
"""Bytes of a file."""


@dataclass(frozen=True, slots=True)
class Run:
    """The last time that a job was done."""

    began_at: float
    """Seconds since the epoch, as the next."""
    ended_at: float
    problem: str = ""
    """Why it failed; empty: it did not."""
    result: str = ""
    """What came of it, of a job that says so."""
    succeeded_at: float | None = None
    """When the last one without a problem began, this one or one before; None: none is known."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something that is done again and again."""

    name: str
    every_seconds: float
    last: Run | None
    """None: not yet."""

    @property
    def next_at(self) -> float | None:
        """When it is about to be done again, in seconds since the epoch; None where that is not known."""
        return None if self.last is None else self.last.ended_at + self.every_seconds


class JobRecords:
    """The files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, name: str, began_at: float, problem: str = "", result: str = "") -> None:
        """A job was done: for a thread."""
        succeeded_at: float | None = began_at
        if problem:
            before = self.last(name)
            succeeded_at = None if before is None else before.succeeded_at
        fields = {
            "succeeded_at": succeeded_at,
            "began_at": began_at,
            "ended_at": time.time(),
            "problem": problem[:LONGEST_PROBLEM],
            "result": result[:LONGEST_PROBLEM],
        }
        path = self._folder / f"{name}.run"
        with suppress(OSError):
            path.with_suffix(".new").write_bytes(orjson.dumps(fields))
            path.with_suffix(".new").replace(path)

    def last(self, name: str) -> Run | None:
        """The last time that a job was done, as far as that is known."""
        try:
            with (self._folder / f"{name}.run").open("rb") as file:
                found = orjson.loads(file.read(LARGEST))
            succeeded_at = found.get("succeeded_at")
            return Run(
                float(found["began_at"]),
                float(found["ended_at"]),
                str(found["problem"]),
                str(found.get("result", "")),
                None if succeeded_at is None else float(succeeded_at),
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
