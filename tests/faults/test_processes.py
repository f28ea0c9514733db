"""The life of the processes: nobody survives the parent, and there is one server per directory and port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.faults.processes import alive, gone, group, workers
from tests.support.server import COMMAND, Server, free_port

REFUSAL_SECONDS = 30


def refused(server: Server) -> str:
    """The message of a server that must not start."""
    done = subprocess.run(
        COMMAND,
        env=server.environment(),
        cwd=server.data,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=REFUSAL_SECONDS,
        check=False,
    )
    assert done.returncode != 0
    return done.stdout + done.stderr


@pytest.mark.parametrize("count", [1, 4])
def test_no_worker_survives_its_parent(nora_server: StartServer, count: int) -> None:
    server = nora_server(workers=count)
    assert len(workers(server)) >= count
    processes = group(server)
    os.kill(server.pid, signal.SIGKILL)
    gone(processes)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((server.host, server.port)).close()


def test_no_worker_survives_a_stop(nora_server: StartServer) -> None:
    server = nora_server(workers=2)
    processes = group(server)
    assert server.stop() == 0
    gone(processes)


def test_second_server_on_the_same_directory_is_refused(nora_server: StartServer) -> None:
    server = nora_server()
    second = Server(server.data, server.data / "second.log", port=free_port())
    message = refused(second)
    assert str(server.storage) in message
    assert str(server.pid) in message, "the holder is named"
    assert server.status("/v2/") == 200


def test_second_server_on_the_same_port_is_refused(nora_server: StartServer, tmp_path: Path) -> None:
    server = nora_server(workers=2)
    other = tmp_path / "other"
    other.mkdir()
    second = Server(other, tmp_path / "second.log", port=server.port)
    message = refused(second)
    assert str(server.port) in message
    assert "in use" in message.lower()
    assert all(alive(pid) for pid in group(server))


def test_directory_is_free_after_a_kill(nora_server: StartServer) -> None:
    server = nora_server(workers=2)
    server.kill()
    server.start()
    assert server.status("/v2/") == 200


def test_dying_workers_do_not_end_the_server(nora_server: StartServer) -> None:
    """The same worker dies again and again, faster than a supervisor with a crash limit would allow."""
    server = nora_server(workers=2)
    for _ in range(4):
        victims = workers(server)
        assert len(victims) >= 2
        os.kill(victims[-1], signal.SIGKILL)
        gone(victims[-1:])
        server.wait_ready()
        _wait_for_workers(server, 2)
    assert server.process is not None
    assert server.process.poll() is None, server.log_tail()
    assert server.status("/v2/") == 200


def _wait_for_workers(server: Server, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(workers(server)) < count:
        assert time.monotonic() < deadline, "the dead worker was not replaced"
        time.sleep(0.05)
