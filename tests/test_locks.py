"""Locks between processes, and who gets them next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from nora.errors import StartError, StorageFailed
from nora.locks import FileLock, Turnstile, data_directory_lock, file_system_type, lock_descriptor
from tests.support.tables import each
from tests.support.waiting import PATIENCE_SECONDS, wait_until

HOLDER = """
import sys, pathlib
from nora.locks import data_directory_lock
lock = data_directory_lock(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    with closing(FileLock(tmp_path / "a")) as one, closing(FileLock(tmp_path / "a")) as other:
        assert one.acquire()
        assert one.held
        assert other.acquire(block=False) is False
        assert other.held is False
        one.release()
        assert other.acquire(block=False) is True
        assert one.acquire(block=False) is False
    with FileLock(tmp_path / "a") as again:
        assert again.held
    again.close()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    order = []

    def wait() -> None:
        with closing(FileLock(tmp_path / "a")) as lock, lock:
            order.append("second")

    with closing(FileLock(tmp_path / "a")) as lock:
        lock.acquire()
        waiter = threading.Thread(target=wait)
        waiter.start()
        order.append("first")
        lock.release()
        waiter.join(PATIENCE_SECONDS)
    assert order == ["first", "second"]


def test_releasing_what_is_not_held_is_nothing(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "a")
    lock.release()
    lock.close()
    lock.close()
    assert not lock.path.exists()


def test_a_lock_that_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="absent"):
        FileLock(tmp_path / "absent" / "a").acquire()


def test_what_cannot_be_locked_is_a_failure(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY | os.O_PATH) if sys.platform == "linux" else -1
    try:
        with pytest.raises(StorageFailed, match="lock"):
            lock_descriptor(fd)
    finally:
        if fd >= 0:
            os.close(fd)


def test_the_holder_of_a_data_directory_is_named(tmp_path: Path) -> None:
    holder = data_directory_lock(tmp_path)
    with pytest.raises(StartError, match=rf"in use by process {os.getpid()}\b"):
        data_directory_lock(tmp_path)
    holder.close()
    data_directory_lock(tmp_path).close()


def test_a_holder_that_did_not_say_who_it_is(tmp_path: Path) -> None:
    with closing(FileLock(tmp_path / "nora.lock")) as silent:
        silent.acquire()
        assert silent.holder() is None
        with pytest.raises(StartError, match="in use by another process"):
            data_directory_lock(tmp_path)


def test_a_data_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="absent"):
        data_directory_lock(tmp_path / "absent")


def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(StartError, match=rf"process {process.pid}\b"):
            data_directory_lock(tmp_path)
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
    data_directory_lock(tmp_path).close()


def test_who_leaves_the_turnstile_does_not_overtake_who_waits(tmp_path: Path) -> None:
    entered: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with closing(Turnstile(tmp_path / "a")) as turnstile:
            waiting.set()
            with turnstile:
                entered.append("second")

    with closing(Turnstile(tmp_path / "a")) as turnstile:
        with turnstile:
            thread = threading.Thread(target=second)
            thread.start()
            waiting.wait(PATIENCE_SECONDS)
            with closing(FileLock(tmp_path / "a.turn")) as turn:

                def is_taken() -> bool:
                    if not turn.acquire(block=False):
                        return True
                    turn.release()
                    return False

                wait_until(is_taken, "the other to stand at the turnstile")
        with turnstile:
            entered.append("first again")
        thread.join(PATIENCE_SECONDS)
    assert entered == ["second", "first again"]


MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:26 / /mnt rw - nfs4 server:/export rw,vers=4.2
31 22 0:27 / /mnt/local rw - xfs /dev/vdb rw
32 31 0:28 / /mnt/local rw shared:5 master:2 - fuse.sshfs host:/ rw
33 22 0:29 / /with\\040space rw - tmpfs tmpfs rw
34 22 0:30 / /mnt2 rw - cifs //host/share rw
"""


@each(
    ("path", "expected"),
    [
        ("/", "ext4"),
        ("/mnt", "nfs4"),
        ("/mnt/x/y", "nfs4"),
        ("/mnt/local/x", "fuse.sshfs"),
        ("/with space/x", "tmpfs"),
        ("/mnt2/x", "cifs"),
        ("/mnt22", "ext4"),
    ],
)
def test_the_file_system_of_a_path(path: str, expected: str) -> None:
    assert file_system_type(Path(path), MOUNTS) == expected


def test_no_mounts_no_file_system() -> None:
    assert file_system_type(Path("/"), "") is None


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_this_machine_has_file_systems() -> None:
    assert file_system_type(Path("/proc/self")) == "proc"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    assert file_system_type(tmp_path / "link" / "self") == file_system_type(Path("/proc/self"))
