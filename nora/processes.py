"""What the server asks of the operating system about its processes and its port."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import platform
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nora.errors import StartError

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_SO_ATTACH_REUSEPORT_CBPF = 51
_BPF_INSTRUCTION = struct.Struct("HBBI")
_BPF_LOAD_WORD, _BPF_MODULO, _BPF_JUMP_EQUAL, _BPF_RETURN = 0x20, 0x94, 0x15, 0x06
_BPF_RANDOM = 0xFFFFF000 + 56
"""An instruction of classic BPF, four codes, and the address that holds a random number (linux/filter.h)."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_LARGE_BYTES = 4 << 20
_NICENESS = 10
"""A tenth of what a thread that answers requests gets, when there is not enough for both. No less: also on a
machine that is always busy somebody has to get in."""
_TURN_NS = 100_000
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274}  # and the next number is sched_getattr
_SCHED_ATTR = struct.Struct("=IIQiIQQQII")
"""size, policy, flags, nice, priority, runtime, deadline, period, util_min, util_max (sched_setattr(2))."""
_LINUX = sys.platform.startswith("linux")
_MOST_CONNECTIONS = 8192
"""Of a worker, idle ones included: more than any proxy pools."""
_OPEN_MAX = 10_240
"""What macOS allows a process where it says that there is no limit."""


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, however it dies: workers that outlive it
    would go on serving the port beside the next server's."""
    if not _LINUX:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the kernel was asked
        os._exit(1)


def set_sched_slice() -> None:
    """Have this thread, and all that it starts from now on, get a processor soon when something is to do.

    Since 6.6, Linux lets a thread finish its turn of some milliseconds before one that wakes up, whatever
    their niceness; since 6.12, whose turns are shorter gets in at once. Elsewhere nothing changes.
    """
    number = _SCHED_SETATTR.get(platform.machine())
    if not _LINUX or number is None:
        return
    with suppress(AttributeError):
        syscall = ctypes.CDLL(None).syscall
        found = ctypes.create_string_buffer(_SCHED_ATTR.size)
        if syscall(number + 1, 0, found, _SCHED_ATTR.size, 0) != 0:
            return
        attributes = list(_SCHED_ATTR.unpack(found.raw))
        if attributes[1] in (os.SCHED_OTHER, os.SCHED_BATCH):
            attributes[5] = _TURN_NS
            syscall(number, 0, _SCHED_ATTR.pack(*attributes), 0)


def lower_priority() -> None:
    """Let the threads that answer requests go before this one; on Linux a priority belongs to a thread."""
    if not _LINUX:
        return
    with suppress(OSError):  # where a sandbox forbids it, everything works all the same
        thread = threading.get_native_id()
        # from where it is: a server that was started with `nice` must not work at a higher priority
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS
        os.setpriority(os.PRIO_PROCESS, thread, niceness)  # Linux takes 19 for anything above


def frugal_memory() -> None:
    """Let glibc use two arenas of memory instead of eight for each core, and give back at once what is large.

    An idle server takes 46 MiB with two arenas, 51 without; 100 slow downloads add 31 MiB either way (one run
    each). Left alone, glibc keeps blocks of up to 32 MiB once one of that size was freed: a project page of
    20 MB leaves 85 MiB behind, with this 65. Workers inherit it; other C libraries have no such call.
    """
    if _LINUX:
        with suppress(AttributeError):
            settings = (
                (_M_ARENA_MAX, 2),
                (_M_MMAP_THRESHOLD, _LARGE_BYTES),
                (_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES),
            )
            for name, value in settings:
                ctypes.CDLL(None).mallopt(name, value)


def return_memory() -> None:
    """Give back to the system what was freed and lies between what is in use, which glibc does not by itself.
    It takes a millisecond or more, in which no other thread gets memory: for processes that wait next."""
    if _LINUX:
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def raise_file_limit() -> None:
    """Let this process, and those that it starts, have as many files open as the system allows them. The soft
    limit, 1024 nearly everywhere, is for programs that use select(2)."""
    if sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = _OPEN_MAX if hard == resource.RLIM_INFINITY else hard
    with suppress(OSError, ValueError):  # where a sandbox forbids it, the budget is what there is
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    descriptor_budget.cache_clear()


@dataclass(frozen=True, slots=True)
class DescriptorBudget:
    """How the files that a worker may have open at a time are shared out."""

    limit: int

    @property
    def connections(self) -> int:
        """Clients that are served at a time. Each is a socket, and a file or two that it reads or writes."""
        return max(8, min(_MOST_CONNECTIONS, (self.limit - min(128, self.limit // 4)) // 3))

    @property
    def answers(self) -> int:
        """The number from which on a descriptor is not for one more file that is sent. Numbers are given out
        from below, so that many are in use; what is above is for files that are about to be opened, for
        writing, and for the catalog."""
        return self.limit - self.limit // 8


@cache
def descriptor_budget() -> DescriptorBudget:
    """That of this process, by the limit that it has when it is first asked for."""
    if sys.platform == "win32":
        return DescriptorBudget(_OPEN_MAX)
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DescriptorBudget(_OPEN_MAX if soft == resource.RLIM_INFINITY else soft)


@contextmanager
def own_port(host: str, port: int, workers: int) -> Iterator[tuple[str, list[socket.socket]]]:
    """Own the port: the address that `host` stands for, and a socket for each worker, bound and not listening
    yet. Without sockets where a worker has to make its own (other systems than Linux, with one worker).

    It is bound once without sharing, which fails when anybody has it. One worker keeps that socket, and
    nobody can join it. Raises StartError.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise StartError(f"the address {host} is not known: {error.strerror}; see NORA_HOST") from error
    family, _, _, _, address = found[0]
    with ExitStack() as sockets:
        alone = sockets.enter_context(_bind(family, address, host, port))
        bound = [alone]
        if not _LINUX or workers > 1:
            alone.close()
            bound = [
                sockets.enter_context(_bind(family, address, host, port, shared=True))
                for _ in range(workers if _LINUX else 0)
            ]
        yield str(address[0]), bound


def listen(sockets: Sequence[socket.socket], backlog: int) -> None:
    """Begin to listen on the sockets of all workers. The first one is given the connections, until others
    are named."""
    for one in sockets:
        one.listen(backlog)
    name_receivers(sockets, (0,))


def name_receivers(sockets: Sequence[socket.socket], receivers: Sequence[int]) -> None:
    """Give connections to the sockets with these numbers, at random, and to no others.

    A worker that is starting, or cannot start, would leave them waiting. And another process of the same user
    can join sockets that share a port (SO_REUSEPORT), and would be given its share. So it is said which ones
    are meant: the numbers are those of the first sockets, for as long as this process has them open, whatever
    becomes of workers.
    """
    if len(sockets) < 2:
        return
    steps = [(_BPF_LOAD_WORD, 0, 0, _BPF_RANDOM), (_BPF_MODULO, 0, 0, len(receivers))]
    for index, receiver in enumerate(receivers):
        steps += [(_BPF_JUMP_EQUAL, 0, 1, index), (_BPF_RETURN, 0, 0, receiver)]
    steps.append((_BPF_RETURN, 0, 0, receivers[0]))  # not reached; a program has to end with one
    program = b"".join(_BPF_INSTRUCTION.pack(*step) for step in steps)
    kept = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("HP", len(steps), ctypes.addressof(kept))
    try:
        sockets[0].setsockopt(socket.SOL_SOCKET, _SO_ATTACH_REUSEPORT_CBPF, pointer)
    except OSError as error:  # a kernel, or what passes for one, that has no such thing
        _log.warning("another process of this user could join the port unnoticed: %s", error.strerror)


def _bind(
    family: int, address: tuple[object, ...], host: str, port: int, *, shared: bool = False
) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":
            # What is accepted inherits it, and would else keep the port for a minute after the server.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is accepted inherits it
        bound.bind(address)
    except OSError as error:
        bound.close()
        if error.errno != errno.EADDRINUSE:
            raise StartError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        who = port_holder(port)
        raise StartError(
            f"port {port} of {host} is in use{f' by {who}' if who else ''}; stop it or set NORA_PORT"
        ) from error
    return bound


def port_holder(port: int) -> str | None:
    """The process that listens on a port, as far as this user may see: `process 4711 (nginx)`."""
    sockets = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not sockets:
        return None
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(descriptor.readlink()) in sockets for descriptor in (folder / "fd").iterdir()):
                return f"process {folder.name} ({(folder / 'comm').read_text().strip()})"
    return None


def _listening_inodes(port: int) -> Iterator[str]:
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:  # proc(5): LISTEN
                    yield fields[9]
