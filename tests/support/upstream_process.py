"""An upstream in a process of its own, for tests that move much or kill things: same methods, through a pipe.

    with upstream_process() as up:
        up.serve("/a/file", Answer(body=Repeated(block, 200 << 20)))
        assert up.count("GET", "/a/file") == 1

Handlers go through the pipe by pickle: instances of classes, no lambdas.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

from tests.support.answers import Answer, Asked
from tests.support.upstream import Handler, Upstream, upstream
from tests.support.waiting import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).parents[2]


@dataclass(slots=True)
class UpstreamProcess:
    """What a test holds of it."""

    process: subprocess.Popen[bytes]
    port: int
    url: str
    _pipe: Connection

    def _call(self, name: str, *args: object, **named: object) -> Any:
        self._pipe.send((name, args, named))
        assert self._pipe.poll(60), f"the upstream does not answer {name}"
        failure, result = self._pipe.recv()
        assert failure is None, failure
        return result

    def serve(self, path: str, answer: Answer | Handler, method: str | None = None) -> None:
        self._call("serve", path, answer, method)

    def once(self, path: str, *answers: Answer, method: str | None = "GET") -> None:
        self._call("once", path, *answers, method=method)

    def mount(self, prefix: str, handler: Handler) -> None:
        self._call("mount", prefix, handler)

    def forget(self, path: str) -> None:
        self._call("forget", path)

    def open(self, gate: str) -> None:
        self._call("open", gate)

    def fail(self, answer: Answer | None) -> None:
        """Set `Upstream.fault`."""
        self._call("fault", answer)

    def start(self) -> None:
        self._call("start")

    def stop(self) -> None:
        self._call("stop")

    def requests(self, method: str | None = None, path: str | None = None) -> list[Asked]:
        found: list[Asked] = self._call("requests", method, path)
        return found

    def count(self, method: str | None = None, path: str | None = None) -> int:
        return len(self.requests(method, path))

    def clear(self) -> None:
        """Forget the requests."""
        self._call("clear")

    def wait(self, method: str | None = None, path: str | None = None, count: int = 1) -> None:
        """Until there are so many requests. An AssertionError when there are not."""
        wait_until(
            lambda: self.count(method, path) >= count,
            f"{count} of {method} {path}",
            seen=lambda: [str(one) for one in self.requests()],
        )


@contextlib.contextmanager
def upstream_process() -> Iterator[UpstreamProcess]:
    """A started upstream; the process is gone afterwards, whatever happened."""
    ours, theirs = Pipe()
    with ours:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.upstream_process", str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        try:
            assert ours.poll(PATIENCE_SECONDS), "the upstream did not start"
            port, url = ours.recv()
            yield UpstreamProcess(process, port, url, ours)
        finally:
            process.kill()
            process.wait(PATIENCE_SECONDS)


def _perform(server: Upstream, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> object:
    match name:
        case "fault":
            (server.fault,) = args
        case "requests":
            return server.log.of(*args)
        case "clear":
            server.log.clear()
        case _:
            getattr(server, name)(*args, **named)
    return None


def main(descriptor: int) -> None:
    """Serve until the other end of the pipe is closed."""
    with Connection(descriptor) as pipe, upstream() as server, contextlib.suppress(EOFError):
        pipe.send((server.port, server.url))
        while True:
            name, args, named = pipe.recv()
            try:
                pipe.send((None, _perform(server, name, args, named)))
            except Exception as failure:  # noqa: BLE001 - shown where the test called
                pipe.send((repr(failure), None))


if __name__ == "__main__":
    main(int(sys.argv[1]))
