"""What the operating system is told about threads, files and the port."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import socket
import subprocess
import sys
import threading

import pytest

from nora.errors import StartError
from nora.processes import (
    DescriptorBudget,
    listen,
    lower_priority,
    name_receivers,
    own_port,
    set_sched_slice,
)
from tests.support.server import HOST, free_port

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to a process")


def test_a_thread_steps_back_alone() -> None:
    found: list[int] = []

    def work() -> None:
        lower_priority()
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, 0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [min(19, before + 10)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_work_comes_after_the_rest_of_a_server_that_was_started_with_nice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(os, "getpriority", lambda *_: 10)
    monkeypatch.setattr(os, "setpriority", lambda *arguments: asked.append(arguments[-1]))
    thread = threading.Thread(target=lower_priority)  # what becomes of it, ends with it
    thread.start()
    thread.join()
    assert asked[0] > 10


def test_short_turns_are_inherited_and_change_nothing_else() -> None:
    code = (
        "import os, subprocess, nora.processes as p; os.nice(3); before = os.sched_getscheduler(0);"
        "p.set_sched_slice(); assert os.sched_getscheduler(0) == before; assert os.nice(0) == 3;"
        "print(subprocess.check_output(['cat', '/proc/self/sched'], text=True))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    turns = [line.split()[-1] for line in found.splitlines() if line.startswith("se.slice")]
    if tuple(map(int, platform.release().split(".")[:2])) >= (6, 12) and platform.machine() == "x86_64":
        assert turns in ([], ["100000"]), "kernels that do not tell have no such line"


def test_turns_stay_as_they_are_where_the_calls_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_library(name: str | None) -> None:
        raise AssertionError("what would be called is something else there")

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    set_sched_slice()


def test_the_soft_limit_of_files_becomes_the_hard_one() -> None:
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 512));"
        "from nora.processes import descriptor_budget, raise_file_limit;"
        "assert descriptor_budget().limit == 256; raise_file_limit();"
        "print(descriptor_budget().limit, *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert found.split() == ["512", "512", "512"]


@pytest.mark.parametrize("limit", [64, 256, 1024, 20_000, 1 << 20])
def test_connections_leave_room_for_the_files_that_they_ask_for(limit: int) -> None:
    budget = DescriptorBudget(limit)
    assert 8 <= budget.connections <= 8192
    assert 3 * budget.connections < limit
    assert 2 * budget.connections < budget.answers < limit


def joining(port: int) -> socket.socket:
    """A socket as other servers make them: whoever shares a port is given its share of the connections."""
    with contextlib.ExitStack() as failing:
        one = failing.enter_context(socket.socket())
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((HOST, port))
        one.listen()
        one.setblocking(False)
        failing.pop_all()
    return one


def test_nobody_joins_the_port_of_one_worker() -> None:
    port = free_port()
    with own_port(HOST, port, 1) as (address, sockets):
        listen(sockets, 16)
        assert (address, len(sockets)) == (HOST, 1)
        with pytest.raises(OSError, match="in use"):
            joining(port)


def test_who_joins_the_port_of_several_workers_gets_no_connection() -> None:
    port = free_port()
    with own_port(HOST, port, 3) as (_, sockets):
        listen(sockets, 128)
        name_receivers(sockets, (0, 1, 2))
        with joining(port) as other:
            clients = [socket.create_connection((HOST, port)) for _ in range(90)]
            with pytest.raises(BlockingIOError):
                other.accept()
            counts = [len(accepted(one)) for one in sockets]
        assert sum(counts) == 90
        assert min(counts) > 5
        for one in clients:
            one.close()


@pytest.mark.parametrize("receivers", [(0,), (1,), (0, 2), (1, 2, 3)])
def test_only_workers_that_are_named_get_connections(receivers: tuple[int, ...]) -> None:
    port = free_port()
    with own_port(HOST, port, 4) as (_, sockets):
        listen(sockets, 128)
        name_receivers(sockets, receivers)
        clients = [socket.create_connection((HOST, port)) for _ in range(90)]
        counts = [len(accepted(one)) for one in sockets]
        assert sum(counts) == 90
        assert [number for number, count in enumerate(counts) if count] == [*receivers]
        for one in clients:
            one.close()


def test_the_first_worker_gets_the_connections_until_others_are_named() -> None:
    port = free_port()
    with own_port(HOST, port, 3) as (_, sockets):
        listen(sockets, 16)
        clients = [socket.create_connection((HOST, port)) for _ in range(10)]
        assert [len(accepted(one)) for one in sockets] == [10, 0, 0]
        for one in clients:
            one.close()


def accepted(listener: socket.socket) -> list[tuple[str, int]]:
    listener.setblocking(False)
    found = []
    while True:
        try:
            connection, peer = listener.accept()
        except BlockingIOError:
            return found
        connection.close()
        found.append(peer)


def test_a_shared_port_of_others_is_refused() -> None:
    port = free_port()
    with joining(port), pytest.raises(StartError, match=str(port)), own_port(HOST, port, 2):
        pass
