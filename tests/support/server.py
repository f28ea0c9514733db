"""A real `nora serve` for tests: its own process group, a free port of the loopback, a fresh data directory.

    with running(tmp_path, workers=4) as nora:
        httpx.get(f"{nora.url}/v2/")
        nora.kill()            # SIGKILL to every process of the server
        nora.start()           # same port, same data

The fixtures `nora` (one server for the whole session) and `nora_server` (a factory) of tests/conftest.py are
built on it, and so are the benches.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.buckets import bucket_environment

HOST = "127.0.0.1"
COMMAND = (sys.executable, "-m", "nora", "serve")
START_SECONDS = 60.0
STOP_SECONDS = 60.0
# Settings of the caller's own server must not leak into the one under test; these two choose what is tested.
KEPT = {"NORA_NO_EXTENSIONS", "NORA_REQUIRE_EXTENSIONS"}


STARTS: list[int] = []
"""The process ids of all servers that were started here."""
CLAIMED_PORTS = 200
_claims: deque[socket.socket] = deque()


class ServerFailed(RuntimeError):
    """The server ended, or did not become ready, or did not stop; the message carries the end of its log."""


def free_port() -> int:
    """A port of the loopback that nobody listens on, outside the range that outgoing connections use.

    A port of that range could be taken by some client while a server is being restarted on it. Nor do other
    tests get it for a while: who asks where a server has stopped is to find nobody.
    """
    for _ in range(200):
        port = random.randint(20_000, 32_000)
        claim = socket.socket(socket.AF_UNIX)
        with socket.socket() as probe:
            try:
                claim.bind(f"\0nora-test-port-{port}")  # of no file: it ends with this process
                probe.bind((HOST, port))
            except OSError:
                claim.close()
                continue
        _claims.append(claim)
        if len(_claims) > CLAIMED_PORTS:
            _claims.popleft().close()
        return port
    raise ServerFailed("no free port between 20000 and 32000")


@dataclass(slots=True)
class Server:
    """One `nora serve`; `data` is its data directory and stays when the server stops."""

    data: Path
    log: Path
    port: int = field(default_factory=free_port)
    host: str = HOST
    workers: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = COMMAND
    process: subprocess.Popen[bytes] | None = None

    @property
    def scheme(self) -> str:
        return "https" if "NORA_TLS_CERT" in self.env else "http"

    @property
    def address(self) -> str:
        """`host:port`, as it stands in front of an image name."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.address}"

    @property
    def storage(self) -> Path:
        return self.data / "storage"

    @property
    def pid(self) -> int:
        if self.process is None:
            raise ServerFailed("the server is not running")
        return self.process.pid

    def environment(self) -> dict[str, str]:
        """What the server is started with: the caller's environment without its NORA_*, then ours.

        No test reaches the internet: a server asks upstreams only where a test says so, and says whom.
        """
        kept = {k: v for k, v in os.environ.items() if not k.startswith("NORA_") or k in KEPT}
        return kept | {
            "NORA_HOST": self.host,
            "NORA_PORT": str(self.port),
            "NORA_STORAGE_PATH": str(self.storage),
            "NORA_WORKERS": str(self.workers),
            "NORA_LOG_FORMAT": "json",
            "NORA_PROXY_MODE": "offline",
            **bucket_environment(self.storage),
            **self.env,
        }

    def start(self, timeout: float = START_SECONDS) -> None:
        """Start the server and wait until it is ready. Raises ServerFailed."""
        self.spawn()
        self.wait_ready(timeout)

    def spawn(self) -> None:
        """Start the server without waiting for it. Its standard output and error end in `log`."""
        self.data.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.data,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        STARTS.append(self.process.pid)

    def wait_ready(self, timeout: float = START_SECONDS) -> None:
        """Wait until GET /ready answers 200. Raises ServerFailed."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                code = None if self.process is None else self.process.returncode
                raise ServerFailed(f"nora ended with {code} before it was ready\n{self.log_tail()}")
            if self.status("/ready") == 200:
                return
            time.sleep(0.05)
        raise ServerFailed(f"nora was not ready after {timeout:.0f} s\n{self.log_tail()}")

    def status(self, path: str) -> int | None:
        """The status of GET `path`, or None where nobody answers."""
        connection: http.client.HTTPConnection
        if self.scheme == "https":
            unverified = ssl.create_default_context()
            unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
            connection = http.client.HTTPSConnection(self.host, self.port, timeout=5, context=unverified)
        else:
            connection = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def children(self) -> list[int]:
        """The processes below the server's first one, workers among them."""
        found: list[int] = []
        queue = [self.pid]
        while queue:
            parent = queue.pop()
            with contextlib.suppress(OSError):
                below = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
                queue += map(int, below)
                found += map(int, below)
        return found

    def stop(self, timeout: float = STOP_SECONDS) -> int:
        """SIGTERM, the exit code; what is still alive after `timeout` is killed and ServerFailed raised."""
        process = self.process
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            raise ServerFailed(f"nora did not stop in {timeout:.0f} s\n{self.log_tail()}") from late
        finally:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to every process of the server, and wait for the first one."""
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(STOP_SECONDS)

    def restart(self) -> None:
        """Stop gracefully and start again: same port, same data."""
        self.stop()
        self.start()

    def log_tail(self, lines: int = 60) -> str:
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


@contextlib.contextmanager
def running(
    folder: Path, *, workers: int = 1, env: Mapping[str, str] | None = None, host: str = HOST
) -> Iterator[Server]:
    """A ready server with its data and log below `folder`; nothing of it is left running afterwards."""
    server = Server(folder / "data", folder / "nora.log", host=host, workers=workers, env=env or {})
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.kill()
