"""Running other programs in tests: bounded in time, their output shown when they fail."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

from tests.support.waiting import wait_until

COMMAND_SECONDS = 120.0


def run(
    *argv: str | Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = COMMAND_SECONDS,
    fails: bool = False,
    stdin: IO[bytes] | None = None,
) -> str:
    """Standard output of `argv`. A failure (with `fails`: a success) is an AssertionError that shows it."""
    done = subprocess.run(
        [str(word) for word in argv],
        env=None if env is None else os.environ | env,
        cwd=cwd,
        stdin=stdin or subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    shown = " ".join(map(str, argv))
    output = f"exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    assert (done.returncode != 0) == fails, f"{shown}\n{output}"
    return done.stdout if not fails else done.stdout + done.stderr


@contextlib.contextmanager
def daemon(
    *argv: str | Path,
    log: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of its own group that is ready inside the block and gone after it, its children too."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in argv],
            env=None if env is None else os.environ | env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:

        def tail() -> str:
            return log.read_text(errors="replace")[-3000:]

        def is_ready() -> bool:
            assert process.poll() is None, f"{argv[0]} ended with {process.returncode}\n{tail()}"
            return ready()

        wait_until(is_ready, f"{argv[0]} to be ready", seen=tail, seconds=timeout)
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], timeout: float = 15.0) -> None:
    """SIGTERM, and SIGKILL for the group when that was not enough."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout)
