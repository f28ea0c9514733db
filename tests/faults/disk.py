"""A disk that can lose its power, fill up and fail on demand: tests/faults/faultfs, mounted through FUSE.

    with mounted(folder) as disk:
        (disk.path / "a").write_bytes(b"x")       # not durable: nobody called fsync
        disk.lose_power()                         # "a" is gone
        disk.fail("write,fsync", "blobs/*", "EIO")

What it keeps across a power loss is exactly what fsync made durable: of a file its pages and size, of a
directory its entries. Kill the programs that use it before the power goes.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "faultfs"
FLAGS = ("-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64")
ANSWER_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted faultfs; `path` is its root."""

    path: Path
    control: Path

    def ask(self, line: str) -> str:
        """One command of rules.c, and its answer."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self.control))
            connection.sendall(line.encode() + b"\n")
            answer = connection.recv(4096).decode().strip()
        if answer.startswith("what"):
            raise ValueError(answer)
        return answer

    def lose_power(self, seed: int | None = None) -> None:
        """Forget what is not durable: all of it, or with a seed each page, size and entry on a toss."""
        self.ask("power-loss strict" if seed is None else f"power-loss {seed}")

    def fail(
        self,
        operations: str,
        glob: str,
        error: str,
        *,
        count: int = -1,
        probability: float = 1.0,
        seed: int = 1,
    ) -> None:
        """Let operations on paths (relative; `*` crosses slashes) fail, `count` times or until `clear`."""
        self.ask(f"fail {operations} {glob} {error} {count} {probability} {seed}")

    def clear(self) -> None:
        self.ask("clear")

    def hits(self) -> int:
        """How many operations failed by `fail` since the last `clear`."""
        return int(self.ask("hits"))

    def used(self) -> int:
        """Bytes in use."""
        return int(self.ask("used"))

    def limit(self, size: int) -> None:
        """The capacity in bytes."""
        self.ask(f"limit {size}")

    def lie(self, lying: bool) -> None:
        """Let fsync say yes and keep nothing."""
        self.ask(f"lie {int(lying)}")


@functools.cache
def missing() -> str | None:
    """What this machine lacks for a Disk, or None."""
    for program in ("gcc", "pkg-config"):
        if shutil.which(program) is None:
            return program
    if subprocess.run(["pkg-config", "--exists", "fuse3"], check=False).returncode:
        return "libfuse3 (headers)"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse"
    return None


def require() -> None:
    """Skip the test where a Disk cannot be had; with REQUIRE_CLIENTS=1, fail."""
    lacking = missing()
    if lacking and os.environ.get("REQUIRE_CLIENTS") == "1":
        pytest.fail(f"missing for faultfs: {lacking}", pytrace=False)
    if lacking:
        pytest.skip(f"missing for faultfs: {lacking}")


@functools.cache
def program() -> Path:
    """The compiled file system; built once for each run of the tests, and removed after it."""
    folder = tempfile.TemporaryDirectory(prefix="faultfs-")
    atexit.register(folder.cleanup)
    built = Path(folder.name) / "faultfs"
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "fuse3"], text=True).split()
    sources = map(str, sorted(SOURCES.glob("*.c")))
    subprocess.run(["gcc", *FLAGS, *sources, "-o", str(built), *flags, "-lpthread"], check=True)
    return built


@contextlib.contextmanager
def mounted(folder: Path, at: Path | None = None) -> Iterator[Disk]:
    """A fresh Disk on `at` (default: `folder`/disk); unmounted and forgotten afterwards."""
    require()
    point = at or folder / "disk"
    point.mkdir(parents=True, exist_ok=True)
    # The path of a Unix socket has room for 107 bytes, which those of pytest's folders may exceed.
    with tempfile.TemporaryDirectory(prefix="faultfs-") as short:
        control = Path(short) / "control"
        process = subprocess.Popen([program(), point, control], stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"ready\n", "faultfs did not mount"
            yield Disk(point, control)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            if os.path.ismount(point):
                subprocess.run(["umount", "--lazy", point], check=False)
