"""Work on large documents in another process, so that a worker's event loop does not wait for it.

For those a busy thread would not do: it takes the interpreter lock from the loop again and again, and a
parser that never lets go of it stops the loop for as long as it runs; for a document of middle size that is a
millisecond. The process is started when it is needed, takes one call after the other, and ends when it was
idle for a while, or when its worker is gone.
"""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar, cast

from nora.blobs.threads import Threads
from nora.errors import StorageBusy
from nora.processes import frugal_memory, lower_priority, return_memory

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

QUICK_BYTES: Final = 16 << 10
"""Arguments that are together no larger are worked on at once, on the loop."""
SMALL_BYTES: Final = 1 << 20
"""Arguments that are together no larger are worked on here, in a thread."""
IDLE_SECONDS: Final = 5.0
"""How long the process waits for another call: it holds 35 MiB, and is started in a quarter of a second."""
PIPE_BYTES: Final = 1 << 20
"""What Linux lets everybody have: fewer changes between the two processes than with 64 KiB."""
_COMMAND: Final = (sys.executable, "-c", f"from {__name__} import serve; serve()")


async def offload(function: Callable[..., T], *arguments: Any, weight: int = 0) -> T:
    """The result of a function of a module, called with these arguments: at once when the bytes among them
    are few, in a thread when there are more, else in the other process. Both must be fit to be pickled; what
    the function raises is raised here. `weight` is how many bytes it is worth at least, where they are
    compressed.

    Raises StorageBusy when the process ended in the middle (the machine has no memory left, say).
    """
    work = max(weight, sum(len(one) for one in arguments if isinstance(one, bytes)))
    if work <= QUICK_BYTES:
        return function(*arguments)
    if work <= SMALL_BYTES:
        return await asyncio.to_thread(function, *arguments)
    return await _helper.call(function, *arguments)


class Helper:
    """The other process, and the thread that talks to it."""

    def __init__(self, idle_seconds: float = IDLE_SECONDS) -> None:
        self._idle_seconds = idle_seconds
        self._threads = Threads(1, "offload", lower_priority)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()  # the timer ends the process in a thread of its own
        self._timer: threading.Timer | None = None

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """See `offload`. When cancelled, the call ends before this does."""
        return await self._threads.start(partial(self._call, function, arguments)).result()

    def _call(self, function: Callable[..., T], arguments: tuple[Any, ...]) -> T:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
            try:
                done, result = self._ask(self._process or self._start(), function, arguments)
            except (EOFError, OSError, pickle.UnpicklingError) as error:  # the last: it died while answering
                self._end()
                raise StorageBusy("a large document could not be worked on; try again") from error
            except BaseException:  # what cannot be pickled: who knows where in the pipe we are
                self._end()
                raise
            self._timer = threading.Timer(self._idle_seconds, self._expire)
            self._timer.daemon = True
            self._timer.start()
        if done:
            return cast("T", result)
        raise result

    def _ask(self, process: subprocess.Popen[bytes], *call: Any) -> tuple[bool, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump(call, process.stdin, protocol=5)
        process.stdin.flush()
        answer: tuple[bool, Any] = pickle.load(process.stdout)  # noqa: S301 - our own process
        return answer

    def _start(self) -> subprocess.Popen[bytes]:
        """By the thread, whose niceness it inherits: those who serve come first. In a session of its own it
        would not count, as Linux shares the processors among sessions then (autogroups)."""
        self._process = subprocess.Popen(
            _COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=PIPE_BYTES,
            process_group=0,  # a Ctrl-C is for the server
        )
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with suppress(BrokenPipeError), process:  # its input ends, and so does it
                pass

    def close(self) -> None:
        """End the process, in the middle of a call if need be; the next call starts another one."""
        process = self._process
        if process is not None:
            process.kill()
        self._expire()

    def _expire(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self._end()


_helper = Helper()


def close() -> None:
    """End the other process, if there is one."""
    _helper.close()


def serve() -> None:
    """What the other process does: calls, until nobody can ask for more."""
    calls, answers = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a function prints is no answer
    frugal_memory()
    with suppress(BrokenPipeError, EOFError):
        while True:
            _serve_one(calls, answers)


def _serve_one(calls: IO[bytes], answers: IO[bytes]) -> None:
    """One call; nothing of it is kept while the next one is waited for."""
    function, arguments = pickle.load(calls)  # noqa: S301 - our own worker
    try:
        answer = True, function(*arguments)
    except Exception as error:  # noqa: BLE001 - whoever called gets it
        answer = False, error
    pickle.dump(answer, answers, protocol=5)
    answers.flush()
    del function, arguments, answer
    return_memory()
